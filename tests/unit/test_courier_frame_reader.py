"""Frames come out as they went in, in whatever pieces they come."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launchpad_lite.courier import frame, frame_reader
from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.frame_reader import BUFFER_BYTES, FrameReader, NotReceived
from launchpad_lite.errors import PayloadTooLarge

LIMIT = 2**26

fixed = settings(derandomize=True, deadline=None, database=None, max_examples=60)


def packed(call_id: int, pickled: bytes, buffers: list[bytes], method: str = "") -> bytes:
    pieces = frame.pack(frame.Kind.CALL, call_id, Payload(pickled, buffers), method=method)
    return b"".join(pieces)


def read_all(message: bytes, sizes: list[int], limit: int = LIMIT) -> list[frame.Frame]:
    """Receive a message in pieces of these sizes, over and over."""
    reader = FrameReader(limit)
    found: list[frame.Frame] = []
    turn = 0
    while message:
        space = reader.space()
        count = min(len(space), sizes[turn % len(sizes)], len(message))
        assert count > 0
        space[:count] = message[:count]
        reader.received(count)
        message = message[count:]
        turn += 1
        while (one := reader.next()) is not None:
            found.append(one)
    return found


contents = st.tuples(
    st.binary(max_size=60) | st.sampled_from([b"p" * 40_000, b"p" * (BUFFER_BYTES - 32)]),
    st.lists(st.binary(max_size=40) | st.sampled_from([b"b" * 50_000, b"", b"c" * 9000])),
    st.text(max_size=10),
)


@fixed
@given(
    st.lists(contents, max_size=5),
    st.lists(st.sampled_from([1, 7, 31, 32, 33, 1000, 4096, 2**20]), min_size=1, max_size=4),
)
def test_what_goes_in_comes_out(
    several: list[tuple[bytes, list[bytes], str]], sizes: list[int]
) -> None:
    message = b"".join(packed(number, *each) for number, each in enumerate(several))
    if sum(sizes) / len(sizes) < 20:
        sizes.append(20_000)
    found = read_all(message, sizes)
    assert [each.call_id for each in found] == list(range(len(several)))
    for each, (pickled, buffers, method) in zip(found, several, strict=True):
        assert bytes(each.content.pickled) == pickled
        assert [bytes(buffer) for buffer in each.content.buffers] == buffers
        assert each.method == method
        assert not any(memoryview(buffer).readonly for buffer in each.content.buffers)


def test_frames_do_not_share_memory_with_the_buffer() -> None:
    first, second = read_all(packed(1, b"one", [b"11"]) + packed(2, b"two", [b"22"]), [2**20])
    assert (bytes(first.content.pickled), bytes(first.content.buffers[0])) == (b"one", b"11")
    memoryview(first.content.buffers[0])[:] = b"xx"
    assert (bytes(second.content.pickled), bytes(second.content.buffers[0])) == (b"two", b"22")


def test_large_memory_costs_nothing_before_it_is_written_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frame_reader, "_LAZY_BYTES", 2**16)
    buffers = [b"a" * 2**16, b"b" * (2**16 - 1), b""]
    (found,) = read_all(packed(1, b"", buffers), [50_000])
    assert [bytes(buffer) for buffer in found.content.buffers] == buffers
    assert not memoryview(found.content.buffers[0]).readonly


def test_there_is_no_memory() -> None:
    with pytest.raises(PayloadTooLarge, match=r"no memory for a message with a part of 1,152,"):
        read_all(frame.HEAD.pack(frame.Kind.RESULT, 0, 0, 0.0, 2**60, 0, 0), [100], 2**62)


@pytest.mark.parametrize("size", [1, 100_000])
def test_over_the_limit(size: int) -> None:
    message = packed(1, b"", [b"x" * 600, b"y" * 401])
    with pytest.raises(PayloadTooLarge):
        read_all(message, [size], limit=1000)
    large = packed(1, b"", [b"x" * BUFFER_BYTES, b"y"])
    with pytest.raises(PayloadTooLarge):
        read_all(large, [size], limit=BUFFER_BYTES)
    assert len(read_all(large, [size], limit=BUFFER_BYTES + 1)) == 1


def test_what_is_no_frame() -> None:
    with pytest.raises(frame.ProtocolError):
        read_all(b"\xff" * 64, [64])
    with pytest.raises(frame.ProtocolError):
        read_all(frame.HEAD.pack(frame.Kind.CALL, 2, 0, 0.0, 0, 0, 0) + b"\xff\xfe", [64])


@fixed
@given(st.binary(max_size=300), st.integers(1, 64))
def test_garbage_is_refused_or_harmless(message: bytes, size: int) -> None:
    try:
        read_all(message, [size])
    except (frame.ProtocolError, PayloadTooLarge):
        return


@pytest.mark.parametrize("size", [100, BUFFER_BYTES, 2**20])
@pytest.mark.parametrize(
    "lost", [(b"p" * 2**21, [], "m"), (b"p", [b"b" * 40_000, b"c" * 2**21, b"d"], "method")]
)
def test_without_memory_a_frame_is_skipped(
    monkeypatch: pytest.MonkeyPatch, lost: tuple[bytes, list[bytes], str], size: int
) -> None:
    """Its number is known, and the next frame is in its place."""
    allocate = frame_reader.allocate

    def scarce(wanted: int) -> bytearray | memoryview:
        return allocate(wanted if wanted < 2**21 else 2**62)

    monkeypatch.setattr(frame_reader, "allocate", scarce)
    reader = FrameReader(LIMIT)
    message = memoryview(packed(1, b"a", []) + packed(2, *lost) + packed(3, b"c", [b"x" * 40_000]))
    found: list[int] = []
    reasons: list[str] = []
    while message:
        space = reader.space()
        count = min(len(space), size, len(message))
        space[:count] = message[:count]
        reader.received(count)
        message = message[count:]
        try:
            while (one := reader.next()) is not None:
                found.append(one.call_id)
        except NotReceived as error:
            found.append(-error.call_id)
            reasons.append(str(error.reason))
    while (one := reader.next()) is not None:
        found.append(one.call_id)
    assert found == [1, -2, 3]
    assert "there is no memory for a message with a part of" in reasons[0]
