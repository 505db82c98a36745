"""Calls inside one process: the same codec, no socket."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING, ClassVar

from launchpad_lite.courier import auth
from launchpad_lite.courier.pool import DaemonExecutor
from launchpad_lite.courier.transport import (
    Channel,
    Listener,
    ListenOptions,
    ReplyStream,
    Service,
    Transport,
)
from launchpad_lite.errors import DeadlineExceeded, NotAuthenticated, Stopped, Unavailable

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
        self._done = done
        self._lock = threading.Lock()

    def finish(self, reply: Reply | None, error: Exception | None) -> None:
        if self._lock.acquire(blocking=False):
            self._done(reply, error)

    def cancel(self) -> None:
        self._lock.acquire(blocking=False)

    @property
    def finished(self) -> bool:
        return self._lock.locked()


class InprocListener(Listener):
    """Runs calls of this process in a thread pool."""

    def __init__(self, service: Service) -> None:
        """Listen under an endpoint that no other listener has."""
        self.service = service
        self.endpoint = f"inproc:{uuid.uuid4().hex}"
        name = f"lp-serve {service.info().name}"
        self._pool = DaemonExecutor(service.thread_pool_size, name, service.context)
        self._lock = threading.Lock()
        self._calls: set[_Call] = set()
        self._streams: set[ReplyStream] = set()
        self._stopped = False

    def start(self) -> None:
        """See the base class."""
        _listeners[self.endpoint] = self

    def submit(self, call: _Call) -> None:
        """Queue a call."""
        with self._lock:
            if not self._stopped:
                self._calls.add(call)
                self._pool.submit(self._run, call)
                return
        message = f"the server {self.service.info().name} has stopped"
        call.finish(None, Unavailable(message, maybe_executed=False))

    def _run(self, call: _Call) -> None:
        if not call.finished:
            call.running = True
            call.finish(self.service.call(call.request), None)
        with self._lock:
            self._calls.discard(call)

    def open_stream(self, request: Request) -> ReplyStream:
        """Begin a stream; it ends with the listener."""
        stream = self.service.open_stream(request)
        with self._lock:
            self._streams.add(stream)
        return stream

    def stop(self, grace: float) -> None:
        """See the base class."""
        with self._lock:
            self._stopped = True
            _listeners.pop(self.endpoint, None)
            waiting = [call for call in self._calls if not call.running]
            streams = list(self._streams)
        name = self.service.info().name
        for call in waiting:
            message = f"the server {name} stopped before the call began"
            call.finish(None, Unavailable(message, maybe_executed=False))
        for stream in streams:
            stream.close()
        self._pool.shutdown(wait=False)
        self._pool.join(grace)
        with self._lock:
            late = list(self._calls)
        for call in late:
            message = f"the server {name} stopped while the call ran"
            call.finish(None, Unavailable(message, maybe_executed=True))


class InprocChannel(Channel):
    """A client's way to a listener of its own process."""

    local: ClassVar[bool] = True

    def __init__(self, listener: InprocListener) -> None:
        """Connect."""
        self.info = listener.service.info()
        self._listener = listener
        self._lock = threading.Lock()
        self._pending: set[_Call] = set()
        self._closed = False

    def call(self, request: Request) -> Reply:
        """See the base class."""
        outcome: list[tuple[Reply | None, Exception | None]] = []
        ended = threading.Lock()
        ended.acquire()

        def done(reply: Reply | None, error: Exception | None) -> None:
            outcome.append((reply, error))
            ended.release()

        cancel = self.submit(request, done)
        if not ended.acquire(timeout=-1 if request.timeout is None else request.timeout):
            cancel()
            if not outcome:
                message = f"{self.info.name}.{request.method} took over {request.timeout:g} s"
                raise DeadlineExceeded(message)
        reply, error = outcome[0]
        if reply is None:
            raise error or AssertionError
        return reply

    def submit(
        self, request: Request, done: Callable[[Reply | None, Exception | None], object]
    ) -> Callable[[], object]:
        """See the base class."""

        def forget(reply: Reply | None, error: Exception | None) -> None:
            with self._lock:
                self._pending.discard(call)
            done(reply, error)

        call = _Call(request, forget)
        with self._lock:
            closed = self._closed
            if not closed:
                self._pending.add(call)
        if closed:
            call.finish(None, Stopped("the run has stopped"))
        else:
            self._listener.submit(call)

        def cancel() -> None:
            call.cancel()
            with self._lock:
                self._pending.discard(call)

        return cancel

    def stream(self, request: Request) -> ReplyStream:
        """See the base class."""
        return self._listener.open_stream(request)

    def refresh(self, timeout: float | None) -> ServerInfo:
        """See the base class."""
        self.info = self._listener.service.info()
        return self.info

    def close(self) -> None:
        """See the base class."""
        with self._lock:
            self._closed = True
            pending = list(self._pending)
        for call in pending:
            call.finish(None, Stopped("the run has stopped"))


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
