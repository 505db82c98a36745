"""Calls inside one process: the same codec, no socket."""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING, ClassVar

from launchpad_lite.courier import auth
from launchpad_lite.courier.call import ServerCall
from launchpad_lite.courier.codec import check_size
from launchpad_lite.courier.deadlines import deadlines
from launchpad_lite.courier.inproc_stream import InprocStream
from launchpad_lite.courier.pool import DaemonExecutor
from launchpad_lite.courier.transport import (
    DEFAULT_CONNECT_OPTIONS,
    Channel,
    ConnectOptions,
    Listener,
    ListenOptions,
    ReplyStream,
    Service,
    Transport,
    Where,
)
from launchpad_lite.errors import NotAuthenticated, ResourceExhausted, Stopped, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.courier.callers import Caller
    from launchpad_lite.courier.messages import Reply, Request, ServerInfo
    from launchpad_lite.credentials import Credentials

_listeners: dict[str, InprocListener] = {}


class _Call(ServerCall):
    """One call between a channel and a listener; whichever ends it first, ends it."""

    __slots__ = ("_done", "_listener", "_lock")

    def __init__(
        self,
        request: Request,
        origin: Caller,
        listener: InprocListener,
        done: Callable[[Reply | None, Exception | None], object],
    ) -> None:
        super().__init__(request, origin)
        self._listener = listener
        self._done: Callable[[Reply | None, Exception | None], object] | None = done
        self._lock = threading.Lock()

    def answer(self, reply: Reply) -> None:
        self.finish(reply, None)
        self._listener.forget(self)

    def refuse(self) -> None:
        self.finish(None, self._listener.gone("stopped before the call began", begun=False))
        self._listener.forget(self)

    def finish(self, reply: Reply | None, error: Exception | None) -> None:
        if self._lock.acquire(blocking=False):
            done, self._done = self._done, None  # which may hold this call
            if done is not None:
                done(reply, error)

    def give_up(self) -> bool:
        """Whether nobody was faster; `done` is not called any more then."""
        first = self._lock.acquire(blocking=False)
        if first:
            self._done = None
            self.cancel()
        return first

    @property
    def finished(self) -> bool:
        return self._lock.locked()


class InprocListener(Listener):
    """Gives the calls of this process to a service."""

    def __init__(self, service: Service) -> None:
        """Listen under an endpoint that no other listener has."""
        self.service = service
        self.endpoint = f"inproc:{uuid.uuid4().hex}"
        self._name = service.info().name
        self._changed = threading.Condition()
        self._calls: set[_Call] = set()
        self._streams: set[InprocStream] = set()
        self._stopped = False

    def start(self) -> None:
        """See the base class."""
        _listeners[self.endpoint] = self

    def submit(self, call: _Call) -> None:
        """Give a call to the service now, or when there is room for it.

        Raises:
          Unavailable: the server has stopped.
          PayloadTooLarge: the server does not take so much.
        """
        what = f"the arguments of a call of {call.request.method!r}"
        check_size(call.request.arguments, self.service.max_payload_bytes, what)
        with self._changed:
            if self._stopped:
                raise self.gone("has stopped", begun=False)
            self._calls.add(call)
        self._offer(call)

    def _offer(self, call: _Call) -> None:
        if call.finished:  # its client did not wait so long
            self.forget(call)
        elif not self.service.begin(call, Where.ELSEWHERE):
            self.service.when_space(lambda: self._offer(call))

    def gone(self, what: str, *, begun: bool) -> Unavailable:
        """Return what a caller is told whose call is not answered."""
        return Unavailable(f"the server {self._name} {what}", maybe_executed=begun)

    def forget(self, call: _Call) -> None:
        """Do not wait for a call any more: it was answered or refused."""
        with self._changed:
            self._calls.discard(call)
            self._changed.notify_all()

    def open_stream(
        self, request: Request, caller: Caller, streams: set[InprocStream]
    ) -> ReplyStream:
        """Begin a stream; it ends with the listener, or with the channel.

        Args:
          request: which stream.
          caller: whose.
          streams: the channel's.

        Raises:
          Unavailable: the server has stopped.
        """
        owners = (self._streams, streams)

        def forget(stream: InprocStream) -> None:
            for owner in owners:
                owner.discard(stream)

        stream = InprocStream(self.service.open_stream(request, caller), forget)
        for owner in owners:
            owner.add(stream)
        if self._stopped:
            stream.close()
            raise self.gone("has stopped", begun=False)
        try:
            stream.start(f"lp-stream {self._name}", self.service.context)
        except ResourceExhausted:
            stream.close()
            raise
        return stream

    def stop(self, grace: float) -> None:
        """See the base class."""
        deadline = time.monotonic() + grace
        with self._changed:
            self._stopped = True
            _listeners.pop(self.endpoint, None)
        self.service.refuse()
        for stream in list(self._streams):
            stream.end(self.gone("stopped while the stream went on", begun=True))
        with self._changed:
            self._changed.wait_for(lambda: not self._calls, grace)
            late = list(self._calls)
        for call in late:
            call.finish(None, self.gone("stopped while the call ran", begun=True))
        self.service.join(max(0.0, deadline - time.monotonic()))


class InprocChannel(Channel):
    """A client's way to a listener of its own process."""

    local = True

    def __init__(self, listener: InprocListener, caller: str) -> None:
        """Connect."""
        self._caller = listener.service.caller(caller)
        self.info = listener.service.info()
        self._listener = listener
        self._lock = threading.Lock()
        self._pending: set[_Call] = set()
        self._streams: set[InprocStream] = set()
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

        call = _Call(request, self._caller, self._listener, done)
        self._begin(call)
        try:
            in_time = ended.acquire(timeout=-1 if request.timeout is None else request.timeout)
            if not in_time and call.give_up():
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
            if call.give_up():
                if keep_time is not None:
                    keep_time()
                self._end(call)

        call = _Call(request, self._caller, self._listener, finish)
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
        stream = self._listener.open_stream(request, self._caller, self._streams)
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
            call.cancel()
        for stream in list(self._streams):
            stream.end(_stopped())
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
        credentials: Credentials,
        timeout: float | None,
        options: ConnectOptions = DEFAULT_CONNECT_OPTIONS,
    ) -> Channel:
        """See the base class."""
        listener = _listeners.get(endpoint)
        if listener is None:
            message = f"nothing listens at {endpoint} in this process"
            raise Unavailable(message, maybe_executed=False)
        if not auth.is_valid(credentials.token, listener.service.credentials.token):
            message = f"{endpoint} belongs to another run"
            raise NotAuthenticated(message)
        return InprocChannel(listener, options.caller)


TRANSPORT = InprocTransport()
