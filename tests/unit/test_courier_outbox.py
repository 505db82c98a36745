"""Frames to a peer that may be slow: whole, in their order, and nobody waits."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from launchpad_lite.courier import outbox as module
from launchpad_lite.courier.byte_stream import SocketStream
from launchpad_lite.courier.outbox import Outbox

PATIENCE_S = 30.0
MEGABYTE = 2**20
STALLED = "it has taken nothing of what waits for it for 0.05 s"


class Line:
    """An outbox and its peer."""

    def __init__(self) -> None:
        mine, self.peer = socket.socketpair()
        self.peer.settimeout(PATIENCE_S)
        self.changes = 0
        self.reasons: list[str] = []
        self.outbox = Outbox(SocketStream(mine), self._changed, self.reasons.append)

    def _changed(self) -> None:
        self.changes += 1

    def receive(self, size: int) -> bytes:
        """So many bytes, or all there are before the end."""
        data = bytearray()
        while len(data) < size and (part := self.peer.recv(size - len(data))):
            data += part
        return bytes(data)

    def close(self) -> None:
        self.outbox.close()
        self.peer.close()


@pytest.fixture
def line() -> Iterator[Line]:
    one = Line()
    yield one
    one.close()


def receive_all(line: Line, size: int) -> bytes:
    """Receive while the outbox is told that there is room, as an event loop does."""
    with ThreadPoolExecutor(1) as threads:
        receiving = threads.submit(line.receive, size)
        while not receiving.done():
            line.outbox.resume()
        return receiving.result()


def test_frames_wait_for_a_flush_and_go_together(line: Line) -> None:
    for number in range(3):
        line.outbox.put([bytes([number]), b"x"])
    assert len(line.outbox) == 3
    line.outbox.flush()
    assert len(line.outbox) == 0
    assert not line.outbox.blocked
    assert line.receive(6) == b"\0x\1x\2x"
    assert line.changes == 0


def test_what_the_peer_does_not_take_is_copied_and_kept(line: Line) -> None:
    array = bytearray(b"a" * (8 * MEGABYTE))
    line.outbox.put([b"head", array])
    line.outbox.flush()
    assert line.outbox.blocked
    later = bytearray(b"later")
    line.outbox.put([later])
    line.outbox.flush()
    array[:] = later[:] = b"!" * 5  # even another size does no harm
    assert line.changes == 1
    received = receive_all(line, 8 * MEGABYTE + 9)
    assert received == b"head" + b"a" * (8 * MEGABYTE) + b"later"
    assert not line.outbox.blocked
    assert line.changes == 2


def test_frames_of_many_threads_are_whole(line: Line) -> None:
    def send(number: int) -> None:
        for _ in range(200):
            line.outbox.put([bytes([number]) * 50, bytes([number]) * 50])
            line.outbox.flush()

    with ThreadPoolExecutor(5) as threads:
        for number in range(4):
            threads.submit(send, number)
        received = threads.submit(line.receive, 4 * 200 * 100)
        while not received.done():
            line.outbox.resume()
        frames = {received.result()[place : place + 100] for place in range(0, 80_000, 100)}
    assert frames == {bytes([number]) * 100 for number in range(4)}


def test_sending_may_wait_and_keeps_the_order(line: Line) -> None:
    line.outbox.put([b"a" * (4 * MEGABYTE)])
    line.outbox.flush()
    assert line.outbox.blocked
    for _ in range(300):  # more pieces than go at a time
        line.outbox.put([b"b"])
    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(line.outbox.send, [b"c" * MEGABYTE])
        received = line.receive(5 * MEGABYTE + 300)
        sending.result(PATIENCE_S)
    assert received == b"a" * (4 * MEGABYTE) + b"b" * 300 + b"c" * MEGABYTE
    assert not line.outbox.blocked


def test_room_is_no_reason_to_wait_for_who_sends(line: Line) -> None:
    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(line.outbox.send, [bytes(8 * MEGABYTE)])
        for _ in range(100):
            line.outbox.resume()
            line.outbox.flush()
        line.receive(8 * MEGABYTE)
        sending.result(PATIENCE_S)


def test_parting_sends_what_goes_and_hangs_up(line: Line) -> None:
    line.outbox.put([b"goodbye"])
    line.outbox.part()
    assert line.receive(100) == b"goodbye"
    line.outbox.put([b"too late"])
    line.outbox.flush()
    assert line.receive(100) == b""


def test_a_peer_that_has_gone_is_no_error(line: Line) -> None:
    line.peer.close()
    for _ in range(3):
        line.outbox.put([b"hello?"])
        line.outbox.flush()
    assert len(line.outbox) == 0
    with pytest.raises(OSError, match="Broken pipe"):
        line.outbox.send([b"hello?"])


def test_nothing_is_kept_after_the_end(line: Line) -> None:
    line.outbox.put([bytes(8 * MEGABYTE)])
    line.outbox.flush()
    line.outbox.close()
    line.outbox.put([b"x"])
    line.outbox.flush()
    assert len(line.outbox) == 0
    line.outbox.hang_up()
    line.outbox.part()
    line.outbox.close()
    assert line.changes == 1


def test_the_end_wakes_who_sends(line: Line) -> None:
    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(line.outbox.send, [bytes(8 * MEGABYTE)])
        line.receive(1)
        line.outbox.close()
        assert isinstance(sending.exception(PATIENCE_S), OSError | None)


def test_what_may_wait_is_bounded(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNSENT_BYTES", 4 * MEGABYTE)
    line.outbox.put([bytes(8 * MEGABYTE)])  # one may be as large as it likes
    line.outbox.flush()
    line.receive(1)
    line.outbox.resume()
    assert line.outbox.blocked
    line.outbox.put([b"one too many"])
    line.outbox.flush()
    size = 0
    while part := line.peer.recv(MEGABYTE):
        size += len(part)
    assert size < 8 * MEGABYTE
    assert line.reasons == [f"more than {module.MAX_UNSENT_BYTES:,} bytes wait for it"]


def test_a_peer_that_stalls_is_dropped(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STALL_S", 0.05)
    line.outbox.put([bytes(8 * MEGABYTE)])
    line.outbox.flush()
    dropped = threading.Event()
    while not dropped.wait(0.01):  # that is when nothing can be received after what was sent
        line.outbox.put([b"x"])
        line.outbox.flush()
        try:
            line.peer.sendall(b"still there?")
        except OSError:
            dropped.set()
    assert line.reasons == [STALLED]


def test_whoever_waits_for_a_peer_that_stalls_drops_it(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STALL_S", 0.05)
    with pytest.raises(BlockingIOError):
        line.outbox.send([bytes(8 * MEGABYTE)])
    assert line.reasons == [STALLED]
