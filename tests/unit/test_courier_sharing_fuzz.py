"""What a peer says of shared memory, fuzzed: frames come out or an error, and nothing is kept."""

from __future__ import annotations

import contextlib
import os
import socket

from hypothesis import given, settings
from hypothesis import strategies as st

from launchpad_lite.courier import frame, memfd
from launchpad_lite.courier.byte_stream import Bytes, Marker
from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.frame_reader import BUFFER_BYTES, NotReceived
from launchpad_lite.courier.sharing import SharingReader
from launchpad_lite.courier.unix_stream import UnixStream
from launchpad_lite.errors import PayloadTooLarge
from tests.unit.scarce import descriptors

LIMIT = 2**20
PASSED = ["segment", "file", "nothing"]

fixed = settings(derandomize=True, deadline=None, database=None, max_examples=150)

numbers = st.integers(0, 3) | st.integers(0, 2**32 - 1)
lengths = st.integers(0, 9000) | st.integers(0, 2**64 - 1)


def packed(kind: frame.Kind, number: int, content: bytes) -> list[Bytes]:
    return frame.pack(kind, number, Payload(content))


def passing(number: int, content: bytes, passed: str) -> list[Bytes]:
    """A new segment; or what is none, or nothing."""
    fd = memfd.create(memfd.HEADER + 8192, [b"x" * 8192])
    if passed == "file":
        os.close(fd)
        fd = os.open(os.devnull, os.O_RDWR)
    marker = Marker(1)
    marker.holder = memfd.Descriptor(fd)
    ahead = packed(frame.Kind.PASSING, number, content.ljust(BUFFER_BYTES, b"\0"))
    return [*ahead, b"\0" if passed == "nothing" else marker]


def shared(number: int, pairs: list[tuple[int, int]], rest: bytes) -> list[Bytes]:
    content = b"".join(
        index.to_bytes(4, "little") + size.to_bytes(8, "little") for index, size in pairs
    )
    return packed(frame.Kind.SHARED, number, content + rest)


said = st.lists(
    st.builds(passing, numbers, st.binary(max_size=8), st.sampled_from(PASSED))
    | st.builds(
        shared,
        numbers,
        st.lists(st.tuples(st.integers(0, 3) | numbers, lengths), max_size=3),
        st.binary(max_size=2),
    )
    | st.builds(packed, st.just(frame.Kind.CALL), numbers, st.binary(max_size=8)),
    max_size=5,
)


@fixed
@given(said)
def test_whatever_a_peer_says_of_shared_memory(several: list[list[Bytes]]) -> None:
    before = descriptors()
    near, far = map(UnixStream, socket.socketpair())
    reader = SharingReader(LIMIT, far.sharing)
    pieces = [piece for each in several for piece in each]
    with contextlib.suppress(frame.ProtocolError, PayloadTooLarge, NotReceived):
        for piece in pieces:
            rest = piece
            while len(rest):
                count = near.send([rest])
                rest = rest[count:]
                reader.received(far.receive(reader.space()))
                while (found := reader.next()) is not None:
                    assert found.kind < frame.Kind.PASSING
                    assert found.content.size <= LIMIT
    pieces.clear()
    several.clear()
    near.close()
    far.close()
    del reader, near, far
    assert descriptors() <= before
