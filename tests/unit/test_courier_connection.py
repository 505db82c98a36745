"""One framed connection: whole frames, deadlines, and an end that is safe at any time."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from launchpad_lite.courier import frame
from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.connection import Connection, Outbox
from launchpad_lite.errors import PayloadTooLarge

PATIENCE_S = 30.0
SHORT_S = 0.05
LIMIT = 2**30
MEGABYTE = 2**20


@pytest.fixture
def ends() -> Iterator[tuple[Connection, Connection]]:
    left, right = (Connection(sock, LIMIT) for sock in socket.socketpair())
    yield left, right
    left.close()
    right.close()


Ends = tuple[Connection, Connection]


class Letter:
    end = 0


def packed(content: bytes, *buffers: bytes | bytearray, call_id: int = 0) -> list[frame.Bytes]:
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


def test_what_does_not_go_in_time(ends: Ends) -> None:
    left, _ = ends
    pieces = packed(b"", bytes(8 * MEGABYTE))
    with pytest.raises(TimeoutError):
        left.send(pieces, time.monotonic() + SHORT_S)
    assert 0 < left.sent_bytes < 8 * MEGABYTE
    assert sum(map(len, pieces)) + left.sent_bytes > 8 * MEGABYTE  # the rest


def test_a_peer_that_stalls_is_given_up() -> None:
    left, right = socket.socketpair()
    connection = Connection(left, LIMIT, stall=SHORT_S)
    right.sendall(b"".join(packed(b"half a frame"))[:20])
    with pytest.raises(OSError, match="temporarily unavailable"):
        connection.read_if_any()
    with pytest.raises(TimeoutError):
        connection.send(packed(b"", bytes(8 * MEGABYTE)))
    connection.close()
    right.close()


def test_reading_if_there_is_any(ends: Ends) -> None:
    left, right = ends
    assert right.read_if_any() is None
    left.send(packed(b"first"))
    left.send(packed(b"second"))
    for expected in (b"first", b"second"):
        found = right.read_if_any()
        assert found is not None
        assert bytes(found.content.pickled) == expected
    assert right.read_if_any() is None
    left.close()
    with pytest.raises(EOFError):
        right.read_if_any()


def test_a_frame_that_has_begun_is_waited_for() -> None:
    left, right = socket.socketpair()
    connection = Connection(right, LIMIT)
    message = b"".join(packed(b"content", b"buffer"))
    left.sendall(message[:5])
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(connection.read_if_any)
        left.sendall(message[5:40])
        left.sendall(message[40:])
        found = reading.result(PATIENCE_S)
    assert found is not None
    assert bytes(found.content.pickled) == b"content"
    connection.close()
    left.close()


def test_a_frame_over_the_limit_is_not_read(ends: Ends) -> None:
    left, right = ends
    right.limit = 1000
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


def test_closing_waits_until_nobody_is_inside(ends: Ends) -> None:
    left, right = ends
    with ThreadPoolExecutor(2) as threads:
        reading = threads.submit(left.read)
        sending = threads.submit(left.send, packed(b"", bytes(8 * MEGABYTE)))
        left.close()
        assert isinstance(reading.exception(PATIENCE_S), EOFError | OSError)
        assert isinstance(sending.exception(PATIENCE_S), OSError)
    assert left.fileno() == -1
    left.close()
    left.hang_up()
    for use in (left.read, left.read_if_any, lambda: left.send(packed(b""))):
        with pytest.raises(OSError, match="Bad file descriptor"):
            use()
    right.close()


def test_a_descriptor_is_not_used_after_it_was_given_back() -> None:
    """Threads that still send or hang up never reach whoever got the same number."""
    for _ in range(30):
        mine, peer = socket.socketpair()
        connection = Connection(mine, LIMIT)
        number = connection.fileno()
        start = threading.Barrier(4)

        def send(connection: Connection = connection, start: threading.Barrier = start) -> None:
            start.wait(PATIENCE_S)
            try:
                while True:
                    connection.send(packed(b"for the peer only"))
            except OSError:
                connection.hang_up()

        threads = [threading.Thread(target=send, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        start.wait(PATIENCE_S)
        connection.close()
        bystander, other = socket.socketpair()
        numbers = {bystander.fileno(), other.fileno()}
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        other.setblocking(False)
        if number in numbers:
            with pytest.raises(BlockingIOError):
                other.recv(1)
        for sock in (peer, bystander, other):
            sock.close()


# The outbox.


def test_what_the_peer_takes_goes_at_once(ends: Ends) -> None:
    left, right = ends
    outbox, letter = Outbox(left, "lp-test-send"), Letter()
    outbox.post(packed(b"hello"), letter)
    assert letter.end == left.sent_bytes > 0
    assert bytes(right.read().content.pickled) == b"hello"
    assert not any(thread.name == "lp-test-send" for thread in threading.enumerate())


def test_posting_never_waits_and_keeps_the_order(ends: Ends) -> None:
    left, right = ends
    outbox = Outbox(left, "lp-test-send")
    letters = [Letter() for _ in range(60)]
    array = bytearray(MEGABYTE)
    for number, letter in enumerate(letters):
        array[0] = number
        outbox.post(packed(b"x", bytes(0) if number % 2 else array, call_id=number), letter)
    array[0] = 255
    for number in range(60):
        found = right.read(soon())
        assert found.call_id == number
        (buffer,) = found.content.buffers
        assert bytes(buffer[:1]) == (b"" if number % 2 else bytes([number]))
    assert [letter.end for letter in letters] == sorted(letter.end for letter in letters)
    outbox.post(packed(b"again"), letters[0])
    assert bytes(right.read().content.pickled) == b"again"
    left.close()  # waits for the thread that sends, and still counts
    assert left.sent_bytes == letters[0].end > letters[-1].end


def test_whether_a_letter_went_out_is_known(ends: Ends) -> None:
    left, right = ends
    outbox, first, second = Outbox(left, "lp-test-send"), Letter(), Letter()
    outbox.post(packed(b"small"), first)
    outbox.post(packed(b"", bytes(8 * MEGABYTE)), second)
    right.close()
    with pytest.raises((EOFError, OSError)):
        while True:
            left.read()
    left.close()  # waits for whoever still counts
    assert first.end <= left.sent_bytes < second.end


def test_posting_to_nobody_hangs_up(ends: Ends) -> None:
    left, right = ends
    outbox, letter = Outbox(left, "lp-test-send"), Letter()
    right.close()
    outbox.post(packed(b"x"), letter)
    assert left.sent_bytes < letter.end
    with pytest.raises((EOFError, OSError)):
        left.read()
    assert os.fstat(left.fileno())  # who reads it closes it
