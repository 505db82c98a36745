"""What a method may know of the call that it runs for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from launchpad_lite import validation
from launchpad_lite.courier import running_call
from launchpad_lite.errors import ContextError

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.courier.running_call import RunningCall


class CallContext:
    """The call that a method runs for; in a batched method, all calls of the batch.

    It may be kept, and asked from other threads.
    """

    __slots__ = ("_call",)

    def __init__(self, call: RunningCall) -> None:
        """Look at a call; `lp.get_call_context` does it."""
        self._call = call

    @property
    def method(self) -> str:
        """The name that the method was called by."""
        return self._call.title

    @property
    def peer(self) -> str:
        """Who calls: the node, such as `actor/3`; or `process 4711 on host` where it is none.

        It is what the caller says of itself, for logs and the like: whoever may call at all can say
        anything, so let nobody do more because of it. Empty for programs in other languages, and
        where a batch has calls of several.
        """
        return self._call.caller

    @property
    def deadline(self) -> float | None:
        """When nobody waits any more, as a time of `time.monotonic`; None for never.

        In a batch that is when the last one gives up.
        """
        return self._call.ends_at

    def time_left(self) -> float | None:
        """Return the seconds until the deadline, at least 0; None for no limit."""
        ends_at = self._call.ends_at
        return None if ends_at is None else max(0.0, ends_at - time.monotonic())

    def cancelled(self) -> bool:
        """Return whether nobody waits for the result any more.

        The caller has cancelled the call or is gone, its time is over, or the server stops the
        stream. In a batch: whether that is so for all calls.
        """
        return self._call.cancelled

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Call a function once, in another thread, when `cancelled()` becomes true.

        If it is true already that is at once, in this thread; after the method has ended it is
        never. The function must be quick.

        Args:
          callback: what to call; what it raises is logged.

        Raises:
          UsageError: it is no function.
        """
        validation.function(callback, "on_cancel")
        self._call.on_cancel(callback)

    def __repr__(self) -> str:
        """Show whose call it is."""
        return f"<call of {self.method!r} by {self.peer or 'an unknown peer'}>"


def get_call_context() -> CallContext:
    """Return the call that the calling thread, or asyncio task, runs a server's method for.

    Raises:
      ContextError: it runs none.
    """
    call = running_call.current.get()
    if call is None:
        message = (
            "no call is running here. Ask inside a method that a server has called, in its own "
            "thread or task, and hand the context on to threads that the method starts."
        )
        raise ContextError(message)
    return CallContext(call)
