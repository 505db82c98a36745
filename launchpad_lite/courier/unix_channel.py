"""The client's side of the framed protocol over Unix sockets.

A call that is waited for takes an idle connection, last in, first out; futures share one.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

from launchpad_lite.courier import frame
from launchpad_lite.courier.codec import check_size
from launchpad_lite.courier.connection import Connection
from launchpad_lite.courier.messages import decode_info
from launchpad_lite.courier.transport import Channel, ReplyStream
from launchpad_lite.courier.unix_futures import BROKEN, UnixFutures, gone, stopped
from launchpad_lite.errors import DeadlineExceeded, NotAuthenticated, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.courier.messages import Reply, Request, ServerInfo

MAX_CONNECTIONS = 64
"""Calls of one channel that wait at a time, each on a connection; more wait for their turn.

Where the server runs more calls at a time, it is as many as those.
"""

_CONNECT_S = 20.0
_MAX_WELCOME = 2**24  # bytes; from someone who has not proved anything
_NO_LIMIT = 2**62  # what the server may answer; it keeps to its own limit
_ANSWERS = (frame.Kind.RESULT, frame.Kind.FAILURE)


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
        self._streams: set[_UnixStream] = set()
        self._opening = 0
        self._closed = False
        self._retired = False
        self._futures: UnixFutures | None = None
        self._futures_lock = threading.Lock()
        self._idle.append(self._open(timeout))

    def _open(self, timeout: float) -> Connection:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            deadline = time.monotonic() + timeout
            sock.settimeout(min(timeout, _CONNECT_S))
            sock.connect(self._path)
            sock.settimeout(None)
            connection = Connection(sock, _MAX_WELCOME)
            connection.send([frame.MAGIC + self._token], deadline)
            self.info = self._read_welcome(connection.read(deadline))
        except TimeoutError as error:
            sock.close()
            message = f"no answer from {self._path} within {timeout:g} s"
            raise DeadlineExceeded(message) from error
        except BROKEN as error:
            sock.close()
            message = f"cannot connect to {self._path}: {str(error) or 'it hung up'}"
            raise Unavailable(message, maybe_executed=False) from error
        except BaseException:
            sock.close()
            raise
        connection.limit = _NO_LIMIT
        return connection

    def _read_welcome(self, welcome: frame.Frame) -> ServerInfo:
        if welcome.kind != frame.Kind.WELCOME:
            message = f"{self._path} belongs to another run, or to another user"
            raise NotAuthenticated(message)
        return decode_info(welcome.content.pickled, self._path)

    def _check_out(self, deadline: float | None, method: str) -> Connection:
        most = max(MAX_CONNECTIONS, self.info.thread_pool_size)
        with self._free:
            while not self._idle and len(self._busy) + self._opening >= most:
                self._check(method)
                if not self._free.wait(_left(deadline)):
                    message = f"no free connection to {self.info.name} for {method!r} in time"
                    raise DeadlineExceeded(message)
            self._check(method)
            if self._idle:
                connection = self._idle.pop()
                self._busy.add(connection)
                return connection
            self._opening += 1
        try:
            connection = self._open(_CONNECT_S if deadline is None else _left(deadline) or 0.0)
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

    def _check(self, method: str) -> None:
        """Refuse to begin a call when this channel is not to be used any more."""
        if self._closed:
            raise stopped()
        if self._retired:
            raise gone(self.info, method, maybe_executed=False)

    def _check_in(self, connection: Connection, *, usable: bool) -> None:
        with self._free:
            self._busy.discard(connection)
            keep = usable and not self._closed and not self._retired
            if keep:
                self._idle.append(connection)
            self._free.notify()
        if not keep:
            connection.close()

    def call(self, request: Request) -> Reply:
        """See the base class."""
        self._check_size(request)
        deadline = None if request.timeout is None else time.monotonic() + request.timeout
        connection = self._check_out(deadline, request.method)
        answer, begun = None, False
        try:
            connection.send(frame.pack_request(request, 0), deadline)
            begun = True  # it may have, from now on
            answer = connection.read(deadline)
            if answer.kind == frame.Kind.STOPPING:
                begun = 0 in answer.begun()
                answer = connection.read(deadline) if begun else None
        except TimeoutError as error:
            raise request.late(self.info.name) from error
        except ConnectionResetError:
            begun = False  # the server closed the connection without reading all of the request
        except BROKEN:
            pass
        finally:
            usable = answer is not None and answer.kind in _ANSWERS
            self._check_in(connection, usable=usable)
        if answer is None or not usable:
            if self._closed:
                raise stopped()
            raise gone(self.info, request.method, maybe_executed=begun)
        return answer.reply()

    def _check_size(self, request: Request) -> None:
        what = f"the arguments of {self.info.name}.{request.method}"
        check_size(request.arguments, self.info.max_payload_bytes, what)

    def submit(
        self, request: Request, done: Callable[[Reply | None, Exception | None], object]
    ) -> Callable[[], object]:
        """See the base class."""
        self._check_size(request)
        futures = self._futures
        if futures is None or futures.broken:
            futures = self._open_futures(request)
        return futures.submit(request, done)

    def _open_futures(self, request: Request) -> UnixFutures:
        with self._futures_lock:
            if self._futures is None or self._futures.broken:
                self._check(request.method)
                timeout = _CONNECT_S if request.timeout is None else request.timeout
                futures = UnixFutures(self._open(timeout), self.info, lambda: self._closed)
                with self._free:
                    self._futures = futures
                    closed, retired = self._closed, self._retired
                if closed:
                    futures.close()
                elif retired:
                    futures.retire()
            return self._futures

    def stream(self, request: Request) -> ReplyStream:
        """See the base class."""
        self._check_size(request)
        self._check(request.method)
        stream = _UnixStream(self._open(_CONNECT_S), self._streams.discard)
        with self._free:
            self._streams.add(stream)
            closed = self._closed
        if closed:
            stream.close()
            raise stopped()
        try:
            stream.begin(request)
        except OSError as error:
            stream.close()
            raise gone(self.info, request.method, maybe_executed=False) from error
        return stream

    def refresh(self, timeout: float | None) -> ServerInfo:
        """See the base class."""
        self._check("the handshake")
        connection = self._open(_CONNECT_S if timeout is None else timeout)
        info = self.info
        self._check_in(connection, usable=True)
        return info

    def retire(self) -> None:
        """See the base class."""
        with self._free:
            self._retired = True
            idle, self._idle = self._idle, []
            futures = self._futures
            self._free.notify_all()
        for connection in idle:
            connection.close()
        if futures is not None:
            futures.retire()

    def close(self) -> None:
        """See the base class."""
        with self._free:
            self._closed = True
            idle, self._idle = self._idle, []
            busy, streams = list(self._busy), list(self._streams)
            futures = self._futures
            self._free.notify_all()
        for connection in idle:
            connection.close()
        for connection in busy:
            connection.hang_up()  # whoever uses it closes it
        for stream in streams:
            stream.close()
        if futures is not None:
            futures.close()


class _UnixStream(ReplyStream):
    def __init__(self, connection: Connection, forget: Callable[[_UnixStream], None]) -> None:
        self._connection = connection
        self._forget = forget

    def begin(self, request: Request) -> None:
        self._connection.send(frame.pack_request(request, 0, frame.Kind.STREAM))

    def __next__(self) -> Reply:
        try:
            answer = self._connection.read()
        except BROKEN:
            answer = None
        if answer is None or answer.kind not in _ANSWERS:
            self.close()
            raise StopIteration
        return answer.reply()

    def close(self) -> None:
        self._forget(self)
        self._connection.close()


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
