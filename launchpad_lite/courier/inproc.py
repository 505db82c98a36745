"""Calls inside one process: the same codec, no socket."""

from __future__ import annotations

import functools
import threading
import time
import uuid
from typing import TYPE_CHECKING, ClassVar

from launchpad_lite.courier import auth
from launchpad_lite.courier.codec import check_size
from launchpad_lite.courier.deadlines import deadlines
from launchpad_lite.courier.pool import DaemonExecutor
from launchpad_lite.courier.transport import (
    Channel,
    Listener,
    ListenOptions,
    ReplyStream,
    Service,
    Transport,
)
from launchpad_lite.errors import NotAuthenticated, Stopped, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.courier.messages import Reply, Request, ServerInfo

_listeners: dict[str, InprocListener] = {}


class _Call:
    """One call between a channel and a listener; whichever ends it first, ends it."""

    __slots__ = ("_done", "_lock", "request", "running")

    def __init__(
        self, request: Request, done: Callable[[Reply | None, Exception | None], object]
    ) -> None:
        self.request = request
        self.running = False
        self._done: Callable[[Reply | None, Exception | None], object] | None = done
        self._lock = threading.Lock()

    def finish(self, reply: Reply | None, error: Exception | None) -> None:
        if self._lock.acquire(blocking=False):
            done, self._done = self._done, None  # which may hold this call
            if done is not None:
                done(reply, error)

    def cancel(self) -> bool:
        first = self._lock.acquire(blocking=False)
        if first:
            self._done = None
        return first

    @property
    def finished(self) -> bool:
        return self._lock.locked()


class _Stream(ReplyStream):
    """A service's stream that its listener and its channel can end."""

    def __init__(self, replies: ReplyStream, owners: tuple[set[_Stream], set[_Stream]]) -> None:
        self._replies = replies
        self._owners = owners
        for owner in owners:
            owner.add(self)

    def __next__(self) -> Reply:
        try:
            return next(self._replies)
        except BaseException:
            self._leave()
            raise

    def close(self) -> None:
        self._leave()
        self._replies.close()

    def _leave(self) -> None:
        for owner in self._owners:
            owner.discard(self)


class InprocListener(Listener):
    """Runs calls of this process in a thread pool."""

    def __init__(self, service: Service) -> None:
        """Listen under an endpoint that no other listener has."""
        self.service = service
        self.endpoint = f"inproc:{uuid.uuid4().hex}"
        self._name = service.info().name
        name = f"lp-serve {self._name}"
        self._pool = DaemonExecutor(service.thread_pool_size, name, service.context)
        self._lock = threading.Condition()
        self._calls: set[_Call] = set()
        self._streams: set[_Stream] = set()
        self._stopped = False

    def start(self) -> None:
        """See the base class."""
        _listeners[self.endpoint] = self

    def submit(self, call: _Call) -> None:
        """Queue a call.

        Raises:
          Unavailable: the server has stopped.
          PayloadTooLarge: the server does not take so much.
        """
        what = f"the arguments of a call of {call.request.method!r}"
        check_size(call.request.arguments, self.service.max_payload_bytes, what)
        with self._lock:
            if self._stopped:
                raise self._unavailable("has stopped", maybe_executed=False)
            self._calls.add(call)
            self._pool.submit(self._run, call)

    def _unavailable(self, what: str, *, maybe_executed: bool) -> Unavailable:
        message = f"the server {self._name} {what}"
        return Unavailable(message, maybe_executed=maybe_executed)

    def _run(self, call: _Call) -> None:
        with self._lock:
            # what `stop` finds waiting, it calls not executed
            call.running = not call.finished and not self._stopped
        reply: Reply | None = None
        if call.running:
            reply = self.service.call(call.request, functools.partial(self._finish, call))
            if reply is None:
                return
        self._finish(call, reply)

    def _finish(self, call: _Call, reply: Reply | None) -> None:
        if reply is not None:
            call.finish(reply, None)
        with self._lock:
            self._calls.discard(call)
            self._lock.notify_all()

    def open_stream(self, request: Request, streams: set[_Stream]) -> ReplyStream:
        """Begin a stream; it ends with the listener, or with the channel.

        Args:
          request: which stream.
          streams: the channel's.

        Raises:
          Unavailable: the server has stopped.
        """
        stream = _Stream(self.service.open_stream(request), (self._streams, streams))
        if self._stopped:
            stream.close()
            raise self._unavailable("has stopped", maybe_executed=False)
        return stream

    def stop(self, grace: float) -> None:
        """See the base class."""
        with self._lock:
            self._stopped = True
            _listeners.pop(self.endpoint, None)
            waiting = [call for call in self._calls if not call.running]
        for call in waiting:
            error = self._unavailable("stopped before the call began", maybe_executed=False)
            call.finish(None, error)
        for stream in list(self._streams):
            stream.close()
        deadline = time.monotonic() + grace
        self._pool.shutdown(wait=False)
        self._pool.join(grace)
        with self._lock:
            self._lock.wait_for(lambda: not self._calls, max(0.0, deadline - time.monotonic()))
            late = list(self._calls)
        for call in late:
            error = self._unavailable("stopped while the call ran", maybe_executed=True)
            call.finish(None, error)


class InprocChannel(Channel):
    """A client's way to a listener of its own process."""

    local: ClassVar[bool] = True

    def __init__(self, listener: InprocListener) -> None:
        """Connect."""
        self.info = listener.service.info()
        self._listener = listener
        self._lock = threading.Lock()
        self._pending: set[_Call] = set()
        self._streams: set[_Stream] = set()
        self._closed = False
        self._retired = False
        # What waits for futures runs here, not in a thread of the server's, which it could need.
        self._callbacks = DaemonExecutor(1, f"lp-futures {self.info.name}", None)

    def call(self, request: Request) -> Reply:
        """See the base class."""
        outcome: list[tuple[Reply | None, Exception | None]] = []
        ended = threading.Lock()
        ended.acquire()

        def done(reply: Reply | None, error: Exception | None) -> None:
            outcome.append((reply, error))
            ended.release()

        call = _Call(request, done)
        self._begin(call)
        try:
            in_time = ended.acquire(timeout=-1 if request.timeout is None else request.timeout)
            if not in_time and call.cancel():
                raise request.late(self.info.name)
        finally:
            self._end(call)
        if not in_time:  # it ended just now
            ended.acquire()
        reply, error = outcome[0]
        if reply is None:
            raise error or AssertionError
        return reply

    def _begin(self, call: _Call) -> None:
        with self._lock:
            self._check()
            self._pending.add(call)
        try:
            self._listener.submit(call)
        except BaseException:
            self._end(call)
            raise
        if call.finished:  # before it was in the set
            self._end(call)

    def _check(self) -> None:
        if self._closed:
            raise _stopped()
        if self._retired:
            message = f"the server {self.info.name} went away"
            raise Unavailable(message, maybe_executed=False)

    def _end(self, call: _Call) -> None:
        with self._lock:
            self._pending.discard(call)
            last = not self._pending and (self._retired or self._closed)
        if last:
            self._callbacks.shutdown(wait=False)

    def submit(
        self, request: Request, done: Callable[[Reply | None, Exception | None], object]
    ) -> Callable[[], object]:
        """See the base class."""
        keep_time: Callable[[], object] | None = None

        def finish(reply: Reply | None, error: Exception | None) -> None:
            if keep_time is not None:
                keep_time()
            self._callbacks.submit(done, reply, error)
            self._end(call)

        def cancel() -> None:
            if call.cancel():
                if keep_time is not None:
                    keep_time()
                self._end(call)

        call = _Call(request, finish)
        if request.timeout is not None:
            keep_time = deadlines.call_later(
                request.timeout, lambda: call.finish(None, request.late(self.info.name))
            )
        try:
            self._begin(call)
        except BaseException:
            cancel()
            raise
        return cancel

    def stream(self, request: Request) -> ReplyStream:
        """See the base class."""
        with self._lock:
            self._check()
        stream = self._listener.open_stream(request, self._streams)
        if self._closed:
            stream.close()
        return stream

    def refresh(self, timeout: float | None) -> ServerInfo:
        """See the base class."""
        self.info = self._listener.service.info()
        return self.info

    def retire(self) -> None:
        """See the base class."""
        with self._lock:
            self._retired = True
            last = not self._pending
        if last:
            self._callbacks.shutdown(wait=False)

    def close(self) -> None:
        """See the base class."""
        with self._lock:
            self._closed = True
            pending = list(self._pending)
        for call in pending:
            call.finish(None, _stopped())
        for stream in list(self._streams):
            stream.close()
        if not pending:
            self._callbacks.shutdown(wait=False)


def _stopped() -> Stopped:
    return Stopped("the run has stopped")


class InprocTransport(Transport):
    """Calls inside one process."""

    scheme: ClassVar[str] = "inproc"

    def listen(self, service: Service, options: ListenOptions) -> Listener:
        """See the base class."""
        return InprocListener(service)

    def connect(
        self,
        endpoint: str,
        token: bytes,
        timeout: float | None,
        *,
        compress: bool = False,
    ) -> Channel:
        """See the base class."""
        listener = _listeners.get(endpoint)
        if listener is None:
            message = f"nothing listens at {endpoint} in this process"
            raise Unavailable(message, maybe_executed=False)
        if not auth.is_valid(token, listener.service.token):
            message = f"{endpoint} belongs to another run"
            raise NotAuthenticated(message)
        return InprocChannel(listener)


TRANSPORT = InprocTransport()
