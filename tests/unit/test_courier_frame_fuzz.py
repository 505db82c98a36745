"""The decoder of frames, fuzzed: bytes are a frame or an error, and cost no more than they are."""

from __future__ import annotations

import contextlib
import struct

from hypothesis import example, given, settings
from hypothesis import strategies as st

from launchpad_lite.courier import frame
from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.frame_reader import FrameReader
from launchpad_lite.errors import PayloadTooLarge

LIMIT = 2**16

fixed = settings(derandomize=True, deadline=None, database=None, max_examples=400)


def tried(message: bytes) -> frame.Frame | None:
    """Parse; a frame's errors are the only ones."""
    try:
        return frame.parse(message, LIMIT)
    except (frame.ProtocolError, PayloadTooLarge):
        return None


def largest_space(message: bytes) -> int:
    """Receive as a connection does; return the most memory that was there for it at a time."""
    reader, largest = FrameReader(LIMIT), 0
    with contextlib.suppress(frame.ProtocolError, PayloadTooLarge):
        while message:
            space = reader.space()
            largest = max(largest, len(space))
            count = min(len(space), len(message))
            space[:count] = message[:count]
            reader.received(count)
            message = message[count:]
            while reader.next() is not None:
                pass
    return largest


@fixed
@given(st.binary(max_size=200))
@example(b"")
@example(bytes(frame.HEAD.size))
@example(b"\xff" * 200)
def test_any_bytes(message: bytes) -> None:
    tried(message)


heads = st.builds(
    frame.HEAD.pack,
    st.integers(0, 255),
    st.integers(0, 2**16 - 1) | st.integers(0, 20),
    st.integers(0, 2**32 - 1),
    st.floats(width=64),
    st.integers(0, 2**64 - 1) | st.integers(0, 100),
    st.integers(0, 2**32 - 1) | st.integers(0, 4),
    st.sampled_from([0, 0, 0, 1]),
)
lengths = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 20), max_size=4).map(
    lambda each: struct.pack(f"<{len(each)}Q", *each)
)


@fixed
@given(heads, lengths, st.binary(max_size=100))
def test_heads_that_lie(head: bytes, table: bytes, rest: bytes) -> None:
    message = head + table + rest
    tried(message)
    # the method's name and the table of buffers come before the sizes are known
    assert largest_space(message) <= 2 * LIMIT + frame.MAX_METHOD


@fixed
@given(
    st.binary(max_size=30),
    st.lists(st.binary(max_size=20), max_size=3),
    st.text(max_size=10),
    st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=3),
)
def test_frames_with_a_few_bytes_changed(
    pickled: bytes, buffers: list[bytes], method: str, changes: list[tuple[int, int]]
) -> None:
    packed = frame.pack(frame.Kind.CALL, 1, Payload(pickled, buffers), method=method)
    message = bytearray(b"".join(packed))
    for position, value in changes:
        message[position % len(message)] = value
    parsed = tried(bytes(message))
    if not changes:
        assert parsed is not None
        assert bytes(parsed.content.pickled) == pickled
        assert [bytes(each) for each in parsed.content.buffers] == buffers
