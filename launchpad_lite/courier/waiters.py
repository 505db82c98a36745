"""Those who wait until a server is found, each until a deadline of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launchpad_lite.courier.deadline import Deadline
from launchpad_lite.courier.deadlines import deadlines
from launchpad_lite.errors import ResourceExhausted

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from launchpad_lite.courier.transport import Channel


class Waiter:
    """Someone who is called when the server was found."""

    __slots__ = ("deadline", "keep_time", "then")

    def __init__(
        self, deadline: Deadline, then: Callable[[Channel | None, Exception | None], object]
    ) -> None:
        """Wait, but no longer than the deadline."""
        self.deadline = deadline
        self.then = then
        self.keep_time: Callable[[], object] | None = None


class Waiters:
    """Everyone who waits for the same."""

    def __init__(self, lock: threading.RLock, too_late: Callable[[Deadline], Exception]) -> None:
        """Make an empty set.

        Args:
          lock: what guards it.
          too_late: returns what those are told whose deadline has passed.
        """
        self._lock = lock
        self._too_late = too_late
        self._waiting: dict[Waiter, None] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._waiting)

    def __iter__(self) -> Iterator[Waiter]:
        """Go over those that there are now."""
        return iter(list(self._waiting))

    def add(
        self, deadline: Deadline, then: Callable[[Channel | None, Exception | None], object]
    ) -> Callable[[], object]:
        """Let someone wait; return what takes it back.

        Raises:
          ResourceExhausted: there can be no thread to keep the time.
        """
        waiter = Waiter(deadline, then)
        with self._lock:
            self._waiting[waiter] = None
        left = deadline.left()
        if left is not None:
            try:
                waiter.keep_time = deadlines.call_later(left, lambda: self.give_up(waiter))
            except ResourceExhausted:
                self.take(waiter)
                raise
            if waiter not in self._waiting:  # it was called before it had the timer
                waiter.keep_time()
        return lambda: self.take(waiter)

    def take(self, waiter: Waiter) -> bool:
        """Return whether it was still waiting; it does so no longer."""
        with self._lock:
            waited = waiter in self._waiting
            self._waiting.pop(waiter, None)
        if waiter.keep_time is not None:
            waiter.keep_time()
        return waited

    def give_up(self, waiter: Waiter) -> None:
        """Tell it that its time is over, if it still waits."""
        if self.take(waiter):
            waiter.then(None, self._too_late(waiter.deadline))


class Longest(Deadline):
    """As much time as anyone has who waits."""

    def __init__(self, waiters: Waiters) -> None:
        """Look at the waiters whenever it is asked."""
        super().__init__(None)
        self._waiters = waiters

    def left(self) -> float | None:
        """Return the seconds that the most patient one has left; None for no limit."""
        most = 0.0
        for waiter in self._waiters:
            left = waiter.deadline.left()
            if left is None:
                return None
            most = max(most, left)
        return most
