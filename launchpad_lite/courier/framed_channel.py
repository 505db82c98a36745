"""The client's side of the framed protocol, whatever carries its bytes.

A call that is waited for takes an idle connection, last in, first out; futures share one, and so do
calls beyond a number of connections.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from launchpad_lite.courier import frame
from launchpad_lite.courier.byte_stream import ByteStream
from launchpad_lite.courier.codec import check_size
from launchpad_lite.courier.connection import Connection
from launchpad_lite.courier.deadline import shown
from launchpad_lite.courier.frame_reader import NotReceived
from launchpad_lite.courier.framed_futures import BROKEN, FramedFutures, gone, stopped
from launchpad_lite.courier.framed_stream import FramedStream
from launchpad_lite.courier.messages import decode_info
from launchpad_lite.courier.transport import DEFAULT_CONNECT_OPTIONS, Channel, ReplyStream
from launchpad_lite.errors import (
    DeadlineExceeded,
    NotAuthenticated,
    ResourceExhausted,
    Unavailable,
)

if TYPE_CHECKING:
    from launchpad_lite.courier.messages import Reply, Request, ServerInfo
    from launchpad_lite.courier.transport import ConnectOptions

MAX_CONNECTIONS = 64
"""Calls of one channel that wait on a connection of their own; more share the futures'."""

CONNECT_S = 20.0
"""Seconds to connect in, where the caller has no limit."""

_MAX_WELCOME = 2**24  # bytes; from someone who has not proved anything
_NO_LIMIT = 2**62  # what the server may answer; it keeps to its own limit
_ANSWERS = (frame.Kind.RESULT, frame.Kind.FAILURE)

Dial = Callable[[float], ByteStream]
"""Connects within so many seconds, or raises TimeoutError or another OSError."""


class FramedChannel(Channel):
    """A client's way to one listener."""

    def __init__(
        self,
        dial: Dial,
        place: str,
        token: bytes,
        timeout: float | None,
        options: ConnectOptions = DEFAULT_CONNECT_OPTIONS,
    ) -> None:
        """Open the first connection, and shake hands; see `Transport.connect`.

        Args:
          dial: opens a stream to the listener.
          place: where that is, for messages.
          token: the secret to show.
          timeout: seconds; None for the default.
          options: see `ConnectOptions`.
        """
        self._caller = options.caller
        self._dial = dial
        self._place = place
        self._token = token
        self._busy_poll_s = options.busy_poll_us / 1e6
        self._lock = threading.Lock()
        self._idle: list[Connection] = []  # its methods are atomic: calls need no lock
        self._open: set[Connection] = set()
        self._opening = 0
        self._streams: set[FramedStream] = set()
        self._closed = False
        self._retired = False
        self._futures: FramedFutures | None = None
        self._worn_futures: list[FramedFutures] = []  # with calls, perhaps
        self._opening_futures = threading.Lock()
        connection = self._connect(timeout)
        self._keep(connection)
        self._check_in(connection)

    def _connect(self, timeout: float | None) -> Connection:
        timeout = CONNECT_S if timeout is None else timeout
        deadline = time.monotonic() + timeout
        connection: Connection | None = None
        try:
            connection = Connection(self._dial(min(timeout, CONNECT_S)), _MAX_WELCOME)
            connection.send([frame.MAGIC + self._token], deadline)
            self.info = self._read_welcome(connection.read(deadline))
            # not before: a server that refuses a client reads nothing more of it
            connection.send(frame.pack_caller(self._caller), deadline)
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, TimeoutError):
                message = f"no answer from {self._place} within {shown(timeout)}"
                raise DeadlineExceeded(message) from error
            if isinstance(error, BROKEN):
                message = f"cannot connect to {self._place}: {str(error) or 'it hung up'}"
                raise Unavailable(message, maybe_executed=False) from error
            raise
        connection.limit = _NO_LIMIT
        connection.busy_poll_s = self._busy_poll_s
        return connection

    def _read_welcome(self, welcome: frame.Frame) -> ServerInfo:
        if welcome.kind != frame.Kind.WELCOME:
            message = f"{self._place} belongs to another run, or to another user"
            raise NotAuthenticated(message)
        return decode_info(welcome.content.pickled, self._place)

    def _check(self, method: str) -> None:
        """Refuse to begin a call when this channel is not to be used any more."""
        if self._closed:
            raise stopped()
        if self._retired:
            raise gone(self.info, method, maybe_executed=False)

    def _open_one(self, request: Request) -> Connection | None:
        """Open a connection for a call; None when there are as many as may be."""
        with self._lock:
            self._check(request.method)
            if len(self._open) + self._opening >= MAX_CONNECTIONS:
                return None
            self._opening += 1
        try:
            connection = self._connect(request.timeout)
        finally:
            with self._lock:
                self._opening -= 1
        self._keep(connection)
        return connection

    def _keep(self, connection: Connection) -> None:
        with self._lock:
            self._open.add(connection)
            if self._closed:
                connection.hang_up()

    def _take_idle(self) -> Connection | None:
        """Return a connection that waits for a call, if there is one, to a server that is there."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not connection.parted:
                return connection
            self._drop(connection)

    def _check_in(self, connection: Connection) -> None:
        if connection.worn:
            self._drop(connection)
            return
        self._idle.append(connection)
        if self._closed or self._retired:
            self._close_idle()

    def _close_idle(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._drop(self._idle.pop())

    def _drop(self, connection: Connection) -> None:
        with self._lock:
            self._open.discard(connection)
        connection.close()

    def call(self, request: Request) -> Reply:
        """See the base class."""
        self._check_size(request)
        deadline = None if request.timeout is None else time.monotonic() + request.timeout
        connection = self._take_idle() or self._open_one(request)
        if connection is None:
            return self._call_sharing(request)
        answer: frame.Frame | None = None
        begun = stopping = False
        number = connection.next_number()
        try:
            pieces = frame.pack_request(request, number, sharing=connection.sharing)
            connection.send(pieces, deadline)
            begun = True  # it may have, from now on
            answer = connection.read(deadline)
            if answer.kind == frame.Kind.STOPPING:
                stopping = True
                begun = number in answer.ids()
                answer = connection.read(deadline) if begun else None
        except (TimeoutError, NotReceived) as error:
            reason = error.reason if isinstance(error, NotReceived) else None
            raise reason or request.late(self.info.name) from error
        except ConnectionResetError:
            begun = False  # the server closed the connection without reading all of the request
        except BROKEN:
            pass
        finally:
            answered = answer is not None and answer.kind in _ANSWERS
            if answered and not stopping:
                self._check_in(connection)
            else:
                self._drop(connection)
        if answer is None or not answered:
            if self._closed:
                raise stopped()
            raise gone(self.info, request.method, maybe_executed=begun)
        return answer.reply()

    def _call_sharing(self, request: Request) -> Reply:
        outcome: list[tuple[Reply | None, Exception | None]] = []
        ended = threading.Lock()
        ended.acquire()

        def done(reply: Reply | None, error: Exception | None) -> None:
            outcome.append((reply, error))
            ended.release()

        cancel = self.submit(request, done)
        try:
            ended.acquire()
        except BaseException:  # this thread is interrupted
            cancel()
            raise
        reply, error = outcome[0]
        if reply is None:
            raise error or AssertionError
        return reply

    def _check_size(self, request: Request) -> None:
        if request.arguments.size > self.info.max_payload_bytes:
            what = ("the arguments of ", self.info.name, ".", request.method)
            check_size(request.arguments, self.info.max_payload_bytes, *what)

    def submit(
        self, request: Request, done: Callable[[Reply | None, Exception | None], object]
    ) -> Callable[[], object]:
        """See the base class."""
        self._check_size(request)
        futures = self._futures
        if futures is None or futures.over:
            futures = self._open_futures(request)
        try:
            return futures.submit(request, done)
        except Unavailable:
            if futures is self._futures:
                raise
            return self._open_futures(request).submit(request, done)  # it was worn just now

    def _open_futures(self, request: Request) -> FramedFutures:
        timeout = CONNECT_S if request.timeout is None else request.timeout
        if not self._opening_futures.acquire(timeout=timeout):  # another thread connects
            raise request.late(self.info.name)
        try:
            before = self._futures
            if before is None or before.over:
                self._check(request.method)
                connection = self._connect(request.timeout)
                try:
                    futures = FramedFutures(connection, self.info, lambda: self._closed)
                except ResourceExhausted:
                    connection.close()
                    raise
                with self._lock:
                    self._futures = futures
                    closed, retired = self._closed, self._retired
                    still = [each for each in self._worn_futures if not each.broken]
                    self._worn_futures = still if before is None else [*still, before]
                if before is not None:
                    before.retire()
                if closed:
                    futures.close()
                elif retired:
                    futures.retire()
                return futures
            return before
        finally:
            self._opening_futures.release()

    def stream(self, request: Request) -> ReplyStream:
        """See the base class."""
        self._check_size(request)
        self._check(request.method)
        stream = FramedStream(self._connect(None), self._streams.discard)
        with self._lock:
            self._streams.add(stream)
            closed = self._closed
        if closed:
            stream.close()
            raise stopped()
        try:
            stream.begin(request, gone(self.info, request.method, maybe_executed=True))
        except OSError as error:
            stream.close()
            raise gone(self.info, request.method, maybe_executed=False) from error
        return stream

    def refresh(self, timeout: float | None) -> ServerInfo:
        """See the base class."""
        self._check("the handshake")
        connection = self._connect(timeout)
        info = self.info
        self._keep(connection)
        self._check_in(connection)
        return info

    def retire(self) -> None:
        """See the base class."""
        with self._lock:
            self._retired = True
            futures = self._futures
        self._close_idle()
        if futures is not None:
            futures.retire()

    def close(self) -> None:
        """See the base class."""
        with self._lock:
            self._closed = True
            streams = list(self._streams)
            shared = [*self._worn_futures, *([self._futures] if self._futures else [])]
        self._close_idle()
        with self._lock:
            for connection in self._open:
                connection.hang_up()  # whoever uses it closes it
        for stream in streams:
            stream.end(stopped())
        for futures in shared:
            futures.close()
