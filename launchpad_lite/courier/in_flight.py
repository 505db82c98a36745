"""The bound of what a client process has under way at one server: calls for futures, and bytes."""

from __future__ import annotations

import collections
import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.courier.deadline import Deadline

MAX_BYTES = 2**28
"""The arguments of calls for futures that may be under way: 256 MiB, or a single call of any size.

What a server has not read yet, because it is stopped or busy, waits in its clients' memory.
"""


class _Ending(threading.local):
    call: bool = False


ending = _Ending()
"""Its `call` lets the calling thread, while it tells of the end of a call, take places that there
are not: were a user's function for the end of a future kept waiting, no call would ever end."""


class Full(Exception):
    """There is no place for a call now; raised to whoever must not be kept waiting.

    Attributes:
      when_free: `InFlight.when_free` for this call.
      deadline: the call's.
      call: the server and the method, for messages.
    """

    def __init__(
        self,
        when_free: Callable[[Callable[[], object]], Callable[[], object]],
        deadline: Deadline,
        call: str,
    ) -> None:
        """Say how to wait for one."""
        super().__init__()
        self.when_free = when_free
        self.deadline = deadline
        self.call = call


class InFlight:
    """Counts the calls that are under way, and tells when there is room for more."""

    def __init__(self) -> None:
        """Begin with none."""
        # a callback may run in a garbage collection, which may happen under the lock
        self._lock = threading.RLock()
        self._calls = 0
        self._bytes = 0
        self._waiting: collections.deque[_Waiter] = collections.deque()

    def __len__(self) -> int:
        """Return how many calls are under way."""
        return self._calls

    def take(self, size: int, most: int) -> bool:
        """Take a place, if there is one; whoever did so gives it back.

        Args:
          size: the bytes of the call's arguments.
          most: the calls that may be under way.
        """
        with self._lock:
            if _fits(self._calls, self._bytes, size, most) or ending.call:
                self._calls += 1
                self._bytes += size
                return True
        return False

    def give_back(self, size: int) -> None:
        """Give a place back."""
        with self._lock:
            self._calls -= 1
            self._bytes -= size
        if self._waiting:
            self._wake()

    def when_free(
        self, size: int, most: int, callback: Callable[[], object]
    ) -> Callable[[], object]:
        """Call a quick function once when a place was given back, in the thread that did so.

        Or at once, if there is one already.

        Args:
          size: as in `take`, which has found none.
          most: likewise.
          callback: the function.

        Returns:
          A function for whoever does not want the place any more; another hears of it then.
        """
        waiter = _Waiter(size, most, callback)
        self._waiting.append(waiter)
        self._wake()  # it may have been given back just now

        def leave() -> None:
            with contextlib.suppress(ValueError):  # it has been called
                self._waiting.remove(waiter)
            self._wake()  # those behind it

        return leave

    def close(self) -> None:
        """Let all who wait look again: there is nothing to wait for any more."""
        with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
        for waiter in waiting:
            waiter.callback()

    def _wake(self) -> None:
        """Call those at the head of the line for whom there is room, together."""
        found: list[_Waiter] = []
        with self._lock:
            calls, held = self._calls, self._bytes
            while self._waiting:
                waiter = self._waiting[0]
                if not _fits(calls, held, waiter.size, waiter.most):
                    break
                found.append(self._waiting.popleft())
                calls += 1
                held += waiter.size
        for waiter in found:
            waiter.callback()


class _Waiter:
    """Whoever waits for a place; see `InFlight.when_free`."""

    __slots__ = ("callback", "most", "size")

    def __init__(self, size: int, most: int, callback: Callable[[], object]) -> None:
        self.size = size
        self.most = most
        self.callback = callback


def _fits(calls: int, held: int, size: int, most: int) -> bool:
    """Return whether one call more may be under way, beside so many of so many bytes."""
    return calls < most and (held + size <= MAX_BYTES or not calls)
