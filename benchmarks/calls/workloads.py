"""What a client does in the measured time. Ray's interpreter imports it too: NumPy is all it needs.

Every workload warms up until its window begins, and counts the calls that end inside it. All
clients get the same window, so that their rates can be added.
"""

from __future__ import annotations

import abc
import collections
import dataclasses
import threading
import time
from typing import TYPE_CHECKING, Any

from benchmarks.calls.process import resident_mb
from benchmarks.calls.service import floats, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.window import Figures, Window

MB = 2**20


class Target(abc.ABC):
    """A server as one client of a peer sees it."""

    @abc.abstractmethod
    def caller(self, method: str) -> Callable[[Any], Any]:
        """Return what calls a method and waits for its result, in the thread that asks."""


class FuturesTarget(Target):
    """A server of a peer that has futures."""

    @abc.abstractmethod
    def starter(self, method: str) -> Callable[[Any], Any]:
        """Return what begins a call."""

    @abc.abstractmethod
    def wait(self, call: Any) -> Any:
        """Return the result of a call that was begun."""


def with_futures(target: Target) -> FuturesTarget:
    """Return a target whose calls can be in flight together.

    Raises:
      TypeError: its peer has no futures; `cases.py` measures this workload for those that do.
    """
    if not isinstance(target, FuturesTarget):
        message = f"{type(target).__module__} has no futures: take it out of the case's peers"
        raise TypeError(message)
    return target


class Workload(abc.ABC):
    """What one client does."""

    @abc.abstractmethod
    def __call__(self, target: Target, window: Window) -> Figures:
        """Do it, and return what was measured."""


@dataclasses.dataclass(frozen=True)
class Ask(Workload):
    """One call, for the number that it returns: `value`.

    Attributes:
      method: which.
      argument: what it gets.
    """

    method: str
    argument: Any = None

    def __call__(self, target: Target, window: Window) -> Figures:
        """See the base class."""
        return {"value": float(target.caller(self.method)(self.argument))}


@dataclasses.dataclass(frozen=True)
class Sync(Workload):
    """One call after the other: `rate` in calls/s, `p50` and `p99` in microseconds.

    `calls` are all, with those that were made to warm up.
    """

    def __call__(self, target: Target, window: Window) -> Figures:
        """See the base class."""
        call = target.caller("echo")
        assert call(1) == 1
        window.check()
        took: list[float] = []
        calls, now = 1, time.monotonic()
        while now < window.end:
            call(1)
            calls += 1
            before, now = now, time.monotonic()
            if window.begin <= now < window.end:
                took.append(now - before)
        figures = {"calls": float(calls), "rate": window.rate(len(took))}
        took.sort()
        if took:  # one of many clients may have no call in the window
            figures.update(p50=_percentile(took, 50), p99=_percentile(took, 99))
        return figures


def _percentile(seconds: list[float], percent: int) -> float:
    return 1e6 * seconds[len(seconds) * percent // 100]


@dataclasses.dataclass(frozen=True)
class Threads(Workload):
    """Threads that share one target, each with one call after the other: `rate` in calls/s.

    Attributes:
      count: of threads.
    """

    count: int

    def __call__(self, target: Target, window: Window) -> Figures:
        """See the base class."""
        rates: list[float] = []
        threads = [
            threading.Thread(target=lambda: rates.append(Sync()(target, window)["rate"]))
            for _ in range(self.count)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(rates) == self.count
        return {"rate": sum(rates)}


@dataclasses.dataclass(frozen=True)
class InFlight(Workload):
    """Calls for futures, so many at a time: `rate` in calls/s.

    Attributes:
      count: calls in flight.
      method: which.
      argument: what it gets.
    """

    count: int
    method: str = "echo"
    argument: Any = 1

    def __call__(self, target: Target, window: Window) -> Figures:
        """See the base class."""
        futures = with_futures(target)
        start, wait, argument = futures.starter(self.method), futures.wait, self.argument
        waiting = collections.deque(start(argument) for _ in range(self.count))
        wait(waiting[0])
        window.check()
        calls, now = 0, time.monotonic()
        while now < window.end:
            wait(waiting.popleft())
            waiting.append(start(argument))
            now = time.monotonic()
            if window.begin <= now < window.end:
                calls += 1
        while waiting:
            wait(waiting.popleft())
        return {"rate": window.rate(calls)}


@dataclasses.dataclass(frozen=True)
class Arrays(Workload):
    """Calls with an array of float32, one after the other: `rate` in MB/s.

    Attributes:
      method: `echo` (both ways), `take` (one way) or `fetch` (the other way). The bytes of an echo
        are counted once.
      megabytes: the array, in units of 2^20 bytes.
      least: calls that are made even where the window is too short for them.
    """

    method: str
    megabytes: int
    least: int = 3

    def __call__(self, target: Target, window: Window) -> Figures:
        """See the base class."""
        call, count = target.caller(self.method), self.megabytes * MB // 4
        argument: Any = count if self.method == "fetch" else floats(count)
        result = _read(call(argument))
        while time.monotonic() < window.begin:  # of which one call may be all
            result = _read(call(argument))
        start = now = time.monotonic()
        length, calls = window.end - window.begin, 0
        while calls < self.least or now < start + length:
            result = _read(call(argument))
            calls += 1
            now = time.monotonic()
        assert result == read(floats(count))
        return {"rate": self.megabytes * calls / (now - start)}


def _read(result: Any) -> float:
    return result if isinstance(result, float) else read(result)


@dataclasses.dataclass(frozen=True)
class Many(Workload):
    """A number of small calls, half of them sync and half for futures: `resident_mb` of the client.

    Attributes:
      calls: how many.
      in_flight: calls for futures at a time.
    """

    calls: int
    in_flight: int = 100

    def __call__(self, target: Target, window: Window) -> Figures:
        """See the base class."""
        futures = with_futures(target)
        call, start, wait = futures.caller("echo"), futures.starter("echo"), futures.wait
        for number in range(self.calls // 2):
            call(number)
        waiting: collections.deque[Any] = collections.deque()
        for number in range(self.calls - self.calls // 2):
            if len(waiting) == self.in_flight:
                wait(waiting.popleft())
            waiting.append(start(number))
        while waiting:
            wait(waiting.popleft())
        return {"resident_mb": resident_mb()}
