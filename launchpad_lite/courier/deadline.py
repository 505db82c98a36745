"""How long a call may still take: its own timeout, and what is left of what it is a part of."""

from __future__ import annotations

import contextlib
import contextvars
import time
from typing import TYPE_CHECKING

from launchpad_lite.courier import running_call
from launchpad_lite.errors import DeadlineExceeded, UsageError

if TYPE_CHECKING:
    from collections.abc import Generator

_FOREVER_S = 2.0**31  # more than locks, sockets or gRPC can wait, infinity included

_block: contextvars.ContextVar[float | None] = contextvars.ContextVar("lp_deadline", default=None)
"""When the innermost `with deadline(...)` ends."""


class Deadline:
    """What is left of a timeout.

    Attributes:
      timeout: the seconds that there were in the beginning; None for no limit.
    """

    def __init__(self, timeout: float | None) -> None:
        """Start the clock; None never ends."""
        if timeout is not None and timeout >= _FOREVER_S:
            timeout = None
        self.timeout = timeout
        self._at = None if timeout is None else time.monotonic() + timeout

    @classmethod
    def of_call(cls, timeout: float | None) -> Deadline:
        """Start the clock of a call that is made here.

        It ends no later than the block of `deadline` that it is made in, and the call whose method
        makes it.
        """
        block, call = _block.get(), running_call.current.get()
        outer = call.ends_at if call is not None else None
        if block is None and outer is None:
            return _NEVER if timeout is None else cls(timeout)
        ends = [at for at in (block, outer) if at is not None]
        left = max(0.0, min(ends) - time.monotonic())
        return cls(left if timeout is None else min(timeout, left))

    def left(self) -> float | None:
        """Return the seconds left, at least 0; None for no limit."""
        return None if self._at is None else max(0.0, self._at - time.monotonic())

    def over(self, call: str) -> DeadlineExceeded:
        """Return why a call was not made."""
        return DeadlineExceeded(f"{call} was not called: {self} were over before it could be")

    def __str__(self) -> str:
        """Return what there was in the beginning, for messages."""
        return "the time there was" if self.timeout is None else f"{self.timeout:.4g} s"

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.left() == 0.0


_NEVER = Deadline(None)  # that of most calls


@contextlib.contextmanager
def deadline(seconds: float) -> Generator[None]:
    """Let all calls that are made inside a block end within some seconds of its beginning.

    It holds for the thread or asyncio task, for all clients and ways to call, and together with
    their `call_timeout` and with blocks around this one: what ends first counts. A call whose time
    is over raises `DeadlineExceeded`.

    Example:
      ```
      with lp.deadline(5.0):
          states = [worker.state() for worker in workers]  # 5 seconds for all of them
      ```

    Args:
      seconds: the time that there is; with 0 or less every call fails at once.

    Raises:
      UsageError: it is no number.
    """
    if seconds != seconds:  # noqa: PLR0124 - not a number
        message = "lp.deadline(nan): give seconds."
        raise UsageError(message)
    ends_at, outer = time.monotonic() + seconds, _block.get()
    token = _block.set(ends_at if outer is None else min(ends_at, outer))
    try:
        yield
    finally:
        _block.reset(token)
