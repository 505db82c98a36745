"""The calls that wait for their turn in a server, wherever they stand in line."""

from __future__ import annotations

import collections
import heapq
import itertools
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launchpad_lite.courier.call import ServerCall
    from launchpad_lite.metrics import CallStats

Line = collections.deque[int]
"""The numbers of calls in the order in which they are to begin; some may wait no more."""


class WaitingCalls:
    """A bounded set; who has it, has a lock.

    A call that is given up goes at once, and leaves only its number in its line. Those whose time
    is over are looked for when someone wants their place: in a heap, which there is from the first
    such moment on until half of the places are free.
    """

    def __init__(self, most: int) -> None:
        """Make an empty set of at most so many."""
        self._most = most
        self._tidy_at = 2 * most + 64  # numbers in a line, or in the heap
        self._calls: dict[int, ServerCall] = {}
        self._numbers = itertools.count(1)
        self._ends: list[tuple[float, int]] | None = None

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._calls)

    @property
    def full(self) -> bool:
        """Whether there is no place for one more."""
        return len(self._calls) >= self._most

    def counted(self) -> collections.Counter[CallStats]:
        """Return how many there are, by what counts them."""
        return collections.Counter(call.stats for call in self._calls.values())

    def add(self, call: ServerCall, line: Line) -> None:
        """Let a call wait at the end of a line."""
        call.number_in_line = number = next(self._numbers)
        self._calls[number] = call
        if len(line) >= self._tidy_at:
            still = [each for each in line if each in self._calls]
            line.clear()
            line.extend(still)
        line.append(number)
        if self._ends is not None and call.ends_at is not None:
            heapq.heappush(self._ends, (call.ends_at, number))

    def first(self, line: Line) -> ServerCall | None:
        """Take the first call out of a line; it waits on."""
        while line:
            call = self._calls.get(line.popleft())
            if call is not None:
                return call
        return None

    def remove(self, call: ServerCall) -> bool:
        """Let a call wait no more; return whether it did."""
        if self._calls.pop(call.number_in_line, None) is None:
            return False
        if self._ends is not None and len(self._calls) <= self._most // 2:
            self._ends = None
        return True

    def take_late(self) -> list[ServerCall]:
        """Remove the calls whose time is over, and return them."""
        late: list[ServerCall] = []
        while (end := self.next_end()) is not None and end <= time.monotonic():
            late.append(self._calls.pop(heapq.heappop(self._heap())[1]))
        return late

    def next_end(self) -> float | None:
        """Return the time of `time.monotonic` when that of the first call will be over."""
        ends = self._heap()
        while ends and ends[0][1] not in self._calls:
            heapq.heappop(ends)
        return ends[0][0] if ends else None

    def _heap(self) -> list[tuple[float, int]]:
        if self._ends is None or len(self._ends) > self._tidy_at:
            self._ends = [
                (call.ends_at, number)
                for number, call in self._calls.items()
                if call.ends_at is not None
            ]
            heapq.heapify(self._ends)
        return self._ends

    def clear(self) -> Iterable[ServerCall]:
        """Let all wait no more, and return them."""
        calls, self._calls = self._calls, {}
        self._ends = None
        return calls.values()
