"""One framed connection of a client: whole frames, deadlines, and an end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from launchpad_lite.courier import frame
from launchpad_lite.courier.byte_stream import Bytes, SocketStream
from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.connection import Connection, take_out
from launchpad_lite.errors import PayloadTooLarge

PATIENCE_S = 30.0
SHORT_S = 0.05
LIMIT = 2**30
MEGABYTE = 2**20

Ends = tuple[Connection, Connection]


@pytest.fixture(params=[0.0, 1e-4], ids=["sleeping", "polling"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    left, right = (Connection(SocketStream(sock), LIMIT) for sock in socket.socketpair())
    left.busy_poll_s = right.busy_poll_s = request.param
    yield left, right
    left.close()
    right.close()


def packed(content: bytes, *buffers: bytes | bytearray, call_id: int = 0) -> list[Bytes]:
    return frame.pack(frame.Kind.RESULT, call_id, Payload(content, list(buffers)))


def soon() -> float:
    return time.monotonic() + PATIENCE_S


def test_frames_go_both_ways(ends: Ends) -> None:
    left, right = ends
    left.send(packed(b"to the right"))
    right.send(packed(b"to the left", b"buffer", b""))
    assert bytes(right.read().content.pickled) == b"to the right"
    answer = left.read(soon()).content
    assert bytes(answer.pickled) == b"to the left"
    assert [bytes(buffer) for buffer in answer.buffers] == [b"buffer", b""]


@pytest.mark.parametrize(
    "buffers",
    [
        [bytes([number % 256]) * (number % 7) for number in range(5000)],
        [b"x" * (8 * MEGABYTE)],
        [b"", b"y" * MEGABYTE, b"", b"z"],
    ],
    ids=["many", "large", "mixed"],
)
@pytest.mark.parametrize("limited", [False, True])
def test_frames_larger_than_any_buffer(ends: Ends, buffers: list[bytes], limited: bool) -> None:
    left, right = ends
    deadline = soon() if limited else None
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(right.read, deadline)
        pieces = packed(b"p" * 5000, *buffers)
        size = sum(map(len, pieces))
        left.send(pieces, deadline)
        assert [bytes(buffer) for buffer in reading.result().content.buffers] == buffers
    assert pieces == []
    assert left.sent_bytes == size


def test_what_does_not_come_in_time(ends: Ends) -> None:
    left, right = ends
    with pytest.raises(TimeoutError):
        right.read(time.monotonic() + SHORT_S)
    with pytest.raises(TimeoutError):
        right.read(time.monotonic() - 1)
    left.send(packed(b"later"))
    assert bytes(right.read().content.pickled) == b"later"  # without a deadline again


def test_a_limit_of_an_earlier_call_is_none_of_a_later_one(ends: Ends) -> None:
    left, right = ends
    with pytest.raises(TimeoutError):
        right.read(time.monotonic() + SHORT_S)
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(right.read, soon())
        with pytest.raises(TimeoutError):
            left.read(time.monotonic() + 3 * SHORT_S)
        left.send(packed(b"later"))
        assert bytes(reading.result().content.pickled) == b"later"


def test_what_does_not_go_in_time(ends: Ends) -> None:
    left, _ = ends
    pieces = packed(b"", bytes(8 * MEGABYTE))
    with pytest.raises(TimeoutError):
        left.send(pieces, time.monotonic() + SHORT_S)
    assert 0 < left.sent_bytes < 8 * MEGABYTE
    assert sum(map(len, pieces)) + left.sent_bytes > 8 * MEGABYTE  # the rest


def test_sending_without_waiting(ends: Ends) -> None:
    left, right = ends
    pieces = packed(b"small")
    left.send_now(pieces)
    assert pieces == []
    assert bytes(right.read().content.pickled) == b"small"
    pieces = packed(b"", bytes(8 * MEGABYTE))
    left.send_now(pieces)
    assert pieces


def test_a_frame_over_the_limit_is_not_read(ends: Ends) -> None:
    left, right = ends
    right.limit = 1000
    assert right.limit == 1000
    left.send(packed(b"", bytes(1001)))
    with pytest.raises(PayloadTooLarge):
        right.read()


def test_hanging_up_wakes_both_ends(ends: Ends) -> None:
    left, right = ends
    with ThreadPoolExecutor(2) as threads:
        reading = [threads.submit(left.read), threads.submit(right.read)]
        left.hang_up()
        for read in reading:
            assert isinstance(read.exception(PATIENCE_S), EOFError)
    left.hang_up()
    with pytest.raises(OSError, match="Broken pipe"):
        left.send(packed(b"too late"))


def test_nothing_is_done_after_the_end(ends: Ends) -> None:
    left, _ = ends
    left.close()
    assert left.fileno() == -1
    left.close()
    left.hang_up()
    for use in (left.read, lambda: left.send(packed(b""))):
        with pytest.raises(OSError, match="Bad file descriptor"):
            use()


def test_who_hangs_up_late_never_reaches_another_s_descriptor() -> None:
    for _ in range(30):
        mine, peer = socket.socketpair()
        connection = Connection(SocketStream(mine), LIMIT)
        start = threading.Barrier(4)

        def hang_up(connection: Connection = connection, start: threading.Barrier = start) -> None:
            start.wait(PATIENCE_S)
            connection.hang_up()

        threads = [threading.Thread(target=hang_up, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        start.wait(PATIENCE_S)
        connection.close()
        bystander, other = socket.socketpair()  # one of them has the number
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        bystander.sendall(b"unharmed")
        assert other.recv(100) == b"unharmed"
        for sock in (peer, bystander, other):
            sock.close()


def test_taking_out_of_pieces() -> None:
    pieces: list[Bytes] = [b"abc", b"", b"defg", b""]
    take_out(pieces, 1)
    assert [bytes(piece) for piece in pieces] == [b"bc", b"", b"defg", b""]
    take_out(pieces, 4)
    assert [bytes(piece) for piece in pieces] == [b"fg", b""]
    take_out(pieces, 2)
    assert pieces == []
