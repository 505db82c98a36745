"""The members of a pool: which there are, which are there, and how busy they are with our calls."""

from __future__ import annotations

import collections
import dataclasses
from typing import TYPE_CHECKING, Any

from launchpad_lite.courier.transport import Channel, ReplyStream

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from launchpad_lite.courier.messages import Reply, Request, ServerInfo
    from launchpad_lite.courier.peer import Peer


@dataclasses.dataclass(frozen=True, slots=True)
class PoolMember:
    """A member of a pool, as its user sees it.

    Attributes:
      address: its name in the run, or its address.
      healthy: whether calls are given to it. One that has just come into the pool is connected to
        in the background first.
      in_flight: calls and streams of the pool that it has not ended yet.
    """

    address: str
    healthy: bool
    in_flight: int


class Member:
    """One server of a pool.

    Attributes:
      client: through which it came into the pool.
      peer: the server.
      stop_looking: ends the search for it; None while there is none.
    """

    __slots__ = ("_channel", "_under_way", "client", "peer", "stop_looking")

    def __init__(self, client: Any, peer: Peer) -> None:
        """Make a member."""
        self.client = client
        self.peer = peer
        self.stop_looking: Callable[[], object] | None = None
        # counts without a lock: a stream may end in a garbage collection, inside anybody's locks
        self._under_way: collections.deque[None] = collections.deque()
        self._channel: MemberChannel | None = None

    @property
    def in_flight(self) -> int:
        """How many calls and streams of the pool it has not ended yet."""
        return len(self._under_way)

    @property
    def healthy(self) -> bool:
        """Whether there is a connection to it that is not known to be dead."""
        return self.stop_looking is None

    def channel(self) -> MemberChannel | None:
        """Return the channel if there is one.

        Raises:
          Stopped: the run has stopped.
        """
        channel = self.peer.connected()
        if channel is None:
            self._channel = None
        elif self._channel is None or self._channel.inner is not channel:
            self._channel = MemberChannel(self, channel)
        return self._channel

    def begun(self) -> None:
        """Count a call that begins."""
        self._under_way.append(None)

    def ended(self) -> None:
        """Count a call that has ended."""
        self._under_way.pop()

    def count(self, future: Future[Any]) -> None:
        """Count a call that was made beside the pool, until its future is done."""
        self.begun()
        future.add_done_callback(lambda _: self.ended())


class MemberChannel(Channel):
    """A channel to a member that counts what is in flight."""

    def __init__(self, member: Member, inner: Channel) -> None:
        """Call through another channel."""
        self.member = member
        self.inner = inner
        self.info = inner.info
        self.local = inner.local
        self.meter = inner.meter

    def call(self, request: Request) -> Reply:
        """See the base class."""
        self.member.begun()
        try:
            return self.inner.call(request)
        finally:
            self.member.ended()

    def submit(
        self, request: Request, done: Callable[[Reply | None, Exception | None], object]
    ) -> Callable[[], object]:
        """See the base class."""
        end = _Once(self.member.ended)

        def finish(reply: Reply | None, error: Exception | None) -> None:
            end()
            done(reply, error)

        def cancel() -> None:
            undo()
            end()

        self.member.begun()
        try:
            undo = self.inner.submit(request, finish)
        except BaseException:
            end()
            raise
        return cancel

    def stream(self, request: Request) -> ReplyStream:
        """See the base class."""
        return _MemberStream(self.inner.stream(request), self.member)

    def refresh(self, timeout: float | None) -> ServerInfo:
        """See the base class."""
        self.info = self.inner.refresh(timeout)
        return self.info

    def retire(self) -> None:
        """See the base class."""
        self.inner.retire()

    def close(self) -> None:
        """See the base class."""
        self.inner.close()


class _Once:
    """Calls a function the first time only, from whichever thread."""

    __slots__ = ("_functions",)

    def __init__(self, function: Callable[[], object]) -> None:
        self._functions = [function]

    def __call__(self) -> None:
        try:
            function = self._functions.pop()
        except IndexError:
            return
        function()


class _MemberStream(ReplyStream):
    """A stream that counts as in flight until it ends, is closed or forgotten."""

    def __init__(self, replies: ReplyStream, member: Member) -> None:
        self._replies = replies
        self._end = _Once(member.ended)
        member.begun()

    def __next__(self) -> Reply:
        try:
            return next(self._replies)
        except BaseException:
            self._end()
            raise

    def close(self) -> None:
        self._replies.close()
        self._end()

    def __del__(self) -> None:
        self._end()
