"""One call as its server sees it: from its arrival to its answer."""

from __future__ import annotations

import abc
import contextvars
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launchpad_lite.courier.messages import Reply, Request
    from launchpad_lite.courier.method import Method


class ServerCall(abc.ABC):
    """A call that a listener has received; each transport has a subclass, which can answer it.

    Attributes:
      request: what the client sent.
      ends_at: the time of `time.monotonic` at which its client stops waiting; None for never.
      method: what it calls; the service sets it before the call runs or waits.
      begun: whether it runs or has run. When a server stops, clients are told which have begun.
      waited: whether it had to wait for its turn, and its client may have gone meanwhile.
    """

    __slots__ = ("_cancelled", "begun", "ends_at", "method", "request", "waited")

    method: Method

    def __init__(self, request: Request) -> None:
        """Take a request that has just arrived."""
        self.request = request
        timeout = request.timeout
        self.ends_at = None if timeout is None else time.monotonic() + timeout
        self.begun = False
        self.waited = False
        self._cancelled = False

    @abc.abstractmethod
    def answer(self, reply: Reply) -> None:
        """Send the reply; called once, from any thread. Never raises, never waits for the peer."""

    @abc.abstractmethod
    def refuse(self) -> None:
        """Tell the client that the server stops and the call has not begun; like `answer`."""

    def hung_up(self) -> bool:
        """Whether the client is gone, as far as the transport can tell without waiting."""
        return False

    @property
    def late(self) -> bool:
        """Whether its client's time is over."""
        return self.ends_at is not None and time.monotonic() >= self.ends_at

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self._cancelled or self.late or self.hung_up()

    def cancel(self) -> None:
        """Note that the client has given the call up."""
        self._cancelled = True


current: contextvars.ContextVar[ServerCall | None] = contextvars.ContextVar("lp_call", default=None)
"""The call that the calling thread, or task, runs."""
