"""How long a call may still take: its own timeout, and what is left of what it is a part of."""

from __future__ import annotations

import contextlib
import contextvars
import time
from typing import TYPE_CHECKING

from launchpad_lite import validation
from launchpad_lite.courier import running_call
from launchpad_lite.errors import DeadlineExceeded

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Generator

_FOREVER_S = 2.0**31  # more than locks, sockets or gRPC can wait, infinity included

_block: contextvars.ContextVar[Deadline | None] = contextvars.ContextVar(
    "lp_deadline", default=None
)
"""That of the innermost `with deadline(...)`, or of one around it that ends earlier."""


def shown(seconds: float | None) -> str:
    """Return a time limit for people."""
    if seconds is None:
        return "the time it had"
    return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:.0f} s"  # noqa: PLR2004 - not 1e+03


class Deadline:
    """What is left of a timeout.

    Attributes:
      timeout: the seconds that there were in the beginning, as the user set them; None for no
        limit.
      at: when it ends, a time of `time.monotonic`; None for never.
    """

    __slots__ = ("at", "timeout")

    def __init__(self, timeout: float | None) -> None:
        """Start the clock; None never ends."""
        if timeout is not None and timeout >= _FOREVER_S:
            timeout = None
        self.timeout = timeout
        self.at = None if timeout is None else time.monotonic() + timeout

    @classmethod
    def of_call(cls, timeout: float | None) -> Deadline:
        """Start the clock of a call that is made here.

        It ends no later than the block of `deadline` that it is made in, and the call whose method
        makes it.
        """
        block, call = _block.get(), running_call.current.get()
        outer = call.ends_at if call is not None else None
        own = _NEVER if timeout is None else cls(timeout)
        if block is not None:
            own = own.or_before(block)
        if outer is not None and (own.at is None or outer < own.at):
            own = cls(max(0.0, outer - time.monotonic()))
        return own

    def or_before(self, other: Deadline) -> Deadline:
        """Return the one of two that ends first."""
        if other.at is None:
            return self
        return other if self.at is None or other.at < self.at else self

    def left(self) -> float | None:
        """Return the seconds left, at least 0; None for no limit."""
        return None if self.at is None else max(0.0, self.at - time.monotonic())

    def over(self, call: str) -> DeadlineExceeded:
        """Return why a call was not made."""
        return DeadlineExceeded(f"{call} was not called: {self} were over before it could be")

    def __str__(self) -> str:
        """Return what there was in the beginning, for messages."""
        return shown(self.timeout)

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.left() == 0.0


_NEVER = Deadline(None)  # that of most calls


def deadline(seconds: float | dt.timedelta) -> contextlib.AbstractContextManager[None]:
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
      seconds: the time that there is, from the beginning of the block; with 0 or less every call
        fails at once.

    Raises:
      UsageError: it is no number.
    """
    with validation.within("lp.deadline"):
        return _until(validation.seconds("seconds", seconds))


@contextlib.contextmanager
def _until(timeout: float) -> Generator[None]:
    own, outer = Deadline(timeout), _block.get()
    token = _block.set(own if outer is None else own.or_before(outer))
    try:
        yield
    finally:
        _block.reset(token)
