"""The cache, with time and whoever is asked in the test's hands."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from launchpad_lite.courier.cache import Cache, CachedResult

PATIENCE_S = 30.0
REFRESH_S, STALE_S = 2.0, 5.0
READERS = 8


class Bench:
    """A cache, a clock and timers; questions are answered at once, by how many there were."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], object]]] = []
        self.asked: list[str] = []
        self.error: Exception | None = None
        self.held: Future[Any] | None = None
        self.called = threading.Event()
        self.cache = Cache(
            REFRESH_S, STALE_S, 3, clock=lambda: self.now, call_later=self.call_later
        )

    def call_later(self, seconds: float, function: Callable[[], object]) -> Callable[[], object]:
        timer = (self.now + seconds, function)
        self.timers.append(timer)
        return lambda: self.timers.remove(timer) if timer in self.timers else None

    def advance(self, seconds: float) -> None:
        """Let time pass, and what is due happen."""
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer[0] <= end]:
            timer = min(due, key=lambda timer: timer[0])
            self.timers.remove(timer)
            self.now = timer[0]
            timer[1]()
        self.now = end

    def get(self, key: str = "key") -> CachedResult[Any]:
        def ask() -> Future[Any]:
            self.asked.append(key)
            self.called.set()
            if self.held is not None:
                return self.held
            answer: Future[Any] = Future()
            if self.error is not None:
                answer.set_exception(self.error)
            else:
                answer.set_result(len(self.asked))
            return answer

        return self.cache.get(key, f"server/0.{key}", ask)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_result_is_kept_and_says_its_age(bench: Bench) -> None:
    assert bench.get() == CachedResult(1, 0.0)
    bench.now += 1.5
    assert bench.get() == CachedResult(1, 1.5)
    assert bench.get("other") == CachedResult(2, 0.0)


def test_it_is_refreshed_while_somebody_asks(bench: Bench) -> None:
    for turn in itertools.count(1):
        assert bench.get() == CachedResult(turn, 0.0)
        if turn == 5:
            break
        bench.advance(REFRESH_S)
    assert bench.asked == ["key"] * 5


def test_it_is_refreshed_for_nobody(bench: Bench) -> None:
    bench.get()
    bench.advance(REFRESH_S)  # it was asked for since it came
    assert len(bench.asked) == 2
    bench.advance(REFRESH_S)
    assert len(bench.asked) == 2
    assert bench.get() == CachedResult(2, REFRESH_S)
    assert bench.get() == CachedResult(3, 0.0)  # somebody has asked
    bench.advance(100.0)
    assert len(bench.cache) == 0
    assert bench.timers == []


def test_a_stale_result_is_not_given(bench: Bench) -> None:
    bench.get()
    bench.error = ValueError("boom")
    bench.now += STALE_S  # the timer is late
    assert bench.get() == CachedResult(1, STALE_S)
    bench.now += 0.001
    bench.error = None
    assert bench.get() == CachedResult(3, 0.0)


def test_readers_share_one_call(bench: Bench) -> None:
    bench.held = Future()
    with ThreadPoolExecutor(READERS) as pool:
        results = [pool.submit(bench.get) for _ in range(READERS)]
        assert bench.called.wait(PATIENCE_S)
        bench.held.set_result("value")
        assert {result.result(PATIENCE_S).value for result in results} == {"value"}
    assert bench.asked == ["key"]


def test_readers_are_not_kept_waiting_by_a_refresh(bench: Bench) -> None:
    bench.get()
    bench.held = Future()
    bench.advance(REFRESH_S)
    assert len(bench.asked) == 2
    bench.now += 1.0
    assert bench.get() == CachedResult(1, 3.0)
    bench.held.set_result("new")
    assert bench.get() == CachedResult("new", 0.0)
    assert len(bench.asked) == 2


def test_an_error_goes_to_whoever_waits(bench: Bench) -> None:
    bench.error = ValueError("boom")
    for _ in range(2):  # errors are not kept
        with pytest.raises(ValueError, match="boom"):
            bench.get()
    bench.error = None
    assert bench.get() == CachedResult(3, 0.0)


def test_a_question_that_cannot_be_asked(bench: Bench) -> None:
    def fail() -> Future[Any]:
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        bench.cache.get("key", "server/0.key", fail)


def test_a_failed_refresh_leaves_what_is_not_stale(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.get()
    bench.error = ValueError("boom")
    bench.advance(REFRESH_S)
    assert bench.get() == CachedResult(1, REFRESH_S)
    bench.advance(REFRESH_S)
    assert bench.get() == CachedResult(1, 2 * REFRESH_S)
    assert bench.get() == CachedResult(1, 2 * REFRESH_S)
    assert bench.asked == ["key"] * 3  # no more often for that it fails
    assert caplog.text.count("server/0.key could not be refreshed") == 1
    bench.advance(STALE_S)
    with pytest.raises(ValueError, match="boom"):
        bench.get()


def test_what_was_asked_for_longest_ago_makes_room(bench: Bench) -> None:
    for key in ("a", "b", "c", "a", "d"):
        bench.get(key)
    assert len(bench.cache) == 3
    assert len(bench.timers) == 3
    assert bench.get("a").value == 1
    assert bench.get("b").value == 5  # it had gone


def test_what_is_being_asked_is_not_dropped(bench: Bench) -> None:
    bench.held = Future()
    keys = "abcd"
    with ThreadPoolExecutor(READERS) as pool:
        results = [pool.submit(bench.get, key) for key in keys * 2]
        while len(bench.asked) < len(keys):
            assert bench.called.wait(PATIENCE_S)
        bench.held.set_result("value")
        assert {result.result(PATIENCE_S).value for result in results} == {"value"}
    assert sorted(bench.asked) == list(keys)


def test_a_cache_that_is_closed_asks_no_more(bench: Bench) -> None:
    bench.get()
    bench.held = Future()
    bench.advance(REFRESH_S)
    bench.cache.close()
    bench.held.set_result("late")
    assert bench.timers == []
    bench.advance(100.0)
    assert len(bench.asked) == 2
