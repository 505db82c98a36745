"""Functions to be called at a time, for futures with a timeout; one thread while there are any."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from typing import TYPE_CHECKING

from launchpad_lite import forks
from launchpad_lite.courier import threads

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

LINGER_S = 0.1
"""Seconds that the thread waits for more, so that calls one after the other share it."""


class _Entry:
    """A function to call, None once it was called or is not to be."""

    __slots__ = ("at", "function", "number")

    def __init__(self, at: float, number: int, function: Callable[[], object] | None) -> None:
        self.at = at
        self.number = number
        self.function = function

    def __lt__(self, other: _Entry) -> bool:
        return (self.at, self.number) < (other.at, other.number)


class Deadlines:
    """A heap of functions to call.

    Most are cancelled, and soon: that wakes the thread only when it would sleep on for nothing.
    """

    def __init__(self) -> None:
        """Make an empty heap."""
        self.begin()

    def begin(self) -> None:
        """Forget everything: what a process was forked with is its parent's."""
        self._changed = threading.Condition()
        self._heap: list[_Entry] = []
        self._live = 0  # entries that are still to be called
        self._count = itertools.count()
        self._running = False
        self._wakes_at = 0.0

    def __len__(self) -> int:
        """Return how many entries there are, with those that were cancelled."""
        return len(self._heap)

    def call_later(self, seconds: float, function: Callable[[], object]) -> Callable[[], None]:
        """Call a quick function later; return what prevents it.

        Raises:
          ResourceExhausted: there can be no thread to call it.
        """
        entry = _Entry(time.monotonic() + seconds, next(self._count), function)
        with self._changed:
            if not self._running:
                threads.start("lp-deadlines", self._run, for_all=True)  # it waits for the lock
                self._running = True
                self._wakes_at = 0.0  # so it need not be woken
            heapq.heappush(self._heap, entry)
            self._live += 1
            if entry.at < self._wakes_at:
                self._changed.notify()

        def cancel() -> None:
            with self._changed:
                if entry.function is not None:
                    entry.function = None
                    self._live -= 1
                    self._tidy()

        return cancel

    def _tidy(self) -> None:
        if len(self._heap) > 2 * self._live + 64:
            self._heap = [entry for entry in self._heap if entry.function is not None]
            heapq.heapify(self._heap)
        if self._live == 0 and self._wakes_at > time.monotonic() + LINGER_S:
            self._changed.notify()

    def _run(self) -> None:
        idle_since: float | None = None
        while True:
            with self._changed:
                now = time.monotonic()
                if self._live > 0:
                    idle_since = None
                    self._wakes_at = self._heap[0].at
                else:
                    self._heap.clear()
                    idle_since = idle_since or now
                    self._wakes_at = idle_since + LINGER_S
                if self._wakes_at > now:
                    self._changed.wait(min(self._wakes_at - now, threading.TIMEOUT_MAX))
                    continue
                if idle_since is not None:
                    self._running = False
                    return
                entry = heapq.heappop(self._heap)
                function, entry.function = entry.function, None
                self._live -= function is not None
            if function is not None:
                try:
                    function()
                except Exception:
                    _log.exception("a deadline's function raised")
            del entry, function


deadlines = Deadlines()
forks.track(deadlines)
