"""A pool as its clients see it: like one server that is there when any of its members is.

It learns of its members' health from what their connections tell: a member is healthy from the time
it was connected to until a call finds its connection dead. Then its own peer looks for it, in the
background, and says when it is back.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from launchpad_lite.courier.deadline import Deadline
from launchpad_lite.courier.in_flight import InFlight
from launchpad_lite.courier.members import Member, MemberChannel
from launchpad_lite.courier.remote import Remote
from launchpad_lite.courier.waiters import Waiters
from launchpad_lite.errors import CallError, DeadlineExceeded, Stopped, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from launchpad_lite.courier.peer import Peer
    from launchpad_lite.courier.transport import Channel

_log = logging.getLogger(__name__)

_NAMED = 4  # as many members are named in messages, or were called together

Choose = Callable[["Sequence[Member]", int], Member]
"""Returns one of some members; the number is another one each time."""


def round_robin(members: Sequence[Member], turn: int) -> Member:
    """Return one after the other."""
    return members[turn % len(members)]


def least_loaded(members: Sequence[Member], turn: int) -> Member:
    """Return one with the fewest calls of ours in flight; among such, one after the other."""
    start = turn % len(members)
    return min((*members[start:], *members[:start]), key=lambda member: member.in_flight)


class PoolPeer(Remote):
    """Several servers that stand for each other."""

    def __init__(self, choose: Choose) -> None:
        """Make a pool without members."""
        self.scope = None
        self.methods = frozenset()
        self.in_flight = InFlight()
        self._choose = choose
        self._lock = threading.RLock()  # the waiters take it too
        self._waiters = Waiters(self._lock, self._too_late)
        self._members: list[Member] = []
        self._healthy: list[Member] = []
        self._gone: dict[str, str] = {}  # those that will not come back, and why
        self._turn = 0

    # --- who is in it ---

    @property
    def members(self) -> list[Member]:
        """The members, in the order in which they came."""
        with self._lock:
            return list(self._members)

    @property
    def places(self) -> int:
        """See the base class."""
        return len(self._members)

    def add(self, client: Any, peer: Peer) -> None:
        """Take in a server, unless it is in the pool; one that has left may come again."""
        with self._lock:
            if any(member.peer is peer for member in self._members):
                return
            self.scope = self.scope or peer.scope
            self._gone.pop(peer.title, None)
            member = Member(client, peer)
            self._members.append(member)
            self._look_for(member)

    def remove(self, peer: Peer) -> bool:
        """Give a server no more calls; return whether it was in the pool."""
        with self._lock:
            found = [member for member in self._members if member.peer is peer]
            for member in found:
                self._drop(member)
        self._serve_waiters()
        return bool(found)

    def _drop(self, member: Member) -> None:
        self._members.remove(member)
        self._leave_out(member)
        stop, member.stop_looking = member.stop_looking, None
        if stop is not None:
            stop()

    def _leave_out(self, member: Member) -> None:
        if member in self._healthy:
            self._healthy.remove(member)
            self._know_methods()

    def _know_methods(self) -> None:
        known = [member.peer.methods for member in self._healthy]
        self.methods = known[0].intersection(*known) if known else frozenset()

    # --- who is there ---

    def _look_for(self, member: Member) -> None:
        """Wait for a member, in the background, without keeping the pool from being collected."""
        found = functools.partial(_found, weakref.ref(self), member)
        member.stop_looking = member.peer.when_ready(Deadline(None), wait=True, then=found)

    def on_found(self, member: Member, failure: Exception | None) -> None:
        """Hear that a member is there; or, with a failure, that it never will be."""
        with self._lock:
            if member not in self._members:
                return
            member.stop_looking = None
            if failure is None:
                self._use(member)
            elif not isinstance(failure, Stopped):
                self._gone[member.peer.title] = str(failure)
                self._drop(member)
                level = logging.INFO if isinstance(failure, Unavailable) else logging.WARNING
                _log.log(level, "%s has left its pool: %s", member.peer.title, failure)
        self._serve_waiters()

    def _use(self, member: Member) -> None:
        if member not in self._healthy:
            self._healthy.append(member)
            self._know_methods()

    def connected(self) -> Channel | None:
        """See the base class."""
        with self._lock:
            while self._healthy:
                self._turn += 1
                member = self._choose(self._healthy, self._turn)
                channel = member.channel()
                if channel is not None:
                    return channel
                self._lose(member)
        if self.scope is not None:
            self.scope.stop.check()
        return None

    def _lose(self, member: Member) -> None:
        self._leave_out(member)
        if member in self._members and member.healthy:
            self._look_for(member)

    def discard(self, channel: Channel) -> None:
        """See the base class."""
        member, inner = _parts(channel)
        member.peer.discard(inner)
        with self._lock, contextlib.suppress(Stopped):  # then nobody is looked for
            if member.peer.connected() is None:
                self._lose(member)

    # --- waiting for one ---

    def channel(self, deadline: Deadline, *, wait: bool) -> Channel:
        """See the base class."""
        channel = self.connected()
        if channel is not None:
            return channel
        if not wait:
            return self._try_each(deadline)
        future: Future[Channel] = Future()

        def then(channel: Channel | None, failure: Exception | None) -> None:
            if channel is None:
                future.set_exception(failure)
            else:
                future.set_result(channel)

        undo = self.when_ready(deadline, wait=True, then=then)
        try:
            return future.result()
        finally:
            undo()

    def _try_each(self, deadline: Deadline) -> Channel:
        why: dict[str, str] = {}
        for member in self.members:
            try:
                member.peer.channel(deadline, wait=False)
                channel = member.channel()
            except CallError as failure:
                why[member.peer.title] = str(failure)
            else:
                if channel is not None:
                    return channel
        raise self._nobody(why)

    def _add_waiter(
        self, deadline: Deadline, then: Callable[[Channel | None, Exception | None], object]
    ) -> Callable[[], object]:
        undo = self._waiters.add(deadline, then)
        self._serve_waiters()
        return undo

    def _serve_waiters(self) -> None:
        """Give those who wait what they wait for, if there is anything to be said to them."""
        for waiter in self._waiters:
            channel: Channel | None = None
            failure: Exception | None = None
            try:
                channel = self.connected()
                if not self._members:
                    failure = self._nobody({})
            except Exception as error:  # the run has stopped, or there can be no more threads
                failure = error
            if channel is None and failure is None:
                return
            if self._waiters.take(waiter):
                waiter.then(channel, failure)

    def check_method(self, channel: Channel, method: str, deadline: Deadline) -> None:
        """See the base class."""
        member, inner = _parts(channel)
        member.peer.check_method(inner, method, deadline)

    def close(self) -> None:
        """Look for nobody any more; the connections are the members'."""
        for member in self.members:
            stop = member.stop_looking
            if stop is not None:
                stop()

    # --- what is said of it ---

    @property
    def title(self) -> str:
        """See the base class."""
        names = [member.peer.title for member in self.members] or list(self._gone)
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return f"the pool of {', '.join(names[:_NAMED]) or 'nobody'}{more}"

    def _nobody(self, why: dict[str, str]) -> Unavailable:
        with self._lock:
            reasons = [*self._gone.values(), *why.values()]
        told = "; ".join(reasons) or "it has no members"
        message = f"no member of {self.title} can be reached: {told}"
        return Unavailable(message, maybe_executed=False)

    def _too_late(self, deadline: Deadline) -> DeadlineExceeded:
        reasons = [str(each.peer.failure) for each in self.members if each.peer.failure is not None]
        told = f": {'; '.join(reasons)}" if reasons else ""
        message = f"no member of {self.title} could be reached within {deadline}{told}"
        return DeadlineExceeded(message)


def _parts(channel: Channel) -> tuple[Member, Channel]:
    if not isinstance(channel, MemberChannel):
        raise TypeError(channel)
    return channel.member, channel.inner


def _found(
    pool: weakref.ref[PoolPeer], member: Member, _: Channel | None, failure: Exception | None
) -> None:
    alive = pool()
    if alive is not None:
        alive.on_found(member, failure)
