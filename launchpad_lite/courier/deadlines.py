"""Functions to be called at a time, for futures with a timeout; one thread while there are any."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Deadlines:
    """A heap of functions to call."""

    def __init__(self) -> None:
        """Make an empty heap."""
        self._changed = threading.Condition()
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._cancelled: set[int] = set()
        self._count = itertools.count()
        self._running = False

    def call_later(self, seconds: float, function: Callable[[], object]) -> Callable[[], None]:
        """Call a quick function later; return what prevents it."""
        with self._changed:
            number = next(self._count)
            heapq.heappush(self._heap, (time.monotonic() + seconds, number, function))
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="lp-deadlines", daemon=True).start()
            self._changed.notify()

        def cancel() -> None:
            with self._changed:
                self._cancelled.add(number)
                self._changed.notify()

        return cancel

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._heap and self._heap[0][1] in self._cancelled:
                    self._cancelled.discard(heapq.heappop(self._heap)[1])
                if not self._heap:
                    self._cancelled.clear()  # of those that were called before
                    self._running = False
                    return
                at, _, function = self._heap[0]
                wait = at - time.monotonic()
                if wait > 0:
                    self._changed.wait(wait)
                    continue
                heapq.heappop(self._heap)
            function()


deadlines = Deadlines()
