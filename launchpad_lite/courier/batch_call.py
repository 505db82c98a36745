"""The calls of a batch, as the batched method that runs for all of them sees them."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from launchpad_lite.courier import running_call

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence


class BatchCall(running_call.RunningCall):
    """Several calls that run as one: it is cancelled when all of them are."""

    __slots__ = ("_calls", "_lock", "_over")

    def __init__(self, members: Sequence[running_call.RunningCall]) -> None:
        """Put calls together; there is at least one."""
        self._calls = members
        self._lock = threading.Lock()
        self._over = False
        ends = [call.ends_at for call in members]
        known = [at for at in ends if at is not None]
        self.ends_at = max(known) if len(known) == len(ends) else None

    @property
    def title(self) -> str:
        """See the base class."""
        return self._calls[0].title

    @property
    def caller(self) -> str:
        """See the base class; empty when several call."""
        callers = {call.caller for call in self._calls}
        return callers.pop() if len(callers) == 1 else ""

    @property
    def cancelled(self) -> bool:
        """See the base class."""
        return all(call.cancelled for call in self._calls)

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """See the base class."""
        left = len(self._calls)

        def count() -> None:
            nonlocal left
            with self._lock:
                left -= 1
                last = left == 0 and not self._over
            if last:
                running_call.run_all([callback])

        for call in self._calls:
            call.on_cancel(count)

    def ended(self) -> None:
        """Note that the method has ended."""
        with self._lock:
            self._over = True


@contextlib.contextmanager
def running_for(origins: Sequence[running_call.RunningCall | None]) -> Generator[None]:
    """Make the calling thread run for the calls of a batch inside this block.

    Args:
      origins: the calls; None for what this process itself has called outside of any, which can
        be neither cancelled nor late.
    """
    members = [call for call in origins if call is not None]
    if not members or len(members) < len(origins):
        yield
        return
    batch = BatchCall(members)
    token = running_call.current.set(batch)
    try:
        yield
    finally:
        running_call.current.reset(token)
        batch.ended()
