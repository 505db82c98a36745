"""One thread leads; another takes its place when it is stuck."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
from collections.abc import Callable, Iterator

import pytest

from launchpad_lite.courier.event_loop import EventLoop, Turn
from tests.unit.scarce import no_more_threads

PATIENCE_S = 30.0


class Pipe:
    """A subject that does some work for each byte in a pipe."""

    def __init__(self, loop: EventLoop, work: Callable[[bytes], object]) -> None:
        self._loop = loop
        self._work = work
        self._read, self._write = os.pipe2(os.O_NONBLOCK)
        self.threads: list[int] = []
        self.resumed = threading.Semaphore(0)
        loop.register(self._read, self, select.EPOLLIN)

    def send(self, byte: bytes) -> None:
        os.write(self._write, byte)

    def ready(self, mask: int, turn: Turn) -> bool:
        assert mask & select.EPOLLIN
        byte = os.read(self._read, 1)
        self.threads.append(threading.get_ident())
        turn.leave()
        self._work(byte)
        return turn.back()

    def resume(self, turn: Turn) -> bool:
        assert not turn.away
        self.threads.append(threading.get_ident())
        self.resumed.release()
        return True

    def close(self) -> None:
        self._loop.unregister(self._read)
        os.close(self._read)
        os.close(self._write)


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    one = EventLoop("lp-test-loop", None)
    one.start()
    yield one
    one.end()
    one.close()


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "lp-test-loop"]


def test_events_come_to_their_subjects_in_one_thread(loop: EventLoop) -> None:
    done = threading.Semaphore(0)
    pipes = [Pipe(loop, lambda _: done.release()) for _ in range(5)]
    for pipe in pipes * 3:
        pipe.send(b"x")
    for _ in range(15):
        assert done.acquire(timeout=PATIENCE_S)
    for pipe in pipes:
        assert len(pipe.threads) == 3
        pipe.close()


def test_a_subject_is_resumed_when_it_asks_for_it(loop: EventLoop) -> None:
    pipe = Pipe(loop, lambda _: None)
    for _ in range(3):
        loop.soon(pipe)
    for _ in range(3):
        assert pipe.resumed.acquire(timeout=PATIENCE_S)
    pipe.close()


def test_who_is_stuck_is_replaced(loop: EventLoop) -> None:
    """The others are served; the stuck one's subject goes on at once, in another thread."""
    opened, entered, left = threading.Event(), threading.Semaphore(0), threading.Semaphore(0)

    def enter(_: bytes) -> None:
        entered.release()
        opened.wait(PATIENCE_S)
        left.release()

    stuck = [Pipe(loop, enter) for _ in range(3)]
    done = threading.Semaphore(0)
    quick = Pipe(loop, lambda _: done.release())
    for pipe in stuck:
        pipe.send(b"x")
        assert entered.acquire(timeout=PATIENCE_S)
        assert pipe.resumed.acquire(timeout=PATIENCE_S)
        assert pipe.threads[0] != pipe.threads[1]
        quick.send(b"x")
        assert done.acquire(timeout=PATIENCE_S)
    assert len({pipe.threads[0] for pipe in stuck}) == 3
    opened.set()
    for _ in stuck:
        assert left.acquire(timeout=PATIENCE_S)
    quick.send(b"x")
    assert done.acquire(timeout=PATIENCE_S)
    for pipe in (*stuck, quick):
        pipe.close()


def test_without_more_threads_who_was_stuck_looks_after_the_next(loop: EventLoop) -> None:
    leave = [threading.Event() for _ in range(3)]
    stuck = Pipe(loop, lambda byte: leave[byte[0]].wait(PATIENCE_S))
    leaders: list[int] = []
    with no_more_threads():
        for number, event in enumerate(leave):
            stuck.send(bytes([number]))
            assert stuck.resumed.acquire(timeout=PATIENCE_S)
            leaders.append(stuck.threads[-2])
            event.set()
    assert leaders[0] != leaders[1]
    assert leaders[0] == leaders[2]
    assert len(threads()) == 2
    stuck.close()


def test_what_needs_another_event_to_go_on_is_no_deadlock(loop: EventLoop) -> None:
    opened, done = threading.Event(), threading.Semaphore(0)

    def enter(_: bytes) -> None:
        assert opened.wait(PATIENCE_S)
        done.release()

    stuck, key = Pipe(loop, enter), Pipe(loop, lambda _: opened.set())
    for _ in range(5):
        opened.clear()
        stuck.send(b"x")
        key.send(b"x")
        assert done.acquire(timeout=PATIENCE_S)
    stuck.close()
    key.close()


def test_the_guard_sleeps_while_nothing_happens(loop: EventLoop) -> None:
    assert not loop.watched
    done = threading.Semaphore(0)
    pipe = Pipe(loop, lambda _: done.release())
    for _ in range(2):
        pipe.send(b"x")
        assert done.acquire(timeout=PATIENCE_S)
        rest = threading.Event()
        while loop.watched:  # it looks some more times, then never
            rest.wait(0.01)
    pipe.close()


def test_a_subject_that_raises_harms_nobody(
    loop: EventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    class Bad(Pipe):
        def ready(self, mask: int, turn: Turn) -> bool:
            super().ready(mask, turn)
            message = "what a subject should not do"
            raise ValueError(message)

    done = threading.Semaphore(0)
    bad, good = Bad(loop, lambda _: None), Pipe(loop, lambda _: done.release())
    with caplog.at_level(logging.ERROR):
        bad.send(b"x")
        good.send(b"x")
        assert done.acquire(timeout=PATIENCE_S)
        bad.send(b"x")
        good.send(b"x")
        assert done.acquire(timeout=PATIENCE_S)
    assert "what a subject should not do" in caplog.text
    bad.close()
    good.close()


def test_nobody_leads_after_the_end() -> None:
    loop = EventLoop("lp-test-loop", None)
    loop.start()
    assert len(threads()) == 2
    loop.end()
    assert threads() == []
    pipe = Pipe(loop, lambda _: None)
    pipe.close()
    loop.close()
    loop.soon(pipe)  # as a late callback may


def test_the_end_does_not_wait_for_who_is_stuck() -> None:
    loop = EventLoop("lp-test-loop", None)
    loop.start()
    opened, entered = threading.Event(), threading.Semaphore(0)

    def enter(_: bytes) -> None:
        entered.release()
        opened.wait(PATIENCE_S)

    pipe = Pipe(loop, enter)
    pipe.send(b"x")
    assert entered.acquire(timeout=PATIENCE_S)
    loop.end()
    opened.set()
    for thread in threads():
        thread.join(PATIENCE_S)
    assert threads() == []
    pipe.close()
    loop.close()


def test_it_may_end_before_it_begins() -> None:
    loop = EventLoop("lp-test-loop", None)
    loop.end()
    loop.close()


def test_where_there_can_be_no_more_threads(
    loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard leads, and has no successor."""
    opened, entered, done = threading.Event(), threading.Semaphore(0), threading.Semaphore(0)

    def enter(_: bytes) -> None:
        entered.release()
        opened.wait(PATIENCE_S)

    def refuse(_: threading.Thread) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    stuck, quick = Pipe(loop, enter), Pipe(loop, lambda _: done.release())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        stuck.send(b"x")
        assert entered.acquire(timeout=PATIENCE_S)
        quick.send(b"x")
        assert done.acquire(timeout=PATIENCE_S)
    opened.set()
    with contextlib.closing(stuck), contextlib.closing(quick):
        quick.send(b"x")
        assert done.acquire(timeout=PATIENCE_S)


def test_a_start_that_was_interrupted_is_no_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A signal comes when there is a thread that has not begun yet."""
    one = EventLoop("lp-test-loop", None)
    begun = threading.Thread.start
    held: list[threading.Thread] = []

    def interrupt(thread: threading.Thread) -> None:
        held.append(thread)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupt)
        with pytest.raises(KeyboardInterrupt):
            one.start()
    one.end()
    one.close()
    for thread in held:
        begun(thread)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert not caplog.records
