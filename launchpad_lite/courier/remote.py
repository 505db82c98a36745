"""What a client calls: one server, or a pool that stands for several."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

from launchpad_lite.courier import threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.courier.deadline import Deadline
    from launchpad_lite.courier.in_flight import InFlight
    from launchpad_lite.courier.transport import Channel
    from launchpad_lite.scope import Scope


class Remote(abc.ABC):
    """Gives channels to call on.

    Attributes:
      scope: the run it belongs to; None for what is used alone.
      methods: those that can be called on any of its channels, as far as is known.
      in_flight: the calls for futures that are under way.
    """

    scope: Scope | None
    methods: frozenset[str]
    in_flight: InFlight

    @property
    def places(self) -> int:
        """How many servers it stands for.

        So often a call that certainly did nothing is made again by who does not wait.
        """
        return 1

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """What to call it in messages."""

    @abc.abstractmethod
    def connected(self) -> Channel | None:
        """Return a channel if there is one.

        Raises:
          Stopped: the run has stopped.
        """

    @abc.abstractmethod
    def channel(self, deadline: Deadline, *, wait: bool) -> Channel:
        """Return a channel, connecting first where there is none.

        Raises:
          Unavailable: no server can be reached, and `wait` is False or it has ended.
          DeadlineExceeded: none came up in time.
          Stopped: the run has stopped.
        """

    def when_ready(
        self,
        deadline: Deadline,
        *,
        wait: bool,
        then: Callable[[Channel | None, Exception | None], object],
    ) -> Callable[[], object]:
        """Call `then(channel, None)` or `then(None, error)` once there is a channel, or not.

        Returns:
          A function that takes it back; `then` may still be called when it was too late for that.
        """
        if wait:
            return self._add_waiter(deadline, then)
        self._start(lambda: self._try_once(deadline, then))
        return lambda: None

    @abc.abstractmethod
    def _add_waiter(
        self, deadline: Deadline, then: Callable[[Channel | None, Exception | None], object]
    ) -> Callable[[], object]:
        """Wait for a channel; see `when_ready`."""

    @abc.abstractmethod
    def check_method(self, channel: Channel, method: str, deadline: Deadline) -> None:
        """Refuse a method the channel's server does not have, after asking it once more.

        Raises:
          MethodNotFound: it does not have it; the message has the nearest name.
        """

    @abc.abstractmethod
    def discard(self, channel: Channel) -> None:
        """Begin no more calls on a channel, because its server went away."""

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of all servers."""

    def _start(self, function: Callable[[], object]) -> None:
        name = f"lp-connect {self.title}"
        threads.start(name, function)

    def _try_once(
        self, deadline: Deadline, then: Callable[[Channel | None, Exception | None], object]
    ) -> None:
        try:
            channel = self.channel(deadline, wait=False)
        except Exception as error:
            then(None, error)
        else:
            then(channel, None)
