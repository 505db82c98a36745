"""Large buffers beside a Unix socket: what is shared, and what a peer cannot do with it."""

from __future__ import annotations

import array
import contextlib
import os
import resource
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from launchpad_lite.courier import frame, memfd
from launchpad_lite.courier.byte_stream import Bytes, Marker, keep
from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.connection import Connection
from launchpad_lite.courier.frame_reader import BUFFER_BYTES
from launchpad_lite.courier.lending import SHARED_BYTES
from launchpad_lite.courier.sharing import Sharing
from launchpad_lite.courier.unix_stream import UnixStream
from launchpad_lite.errors import PayloadTooLarge

pytestmark = pytest.mark.skipif(not memfd.is_available(), reason="this system has no memfds")

LIMIT = 2**30
LARGE = SHARED_BYTES
Pair = tuple[Connection, Connection]


@pytest.fixture
def pair() -> Iterator[Pair]:
    left, right = (Connection(UnixStream(sock), LIMIT) for sock in socket.socketpair())
    yield left, right
    left.close()
    right.close()


def packed(connection: Connection, *buffers: Bytes, call_id: int = 1) -> list[Bytes]:
    content = Payload(b"pickle", buffers)
    return frame.pack(frame.Kind.CALL, call_id, content, sharing=connection.sharing)


def size(pieces: Sequence[Bytes]) -> int:
    return sum(map(len, pieces))


def received(connection: Connection) -> list[memoryview]:
    return [memoryview(buffer) for buffer in connection.read().content.buffers]


def test_large_buffers_take_the_shared_way_and_keep_their_places(pair: Pair) -> None:
    left, right = pair
    buffers = [b"a" * 10, b"b" * LARGE, b"", b"c" * 5000, b"d" * LARGE, b"e"]
    for _ in range(3):
        pieces = packed(left, *buffers)
        assert size(pieces) < LARGE
        left.send(pieces)
        assert [bytes(each) for each in received(right)] == buffers


def test_a_segment_that_is_used_again_costs_one_short_piece(pair: Pair) -> None:
    left, right = pair
    first = packed(left, b"a" * LARGE)
    assert size(first) > BUFFER_BYTES
    left.send(first)
    received(right)
    again = packed(left, b"b" * LARGE)
    assert len(again) == 1
    assert size(again) < 200
    left.send(again)
    (part,) = received(right)
    assert not part.readonly
    assert bytes(part) == b"b" * LARGE


def test_what_is_small_goes_through_the_socket(pair: Pair) -> None:
    left, right = pair
    buffers = [b"a" * (LARGE - 1), b"b" * 4095]
    pieces = packed(left, *buffers)
    assert size(pieces) > LARGE
    sender = threading.Thread(target=left.send, args=(pieces,))
    sender.start()
    assert [bytes(each) for each in received(right)] == buffers
    sender.join()


def test_both_ends_share_and_neither_sees_what_the_other_writes(pair: Pair) -> None:
    left, right = pair
    source = bytearray(b"a" * LARGE)
    left.send(packed(left, source))
    (there,) = received(right)
    there[0] = ord("x")
    right.send(packed(right, there))
    (back,) = received(left)
    back[1] = ord("y")
    assert [bytes(each[:3]) for each in (source, there, back)] == [b"aaa", b"xaa", b"xya"]


def test_arrays_stay_when_the_connection_ends(pair: Pair) -> None:
    left, right = pair
    left.send(packed(left, b"a" * LARGE))
    (part,) = received(right)
    left.close()
    right.close()
    part[0] = ord("x")
    assert bytes(part[:2]) == b"xa"


def test_pieces_that_wait_keep_their_descriptors(pair: Pair) -> None:
    left, right = pair
    pieces = [*packed(left, b"a" * LARGE), *packed(left, b"b" * LARGE), *packed(left, b"c")]
    kept = keep(pieces)
    assert [type(each) is Marker for each in kept] == [False, True, False, True, False]
    assert b"".join(kept) == b"".join(pieces)
    left.send(kept)
    assert [bytes(received(right)[0][:1]) for _ in range(3)] == [b"a", b"b", b"c"]


def test_frames_come_whole_however_little_goes_at_a_time(pair: Pair) -> None:
    left, right = pair
    pieces: list[Bytes] = []
    for piece in packed(left, b"a" * LARGE):
        if type(piece) is Marker:
            pieces.append(piece)
        else:
            pieces += [piece[index : index + 1000] for index in range(0, len(piece), 1000)]

    def send() -> None:
        for piece in pieces:
            left.send([piece])

    sender = threading.Thread(target=send)
    sender.start()
    assert bytes(received(right)[0]) == b"a" * LARGE
    sender.join()


def test_descriptors_are_given_back_and_not_inherited(pair: Pair) -> None:
    left, right = pair
    before = set(Path("/proc/self/fd").iterdir())
    left.send(packed(left, b"a" * LARGE))
    received(right)
    for path in set(Path("/proc/self/fd").iterdir()) - before:
        with contextlib.suppress(OSError):
            assert not os.get_inheritable(int(path.name))
    left.close()
    right.close()
    assert len(set(Path("/proc/self/fd").iterdir())) == len(before) - 2


# A peer that means harm.


def shared(number: int, *pairs: tuple[int, int]) -> list[Bytes]:
    encoded = b"".join(struct.pack("<IQ", *each) for each in pairs)
    return frame.pack(frame.Kind.SHARED, number, Payload(encoded))


def passing(number: int = 1, length: int = BUFFER_BYTES) -> list[Bytes]:
    return frame.pack(frame.Kind.PASSING, number, Payload(bytes(length)))


def call() -> list[Bytes]:
    return frame.pack(frame.Kind.CALL, 1, Payload(b""))


def segment() -> int:
    return memfd.create(memfd.HEADER + LARGE, [])


def plain_file() -> int:
    return os.open("/proc/self/exe", os.O_RDONLY)


def unsealed() -> int:
    fd = os.memfd_create("test", os.MFD_CLOEXEC)
    os.ftruncate(fd, memfd.HEADER + LARGE)
    return fd


class Peer:
    """One end of a connection, without the rules."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def send(self, *pieces: Bytes) -> None:
        self.sock.sendall(b"".join(pieces))

    def mark(self, *fds: int) -> None:
        passed = array.array("i", fds)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)] if fds else []
        self.sock.sendmsg([b"\0"], ancillary)
        for fd in fds:
            os.close(fd)


@pytest.fixture
def peer() -> Iterator[tuple[Peer, Connection]]:
    left, right = socket.socketpair()
    connection = Connection(UnixStream(right), LIMIT)
    yield Peer(left), connection
    left.close()
    connection.close()


Attack = Callable[[Peer], object]


def passes(*makers: Callable[[], int]) -> Attack:
    def attack(peer: Peer) -> None:
        peer.send(*passing())
        peer.mark(*[make() for make in makers])
        peer.send(*call())

    return attack


def says(*pieces: Bytes) -> Attack:
    def attack(peer: Peer) -> None:
        peer.send(*passing())
        peer.mark(segment())
        peer.send(*pieces)

    return attack


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (passes(), "0 descriptors came with a shared segment"),
        (passes(segment, segment), "descriptors came with a shared segment|two shared"),
        (passes(plain_file), "a file descriptor that is not a memfd"),
        (passes(unsealed), "a memfd with seals"),
        (says(*passing(), b"\0", *call()), "0 descriptors came"),
        (says(*passing(2, BUFFER_BYTES - 1)), "in a frame that is too short"),
        (says(*passing(2, BUFFER_BYTES + 1), b"\0"), "numbers .* that are none|0 descriptors"),
        (says(*shared(2, (0, 1)), *call()), "that it has not passed"),
        (says(*shared(1, (0, LARGE + 1)), *call()), "bytes in a shared segment of"),
        (says(*frame.pack(frame.Kind.SHARED, 1, Payload(b"x" * 13)), *call()), "that are none"),
    ],
)
def test_a_peer_that_breaks_the_rules_is_refused(
    peer: tuple[Peer, Connection], attack: Attack, message: str
) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    attack(peer[0])
    with pytest.raises(frame.ProtocolError, match=message):
        peer[1].read()
    peer[1].close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before - 1


def test_shared_buffers_count_against_the_limit(peer: tuple[Peer, Connection]) -> None:
    says(*shared(1, (0, LIMIT), (1, 1)), *call())(peer[0])
    with pytest.raises(PayloadTooLarge, match=r"a message of 1,073,741,825 bytes"):
        peer[1].read()


def test_a_segment_that_arrays_lie_in_cannot_be_used_again(peer: tuple[Peer, Connection]) -> None:
    says(*shared(1, (0, LARGE)), *call(), *shared(1, (0, LARGE)), *call())(peer[0])
    held = received(peer[1])
    with pytest.raises(frame.ProtocolError, match="that it was not given back"):
        peer[1].read()
    assert len(held) == 1


def test_a_receiver_without_descriptors_says_so(pair: Pair) -> None:
    left, right = pair
    left.send(packed(left, b"a" * LARGE))
    taken: list[int] = []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        with pytest.raises(frame.ProtocolError, match=r"as many open as it may \(ulimit -n\)"):
            right.read()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in taken:
            os.close(fd)


def test_a_closed_connection_shares_nothing() -> None:
    sharing = Sharing()
    sharing.close()
    content = Payload(b"", [b"a" * LARGE])
    assert sharing.take_out(content) == ([], content)
