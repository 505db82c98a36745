"""Calls for futures: begun when the server is reached, and again while it certainly did nothing."""

from __future__ import annotations

import functools
import threading
from concurrent.futures import Future, InvalidStateError
from typing import TYPE_CHECKING, Any, TypeVar

from launchpad_lite.courier.counting import CANCELLED, clock, code_of, note_end
from launchpad_lite.courier.in_flight import Full, ending
from launchpad_lite.courier.messages import Request
from launchpad_lite.errors import ResourceExhausted, Unavailable
from launchpad_lite.frames import from_user_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.courier.arguments import Arguments
    from launchpad_lite.courier.codec import Payload
    from launchpad_lite.courier.deadline import Deadline
    from launchpad_lite.courier.messages import Reply, ServerInfo
    from launchpad_lite.courier.remote import Remote
    from launchpad_lite.courier.transport import Channel
    from launchpad_lite.metrics import CallStats

R = TypeVar("R")


class CallFuture(Future[R]):
    """A future whose `cancel` also cancels the call; from any thread, any number of times.

    Attributes:
      abort: cancels the call.
      given_up: whether it is cancelled, before `abort` is called; `cancelled` takes a lock.
    """

    abort: Callable[[], object] | None = None
    given_up: bool = False

    def cancel(self) -> bool:
        """Cancel the call, if it has not ended; return whether it is cancelled."""
        if self.cancelled():
            return True
        if not super().cancel():
            return False
        with self._condition:
            first = self._state == "CANCELLED"  # and not yet "CANCELLED_AND_NOTIFIED"
            if first:
                self.set_running_or_notify_cancel()  # wakes those who wait for it
        self.given_up = True
        abort = self.abort
        if first and abort is not None:
            abort()
        return True


class FutureCall:
    """One call, from its arguments to its future's result."""

    __slots__ = (
        "_again",
        "_caller",
        "_channel",
        "_content",
        "_deadline",
        "_decode",
        "_held",
        "_method",
        "_peer",
        "_sent",
        "_start",
        "_stats",
        "_tries",
        "_undo",
        "_wait",
        "future",
    )

    _channel: Channel  # of the newest try, as the next four
    _content: Arguments
    _again: bool
    _sent: Payload
    _start: int

    def __init__(
        self,
        peer: Remote,
        method: str,
        deadline: Deadline,
        decode: Callable[[Reply, ServerInfo], Any],
        *,
        wait: bool,
    ) -> None:
        """Prepare a call.

        Args:
          peer: the server, or what stands for it.
          method: what to call.
          deadline: when the future fails.
          decode: returns the result in a server's reply, or raises its failure.
          wait: whether to wait for a server that is not up yet.
        """
        self.future: CallFuture[Any] = CallFuture()
        self.future.abort = self._abort
        self._peer = peer
        self._method = method
        self._deadline = deadline
        self._decode = decode
        self._wait = wait
        self._tries = 0  # that failed
        self._stats: CallStats | None = None  # to count the newest try in, until it was counted
        self._undo: Callable[[], object] | None = None
        self._held: list[int] = []  # the bytes that a place in `in_flight` was taken for

    def take_place(self, size: int, most: int, *, fail: bool, wait: bool) -> None:
        """Wait until the call may be under way.

        Args:
          size: the bytes of its arguments.
          most: how many may be.
          fail: whether not to wait for a place.
          wait: whether this thread may wait for one.

        Raises:
          ResourceExhausted: there is none, and it is not waited for.
          Full: there is none, and this thread may not wait.
          DeadlineExceeded: there was none in time.
          Stopped: the run has stopped.
        """
        if self._held:  # since the first try
            return
        places = self._peer.in_flight
        while not places.take(size, most):
            if fail:
                message = (
                    f"{len(places)} calls of {self._peer.title} are under way, and no more may be: "
                    f"{self._method!r} was not called. Wait for some of them, or raise "
                    "max_in_flight."
                )
                raise ResourceExhausted(message)
            if not wait:
                when_free = functools.partial(places.when_free, size, most)
                raise Full(when_free, self._deadline, f"{self._peer.title}.{self._method}")
            free = threading.Event()
            leave = places.when_free(size, most, free.set)
            try:
                in_time = free.wait(self._deadline.left())
            except BaseException:  # this thread is interrupted
                leave()
                raise
            if not in_time:
                leave()
                raise self._deadline.over(f"{self._peer.title}.{self._method}")
            self._peer.connected()  # raises if the run has stopped
        self._held.append(size)

    def _abort(self) -> None:
        self._count(None, CANCELLED)
        undo = self._undo
        self._let_go()
        if undo is not None:
            undo()

    def _let_go(self) -> None:
        """Keep nothing that the future does not need any more; it may be kept for long."""
        self.future.abort = None  # before the other, see `_can_be_undone`
        self._undo = None
        try:
            size = self._held.pop()
        except IndexError:  # it is cancelled while it ends, or never had a place
            return
        self._peer.in_flight.give_back(size)

    def _can_be_undone(self, undo: Callable[[], object]) -> None:
        self._undo = undo
        if self.future.given_up:  # just before
            undo()
        if self.future.abort is None:  # it has ended meanwhile, and what undoes it refers to it
            self._undo = None

    def _count(self, reply: Reply | None, code: str) -> None:
        """Count the newest try, the first time: with its reply, or the code of its error."""
        stats, self._stats = self._stats, None
        if stats is None:
            return
        note_end(stats, self._start, self._sent, None if reply is None else reply.content)
        if reply is None or not reply.ok:
            stats.fail(code if reply is None else reply.code)

    def begin(self, channel: Channel, content: Arguments, *, again: bool) -> None:
        """Make the call on a channel.

        Args:
          channel: to the server.
          content: the arguments.
          again: whether they will still be the same when it is time to try again.

        Raises:
          Unavailable: the server went away, before the call began.
          Exception: what else `Channel.submit` raises.
        """
        if self._method not in self._peer.methods:
            self._peer.check_method(channel, self._method, self._deadline)
        self._channel, self._content, self._again = channel, content, again
        if not self.future.given_up:
            left = self._deadline.left()
            if left == 0.0:
                raise self._deadline.over(f"{self._peer.title}.{self._method}")
            limit = self._deadline.timeout
            payload = content.for_server(channel.info)
            request = Request(self._method, payload, left, channel.local, limit)
            stats = channel.meter[self._method]
            stats.begun += 1
            self._sent, self._start, self._stats = payload, clock(), stats
            try:
                undo = channel.submit(request, self._done)
            except Exception as error:
                self._count(None, code_of(error))
                raise
            self._can_be_undone(undo)

    def _done(self, reply: Reply | None, error: Exception | None) -> None:
        """End the newest try."""
        before, ending.call = ending.call, True
        try:
            self._count(reply, "" if reply is not None else code_of(error))
            if reply is not None:
                self._finish(reply, self._channel.info)
            elif isinstance(error, Unavailable):
                self._retry(self._channel, self._content, error, again=self._again)
            else:
                self.fail(error or AssertionError())
        finally:
            ending.call = before

    def begin_when_ready(self, content: Arguments) -> None:
        """Make the call once there is a channel.

        Args:
          content: the arguments, which do not change.
        """

        def then(channel: Channel | None, failure: Exception | None) -> None:
            if channel is None:
                self.fail(failure or AssertionError())
                return
            try:
                self.begin(channel, content, again=True)
            except Unavailable as error:
                self._retry(channel, content, error, again=True)
            except Exception as error:
                self.fail(error)

        if not self.future.given_up:
            peer, deadline = self._peer, self._deadline
            self._can_be_undone(peer.when_ready(deadline, wait=self._wait, then=then))

    def _retry(
        self, channel: Channel, content: Arguments, error: Unavailable, *, again: bool
    ) -> None:
        self._peer.discard(channel)
        self._tries += 1
        more = self._wait or self._tries < self._peer.places
        if again and more and not error.maybe_executed:
            self.begin_when_ready(content)
        else:
            self.fail(error)

    def _finish(self, reply: Reply, info: ServerInfo) -> None:
        try:
            result = self._decode(reply, info)
        except BaseException as error:  # code of the result's class runs, and may do anything
            self.fail(error)
        else:
            self._let_go()
            try:
                self.future.set_result(result)
            except InvalidStateError:
                return  # it was cancelled meanwhile

    def fail(self, error: BaseException) -> None:
        """End with an exception."""
        self._let_go()
        # our own frames tell nothing, and would keep the client as long as the future is kept
        error.with_traceback(from_user_code(error))
        try:
            self.future.set_exception(error)
        except InvalidStateError:
            return  # it was cancelled meanwhile
