"""One call as its server sees it: from its arrival to its answer."""

from __future__ import annotations

import abc
import threading
import time
from typing import TYPE_CHECKING, Any

from launchpad_lite.courier import counting
from launchpad_lite.courier.deadlines import deadlines
from launchpad_lite.courier.running_call import RunningCall, run_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launchpad_lite.courier.callers import Caller
    from launchpad_lite.courier.messages import Reply, Request
    from launchpad_lite.courier.method import Method
    from launchpad_lite.metrics import CallStats

_watching = threading.RLock()  # callbacks of all calls; a garbage collection may want it again


class ReceivedCall(RunningCall):
    """A call, or the beginning of a stream, that has come from a client.

    Attributes:
      request: what the client sent.
      origin: the client.
      arrived: the time of `counting.clock` when it came.
      method: what it calls; the service sets it before the call runs or waits.
      stats: counts the calls of this method by this client; the service sets it then too.
      begun: whether it runs or has run. When a server stops, clients are told which have begun.
      waited: whether it had to wait for its turn, and its client may have gone meanwhile.
      number_in_line: its number while it waits; see `WaitingCalls`.
    """

    __slots__ = (
        "_callbacks",
        "_cancelled",
        "_timer",
        "_withdraw",
        "arrived",
        "begun",
        "method",
        "number_in_line",
        "origin",
        "request",
        "stats",
        "waited",
    )

    method: Method
    stats: CallStats
    number_in_line: int

    def __init__(self, request: Request, origin: Caller) -> None:
        """Take a request that has just arrived from a client."""
        self.request = request
        self.origin = origin
        timeout = request.timeout
        self.ends_at = None if timeout is None else time.monotonic() + timeout
        self.arrived = counting.clock()
        self._cancelled = False
        self._callbacks: list[Callable[[], object]] | None = None
        self._timer: Callable[[], object] | None = None
        self._withdraw: Callable[[Any], object] | None = None
        self.begun = False
        self.waited = False

    @property
    def title(self) -> str:
        """See the base class."""
        return self.request.method

    @property
    def caller(self) -> str:
        """See the base class."""
        return self.origin.name

    def age(self, seconds: float) -> None:
        """Note that the call was so long on its way: its client's time goes on meanwhile."""
        if seconds > 0.0 and self.ends_at is not None:
            self.ends_at -= seconds
            self.waited = self.waited or self.late

    def hung_up(self) -> bool:
        """Whether the client is gone, as far as the transport can tell without waiting."""
        return False

    def count(self, reply: Reply) -> None:
        """Count the call, which ends with a reply."""
        stats = self.stats
        counting.note_end(stats, self.arrived, reply.content, self.request.arguments)
        if not reply.ok:
            stats.fail(reply.code)

    @property
    def late(self) -> bool:
        """Whether its client's time is over."""
        return self.ends_at is not None and time.monotonic() >= self.ends_at

    @property
    def cancelled(self) -> bool:
        """See the base class."""
        return self._cancelled or self.late or self.hung_up()

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """See the base class."""
        with _watching:
            first = self._callbacks is None
            self._callbacks = [*(self._callbacks or ()), callback]
        if first and self.ends_at is not None:
            left = max(0.0, self.ends_at - time.monotonic())
            self._timer = deadlines.call_later(left, self.cancel)
        if self.cancelled:
            self.cancel()

    def cancel(self) -> None:
        """Note that the client has given the call up; the caller holds no lock."""
        self._cancelled = True
        if self._callbacks is not None:
            run_all(self._take())
        if self._withdraw is not None:
            self._withdraw(self)

    def waits(self, withdraw: Callable[[Any], object]) -> None:
        """Note that the call waits for its turn.

        Args:
          withdraw: takes the call when its client has given it up.
        """
        self.waited = True
        self._withdraw = withdraw

    def ended(self) -> None:
        """Note that the method has ended, and nobody is to hear of a later end of its client."""
        if self._callbacks is not None:
            self._take()
        if self._timer is not None:
            self._timer()

    def _take(self) -> Sequence[Callable[[], object]]:
        with _watching:
            callbacks, self._callbacks = self._callbacks, None
        return callbacks or ()


class ServerCall(ReceivedCall):
    """A call that a listener has received; each transport has a subclass, which can answer it."""

    __slots__ = ()

    def watch(self) -> None:
        """Hear from now on of a client that gives the call up, which has to wait; from any thread.

        It is for transports that otherwise have to be asked.
        """

    @abc.abstractmethod
    def answer(self, reply: Reply) -> None:
        """Send the reply; called once, from any thread. Never raises, never waits for the peer."""

    @abc.abstractmethod
    def refuse(self) -> None:
        """Tell the client that the server stops and the call has not begun; like `answer`."""
