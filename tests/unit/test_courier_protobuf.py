"""The little of Protocol Buffers that is needed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launchpad_lite.courier import protobuf

fixed = settings(derandomize=True, deadline=None, database=None, max_examples=300)


@fixed
@given(st.dictionaries(st.integers(1, 2**29 - 1), st.binary(max_size=300), max_size=4))
def test_what_is_written_can_be_read(fields: dict[int, bytes]) -> None:
    message = b"".join(protobuf.bytes_field(*field) for field in fields.items())
    assert {key: bytes(value) for key, value in protobuf.read_bytes_fields(message).items()} == (
        fields
    )


def test_the_bytes_of_the_specification() -> None:
    """Those of https://protobuf.dev/programming-guides/encoding/."""
    assert protobuf.bytes_field(2, b"testing") == b"\x12\x07testing"
    assert protobuf.enum_field(1, 150) == b"\x08\x96\x01"


def test_other_fields_are_skipped_and_the_last_one_counts() -> None:
    message = (
        b"\x08\x96\x01" + b"\x12\x01a" + b"\x19" + bytes(8) + b"\x25" + bytes(4) + b"\x12\x01b"
    )
    assert {key: bytes(value) for key, value in protobuf.read_bytes_fields(message).items()} == {
        2: b"b"
    }


@pytest.mark.parametrize(
    "message",
    [b"\x12", b"\x12\x05abc", b"\x08", b"\x08" + b"\xff" * 20, b"\x13", b"\x02\x00", b"\x19abc"],
)
def test_what_is_no_message(message: bytes) -> None:
    with pytest.raises(protobuf.ProtobufError):
        protobuf.read_bytes_fields(message)


def test_text_is_utf_8() -> None:
    assert protobuf.read_text(None) == ""
    assert protobuf.read_text(memoryview("ü".encode())) == "ü"
    with pytest.raises(protobuf.ProtobufError, match="UTF-8"):
        protobuf.read_text(memoryview(b"\xff"))


@fixed
@given(st.binary(max_size=60))
def test_any_bytes(message: bytes) -> None:
    try:
        fields = protobuf.read_bytes_fields(message)
    except protobuf.ProtobufError:
        return
    assert sum(map(len, fields.values())) <= len(message)
