"""The framed protocol as bytes: what goes in comes out, and nothing else is taken for a frame."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launchpad_lite.courier import frame
from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.messages import Reply, Request
from launchpad_lite.errors import PayloadTooLarge, StatusCode

LIMIT = 2**20
HUGE = 2**60

fixed = settings(derandomize=True, deadline=None, database=None, max_examples=60)


class Content(NamedTuple):
    kind: frame.Kind
    call_id: int
    method: str
    timeout: float | None
    pickled: bytes
    buffers: list[bytes]

    def packed(self) -> bytes:
        payload = Payload(self.pickled, self.buffers)
        return b"".join(
            frame.pack(self.kind, self.call_id, payload, method=self.method, timeout=self.timeout)
        )


contents = st.builds(
    Content,
    kind=st.sampled_from(frame.Kind),
    call_id=st.integers(0, 2**32 - 1),
    method=st.text(max_size=20),
    timeout=st.none() | st.floats(1e-6, 1e9),
    pickled=st.binary(max_size=100) | st.builds(bytes, st.integers(4090, 4100)),
    buffers=st.lists(st.binary(max_size=40), max_size=6),
)


def check(parsed: frame.Frame, content: Content) -> None:
    assert (parsed.kind, parsed.call_id) == (content.kind, content.call_id)
    assert (parsed.method, parsed.timeout) == (content.method, content.timeout)
    assert bytes(parsed.content.pickled) == content.pickled
    assert [bytes(buffer) for buffer in parsed.content.buffers] == content.buffers


def head(
    *,
    kind: int = frame.Kind.CALL,
    name: int = 0,
    pickled: int = 0,
    buffers: int = 0,
    detail: int = 0,
) -> bytes:
    return frame.HEAD.pack(kind, name, 1, 0.0, pickled, buffers, detail)


@fixed
@given(contents)
def test_a_message_holds_what_was_packed(content: Content) -> None:
    check(frame.parse(content.packed(), LIMIT), content)


@fixed
@given(contents, st.data())
def test_a_part_of_a_message_is_none(content: Content, data: st.DataObject) -> None:
    message = content.packed()
    size = data.draw(st.integers(0, len(message) - 1))
    with pytest.raises(frame.ProtocolError, match="ends in the middle"):
        frame.parse(message[:size], LIMIT)


@fixed
@given(contents, st.binary(min_size=1, max_size=50))
def test_a_message_holds_nothing_after_its_frame(content: Content, more: bytes) -> None:
    with pytest.raises(frame.ProtocolError, match=f"after its frame, for {len(more)} bytes"):
        frame.parse(content.packed() + more, LIMIT)


@fixed
@given(st.binary(max_size=300))
def test_garbage_is_refused_or_harmless(message: bytes) -> None:
    try:
        frame.parse(message, LIMIT)
    except (frame.ProtocolError, PayloadTooLarge):
        return


@fixed
@given(contents, st.data())
def test_a_changed_byte_is_refused_or_harmless(content: Content, data: st.DataObject) -> None:
    message = bytearray(content.packed())
    place = data.draw(st.integers(0, min(len(message), 120) - 1))
    message[place] = data.draw(st.integers(0, 255))
    try:
        frame.parse(bytes(message), LIMIT)
    except (frame.ProtocolError, PayloadTooLarge):
        return


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
        bytes(frame.HEAD.size),
        head(kind=max(frame.Kind) + 1),
        head(kind=255),
        head(kind=frame.Kind.RESULT, detail=1),
        head(name=frame.MAX_METHOD + 1) + bytes(frame.MAX_METHOD + 1),
        head(name=2) + b"\xff\xfe",
        head(pickled=10) + b"short",
        head(buffers=1),
        head(buffers=1) + (5).to_bytes(8, "little") + b"1234",
    ],
    ids=str,
)
def test_what_is_not_a_frame(message: bytes) -> None:
    with pytest.raises(frame.ProtocolError):
        frame.parse(message, LIMIT)


@pytest.mark.parametrize(
    "message",
    [
        head(pickled=HUGE),
        head(pickled=2**64 - 1),
        head(pickled=LIMIT + 1),
        head(buffers=2**32 - 1),
        head(buffers=1) + HUGE.to_bytes(8, "little"),
        head(buffers=2) + (2**63).to_bytes(8, "little") * 2,  # their sum is 2^64, not 0
        head(pickled=LIMIT, buffers=1) + (1).to_bytes(8, "little") + bytes(LIMIT),
    ],
    ids=range(7),
)
def test_lengths_over_the_limit_ask_for_no_memory(message: bytes) -> None:
    with pytest.raises(PayloadTooLarge, match="exceeds the limit of 1,048,576"):
        frame.parse(message, LIMIT)


def test_as_much_as_the_limit_is_taken() -> None:
    content = Content(frame.Kind.CALL, 1, "m", None, bytes(LIMIT - 10), [bytes(4), bytes(6)])
    check(frame.parse(content.packed(), LIMIT), content)


def test_a_message_of_a_huge_length_that_is_allowed_ends_early() -> None:
    with pytest.raises(frame.ProtocolError, match="ends in the middle"):
        frame.parse(head(pickled=HUGE), 2**62)


def test_buffers_are_counted_in_bytes() -> None:
    numbers = memoryview(bytearray(16)).cast("I")
    parsed = frame.parse(b"".join(frame.pack(frame.Kind.RESULT, 0, Payload(b"", [numbers]))), LIMIT)
    assert [len(buffer) for buffer in parsed.content.buffers] == [16]


def test_buffers_are_not_copied_into_pieces() -> None:
    array = bytearray(100)
    *_, piece = frame.pack(frame.Kind.RESULT, 0, Payload(b"x", [array]))
    array[0] = 7
    assert piece[0] == 7


def test_received_buffers_can_be_written_to() -> None:
    content = Content(frame.Kind.RESULT, 0, "", None, b"", [b"abc"])
    (buffer,) = frame.parse(content.packed(), LIMIT).content.buffers
    assert not memoryview(buffer).readonly


def test_requests_and_replies() -> None:
    request = Request("work", Payload(b"p", [b"b"]), 2.5)
    parsed = frame.parse(b"".join(frame.pack_request(request, 9)), LIMIT)
    assert (parsed.kind, parsed.call_id) == (frame.Kind.CALL, 9)
    back = parsed.request()
    assert (back.method, back.timeout, back.local) == ("work", 2.5, False)
    assert bytes(back.arguments.pickled) == b"p"
    for ok in (True, False):
        pieces = frame.pack_reply(Reply(ok, Payload(b"r")), 4)
        assert frame.parse(b"".join(pieces), LIMIT).reply().ok is ok


@fixed
@given(st.sets(st.integers(0, 2**32 - 1), max_size=20))
@pytest.mark.parametrize("kind", [frame.Kind.STOPPING, frame.Kind.CANCEL])
def test_frames_about_several_calls(kind: frame.Kind, ids: set[int]) -> None:
    parsed = frame.parse(b"".join(frame.pack_ids(kind, ids)), LIMIT)
    assert parsed.kind == kind
    assert parsed.ids() == ids


def test_numbers_that_are_none() -> None:
    parsed = frame.parse(b"".join(frame.pack(frame.Kind.CANCEL, 0, Payload(b"12345"))), LIMIT)
    with pytest.raises(frame.ProtocolError):
        parsed.ids()


@pytest.mark.parametrize("code", list(StatusCode))
def test_a_failure_keeps_its_code(code: StatusCode) -> None:
    reply = Reply(False, Payload(b"why"), code.name)
    assert frame.parse(b"".join(frame.pack_reply(reply, 7)), LIMIT).reply().code == code.name


def test_the_code_of_a_failure_that_nobody_knows() -> None:
    for number in (99, 2**32 - 1):
        reply = frame.parse(head(kind=frame.Kind.FAILURE, detail=number), LIMIT).reply()
        assert (reply.ok, reply.code) == (False, "UNKNOWN")
