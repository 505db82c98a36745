"""The client's side of the framed protocol over Unix sockets.

A call that is waited for takes an idle connection, last in, first out; futures share one.
"""

from __future__ import annotations

import itertools
import socket
import threading
import time
from typing import TYPE_CHECKING

import msgspec

from launchpad_lite.courier import frame
from launchpad_lite.courier.connection import Connection
from launchpad_lite.courier.deadlines import deadlines
from launchpad_lite.courier.messages import ServerInfo
from launchpad_lite.courier.transport import Channel, ReplyStream
from launchpad_lite.errors import DeadlineExceeded, NotAuthenticated, Stopped, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launchpad_lite.courier.messages import Reply, Request

MAX_CONNECTIONS = 64
"""Calls of one channel that wait at a time, each on a connection; more wait for their turn."""

_CONNECT_S = 20.0


def connect(path: str, token: bytes, timeout: float | None) -> UnixChannel:
    """Connect and shake hands; see `Transport.connect`."""
    return UnixChannel(path, token, _CONNECT_S if timeout is None else timeout)


class UnixChannel(Channel):
    """A client's way to one Unix socket."""

    def __init__(self, path: str, token: bytes, timeout: float) -> None:
        """Open the first connection."""
        self._path = path
        self._token = token
        self._free = threading.Condition()
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._opening = 0
        self._closed = False
        self._futures: _Futures | None = None
        self._limit = 2**62  # what the server may answer; it keeps to its own limit
        self._idle.append(self._open(timeout))

    def _open(self, timeout: float) -> Connection:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection = Connection(sock, self._limit)
        deadline = time.monotonic() + timeout
        try:
            sock.settimeout(timeout)
            sock.connect(self._path)
            sock.settimeout(None)
            connection.send([frame.MAGIC + self._token])
            welcome = connection.read_until(deadline)
        except TimeoutError as error:
            sock.close()
            message = f"no answer from {self._path} within {timeout:g} s"
            raise DeadlineExceeded(message) from error
        except (OSError, EOFError, frame.ProtocolError) as error:
            sock.close()
            message = f"cannot connect to {self._path}: {str(error) or 'it hung up'}"
            raise Unavailable(message, maybe_executed=False) from error
        if welcome.kind != frame.Kind.WELCOME:
            sock.close()
            message = f"{self._path} belongs to another run, or to another user"
            raise NotAuthenticated(message)
        self.info = msgspec.msgpack.decode(welcome.content.pickled, type=ServerInfo)
        return connection

    def _check_out(self, timeout: float | None) -> Connection:
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._free:
            while not self._idle and len(self._busy) + self._opening >= MAX_CONNECTIONS:
                left = None if deadline is None else deadline - time.monotonic()
                if self._closed:
                    break
                if not self._free.wait(left):
                    message = f"no free connection to {self.info.name} within {timeout:g} s"
                    raise DeadlineExceeded(message)
            if self._closed:
                raise _stopped()
            if self._idle:
                connection = self._idle.pop()
                self._busy.add(connection)
                return connection
            self._opening += 1
        try:
            connection = self._open(_CONNECT_S if timeout is None else timeout)
        except BaseException:
            with self._free:
                self._opening -= 1
                self._free.notify()
            raise
        with self._free:
            self._opening -= 1
            self._busy.add(connection)
        if self._closed:
            connection.hang_up()
        return connection

    def _check_in(self, connection: Connection, *, usable: bool) -> None:
        with self._free:
            self._busy.discard(connection)
            keep = usable and not self._closed
            if keep:
                self._idle.append(connection)
            self._free.notify()
        if not keep:
            connection.close()

    def call(self, request: Request) -> Reply:
        """See the base class."""
        deadline = None if request.timeout is None else time.monotonic() + request.timeout
        connection = self._check_out(request.timeout)
        before = connection.sent_bytes
        usable = False
        try:
            connection.send(frame.pack_request(request, 0))
            answer = connection.read() if deadline is None else connection.read_until(deadline)
            usable = answer.kind in (frame.Kind.RESULT, frame.Kind.FAILURE)
        except TimeoutError as error:
            message = f"{self.info.name}.{request.method} took over {request.timeout:g} s"
            raise DeadlineExceeded(message) from error
        except (OSError, EOFError, frame.ProtocolError) as error:
            if self._closed:
                raise _stopped() from error
            sent = connection.sent_bytes > before
            raise _gone(self.info, request.method, maybe_executed=sent) from error
        finally:
            self._check_in(connection, usable=usable)
        return answer.reply()

    def submit(
        self, request: Request, done: Callable[[Reply | None, Exception | None], object]
    ) -> Callable[[], object]:
        """See the base class."""
        with self._free:
            if self._closed:
                raise _stopped()
            if self._futures is None or self._futures.broken:
                self._futures = _Futures(self._open(_CONNECT_S), self)
            futures = self._futures
        return futures.submit(request, done)

    def stream(self, request: Request) -> ReplyStream:
        """See the base class."""
        connection = self._check_out(request.timeout)
        try:
            connection.send(frame.pack_request(request, 0, frame.Kind.STREAM))
        except OSError as error:
            self._check_in(connection, usable=False)
            raise _gone(self.info, request.method, maybe_executed=False) from error

        def release() -> None:
            self._check_in(connection, usable=False)

        return _UnixStream(connection, release)

    def refresh(self, timeout: float | None) -> ServerInfo:
        """See the base class."""
        connection = self._open(_CONNECT_S if timeout is None else timeout)
        with self._free:
            self._busy.add(connection)
        self._check_in(connection, usable=True)
        return self.info

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self) -> None:
        """See the base class."""
        with self._free:
            self._closed = True
            idle, self._idle = self._idle, []
            busy = list(self._busy)
            futures = self._futures
            self._free.notify_all()
        for connection in idle:
            connection.close()
        for connection in busy:
            connection.hang_up()  # whoever uses it closes it
        if futures is not None:
            futures.close()


class _UnixStream(ReplyStream):
    def __init__(self, connection: Connection, release: Callable[[], None]) -> None:
        self._connection = connection
        self._release = release
        self._ended = False

    def __next__(self) -> Reply:
        if self._ended:
            raise StopIteration
        try:
            answer = self._connection.read()
        except (OSError, EOFError, frame.ProtocolError):
            answer = None
        if answer is None or answer.kind not in (frame.Kind.RESULT, frame.Kind.FAILURE):
            self._ended = True
            self._release()
            raise StopIteration
        return answer.reply()

    def close(self) -> None:
        self._connection.hang_up()


class _Futures:
    """The connection that a channel's futures share."""

    def __init__(self, connection: Connection, channel: UnixChannel) -> None:
        self._connection = connection
        self._channel = channel
        self._info = channel.info
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._pending: dict[int, tuple[str, Callable[..., object]]] = {}
        self.broken = False
        name = f"lp-futures {self._info.name}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, request: Request, done: Callable[..., object]) -> Callable[[], object]:
        number = next(self._ids) & 0xFFFFFFFF
        with self._lock:
            if self.broken:
                raise _gone(self._info, request.method, maybe_executed=False)
            self._pending[number] = (request.method, done)
        self._send(frame.pack_request(request, number))
        if request.timeout is None:
            return lambda: self._take(number)
        seconds = request.timeout
        keep_time = deadlines.call_later(seconds, lambda: self._late(number, seconds))

        def cancel() -> None:
            keep_time()
            self._take(number)

        return cancel

    def _send(self, pieces: Sequence[frame.Bytes]) -> None:
        try:
            self._connection.send(pieces)
        except OSError:
            self._connection.hang_up()  # the reader tells all who wait, this call among them

    def _take(self, number: int) -> tuple[str, Callable[..., object]] | None:
        with self._lock:
            return self._pending.pop(number, None)

    def _late(self, number: int, seconds: float) -> None:
        entry = self._take(number)
        if entry is not None:
            message = f"{self._info.name}.{entry[0]} took over {seconds:g} s"
            entry[1](None, DeadlineExceeded(message))

    def _run(self) -> None:
        while True:
            try:
                answer = self._connection.read()
            except (OSError, EOFError, frame.ProtocolError):
                break
            entry = self._take(answer.call_id)
            if entry is not None:
                entry[1](answer.reply(), None)
        with self._lock:
            self.broken = True
            pending, self._pending = self._pending, {}
        self._connection.close()
        for method, done in pending.values():
            closed = self._channel.closed
            done(None, _stopped() if closed else _gone(self._info, method, maybe_executed=True))

    def close(self) -> None:
        self._connection.hang_up()
        if self._thread is not threading.current_thread():
            self._thread.join()


def _stopped() -> Stopped:
    return Stopped("the run has stopped")


def _gone(info: ServerInfo, method: str, *, maybe_executed: bool) -> Unavailable:
    message = f"{info.name or 'the server'} went away during the call of {method!r}"
    return Unavailable(message, maybe_executed=maybe_executed)
