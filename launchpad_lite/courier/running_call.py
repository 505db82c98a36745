"""What a method runs for, as it may ask by `lp.get_call_context`."""

from __future__ import annotations

import abc
import contextvars
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_log = logging.getLogger(__name__)


class RunningCall(abc.ABC):
    """What a method runs for: one call or stream, or the calls of a batch.

    Attributes:
      ends_at: the time of `time.monotonic` at which nobody waits any more; None for never.
    """

    __slots__ = ("ends_at",)

    ends_at: float | None

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """The method's name."""

    @property
    @abc.abstractmethod
    def caller(self) -> str:
        """Who calls; empty where that is not known."""

    @property
    @abc.abstractmethod
    def cancelled(self) -> bool:
        """Whether nobody waits for the answer any more."""

    @abc.abstractmethod
    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Call a quick function once when nobody waits any more, or at once if nobody does now.

        After the method has ended it is not called.
        """


def run_all(callbacks: Sequence[Callable[[], object]]) -> None:
    """Call what was given to `on_cancel`; what one raises is logged."""
    for callback in callbacks:
        try:
            callback()
        except Exception:
            _log.exception("a function for the end of a call raised")


current: contextvars.ContextVar[RunningCall | None] = contextvars.ContextVar(
    "lp_call", default=None
)
"""The call that the calling thread, or task, runs."""
