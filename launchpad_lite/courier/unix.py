"""The framed protocol over Unix sockets in a private directory: calls between processes of a host.

The server's threads all wait on one epoll set with one-shot events. The kernel wakes one of them
for a request; it reads the request, lets the others have the connection again, runs the method and
sends the reply. So no queue lies between the socket and the method, idle connections cost no
thread, and no more methods run at a time than there are threads.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, ClassVar

import msgspec

from launchpad_lite import context as node_context
from launchpad_lite.courier import auth, frame
from launchpad_lite.courier.call import ServerCall
from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.connection import Connection
from launchpad_lite.courier.transport import (
    Channel,
    Listener,
    ListenOptions,
    ReplyStream,
    Service,
    Transport,
    Where,
)
from launchpad_lite.courier.unix_channel import connect
from launchpad_lite.credentials import TOKEN_BYTES
from launchpad_lite.errors import PayloadTooLarge

if TYPE_CHECKING:
    from launchpad_lite.courier.messages import Reply, Request
    from launchpad_lite.credentials import Credentials

_log = logging.getLogger(__name__)
_numbers = itertools.count()
_HANDSHAKE_S = 10.0
_STALL_S = 60.0  # a peer that stops in mid-frame for so long is dropped
_NO_DESCRIPTORS_S = 0.1
_HELLO_BYTES = len(frame.MAGIC) + TOKEN_BYTES


class _Greeter:
    """Accepts connections and checks tokens, without blocking, in a thread of its own.

    So a server whose threads are all busy can still be connected to, and a peer that says nothing
    keeps nobody waiting.
    """

    def __init__(self, listener: UnixListener, sock: socket.socket) -> None:
        self._listener = listener
        self._sock = sock
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._wake = os.eventfd(0)
        self._poll.register(self._wake, select.POLLIN)
        self._waiting: dict[int, tuple[socket.socket, bytearray, float]] = {}
        self._thread = threading.Thread(
            target=self._run, name=f"lp-accept {listener.name}", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        os.eventfd_write(self._wake, 1)
        if self._thread.ident is not None:
            self._thread.join()
        self._sock.close()
        os.close(self._wake)

    def _run(self) -> None:
        while True:
            timeout = _HANDSHAKE_S * 1000 if self._waiting else None
            ready = [fd for fd, _ in self._poll.poll(timeout)]
            if self._wake in ready:
                break
            for fd in ready:
                if fd == self._sock.fileno():
                    self._accept()
                else:
                    self._hello(fd)
            now = time.monotonic()
            for fd, (_, _, deadline) in list(self._waiting.items()):
                if deadline <= now:
                    self._drop(fd)
        for fd in list(self._waiting):
            self._drop(fd)

    def _accept(self) -> None:
        try:
            sock, _ = self._sock.accept()
        except OSError:  # no descriptors or no memory left, which others may give back
            time.sleep(_NO_DESCRIPTORS_S)
            return
        sock.setblocking(False)
        deadline = time.monotonic() + _HANDSHAKE_S
        self._waiting[sock.fileno()] = (sock, bytearray(), deadline)
        self._poll.register(sock, select.POLLIN)
        self._hello(sock.fileno())  # most clients have sent it already

    def _hello(self, fd: int) -> None:
        sock, hello, _ = self._waiting[fd]
        try:
            received = sock.recv(_HELLO_BYTES - len(hello))
        except BlockingIOError:
            return
        except OSError:
            received = b""
        hello += received
        if not received:
            self._drop(fd)
        elif len(hello) == _HELLO_BYTES:
            self._poll.unregister(fd)
            del self._waiting[fd]
            sock.setblocking(True)
            self._listener.welcome(sock, bytes(hello))

    def _drop(self, fd: int) -> None:
        self._poll.unregister(fd)
        self._waiting.pop(fd)[0].close()


class _Accepted(Connection):
    """A connection of an authenticated client.

    Attributes:
      fd: its descriptor, by which it is known until it is closed.
      calls: those that are not answered yet.
      stream: what it listens to, if it is a stream's.
    """

    def __init__(self, sock: socket.socket, limit: int) -> None:
        super().__init__(sock, limit, _STALL_S)
        self.fd = sock.fileno()
        self.calls: set[_Call] = set()
        self.stream: ReplyStream | None = None


class _Call(ServerCall):
    """A call, and the connection that it came over."""

    __slots__ = ("_connection", "_listener", "number")

    def __init__(
        self, request: Request, listener: UnixListener, connection: _Accepted, number: int
    ) -> None:
        super().__init__(request)
        self.number = number
        self._listener = listener
        self._connection = connection

    def answer(self, reply: Reply) -> None:
        pieces = frame.pack_reply(reply, self.number)
        self._connection.post(pieces, self.refuse)

    def refuse(self) -> None:
        self._listener.forget(self, self._connection)


class UnixListener(Listener):
    """Serves one service on one Unix socket."""

    def __init__(self, service: Service, directory: str) -> None:
        """Bind a socket in `directory`."""
        self.service = service
        info = service.info()
        self.name, self._size = info.name, info.thread_pool_size
        self._path = f"{directory}/{os.getpid():x}.{next(_numbers):x}"
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind(self._path)
            sock.listen(1024)
        except OSError:
            sock.close()
            raise
        self.endpoint = f"unix:{self._path}"
        self._epoll = select.epoll()
        self._wake = os.eventfd(0)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._lock = threading.Lock()
        self._answered = threading.Condition(self._lock)  # a call that no thread waited for
        self._connections: dict[int, _Accepted] = {}
        self._threads: set[threading.Thread] = set()
        self._idle = 0  # threads that wait for a request
        self._stopping = False
        self._greeter = _Greeter(self, sock)

    def start(self) -> None:
        """See the base class."""
        with self._lock:
            self._spawn()
        self._greeter.start()

    def welcome(self, sock: socket.socket, hello: bytes) -> None:
        """Take over a connection whose client has said who it is."""
        connection = _Accepted(sock, self.service.max_payload_bytes)
        known = hello.startswith(frame.MAGIC) and auth.is_valid(
            hello[len(frame.MAGIC) :], self.service.credentials.token
        )
        kind = frame.Kind.WELCOME if known else frame.Kind.REFUSED
        info = msgspec.msgpack.encode(self.service.info()) if known else b""
        try:
            connection.send(frame.pack(kind, 0, Payload(info)))
        except OSError:
            known = False
        if known:
            with self._lock:
                if not self._stopping:
                    self._connections[connection.fd] = connection
                    self._epoll.register(connection.fd, select.EPOLLIN | select.EPOLLONESHOT)
                    return
            self._say_goodbye(connection, [])  # it knows the welcome, and may have called already
        connection.close()

    def _spawn(self) -> None:
        name = f"lp-serve {self.name}"
        thread = threading.Thread(target=self._serve, name=name, daemon=True)
        thread.start()
        self._idle += 1
        self._threads.add(thread)

    def _serve(self) -> None:
        node_context.adopt(self.service.context)
        while True:
            fd, _ = self._epoll.poll(-1, 1)[0]
            with self._lock:
                if self._stopping:
                    break
                self._idle -= 1
                connection = self._connections.get(fd)
                # This thread may be long; nobody may be left to wait for the next request.
                if self._idle == 0 and len(self._threads) < self._size:
                    with contextlib.suppress(RuntimeError):  # there can be no more threads
                        self._spawn()
            if connection is not None:
                try:
                    self._serve_one(connection)
                except Exception:
                    _log.exception("%s drops a connection", self.endpoint)
                    self._drop(connection)
            with self._lock:
                self._idle += 1
        with self._lock:
            self._threads.discard(threading.current_thread())
            self._close_if_last()

    def _serve_one(self, connection: _Accepted) -> None:
        try:
            # It may be that nothing has come: the event was that of a connection which had the
            # same descriptor and was closed before this thread came to it.
            request = connection.read_if_any()
        except PayloadTooLarge as error:
            self._answer(connection, self.service.failure(error.with_traceback(None)), 0)
            self._drop(connection)
            return
        except (OSError, EOFError, frame.ProtocolError):
            self._drop(connection)
            return
        with self._lock:
            if self._stopping or self._connections.get(connection.fd) is not connection:
                return
            self._epoll.modify(connection.fd, select.EPOLLIN | select.EPOLLONESHOT)
            if request is None:
                return
        if request.kind == frame.Kind.CALL:
            call = _Call(request.request(), self, connection, request.call_id)
            with self._lock:
                connection.calls.add(call)
            while not self.service.begin(call, Where.HERE):
                space = threading.Event()
                self.service.when_space(space.set)
                space.wait()
        elif request.kind == frame.Kind.STREAM and connection.stream is None:
            self._start_stream(connection, request.request())
        else:
            self._drop(connection)

    def _answer(self, connection: _Accepted, reply: Reply, call_id: int) -> None:
        try:
            connection.send(frame.pack_reply(reply, call_id))
        except OSError:
            self._drop(connection)

    def forget(self, call: _Call, connection: _Accepted) -> None:
        """Do not wait for a call any more: it was answered or refused."""
        with self._lock:
            connection.calls.discard(call)
            self._answered.notify_all()

    def _start_stream(self, connection: _Accepted, request: Request) -> None:
        stream = self.service.open_stream(request)
        with self._lock:
            there = self._connections.get(connection.fd) is connection
            if there:
                connection.stream = stream
        if not there:  # it was dropped meanwhile
            stream.close()
            return
        name = f"lp-stream {self.name}"
        threading.Thread(
            target=self._send_stream, args=(connection, stream), name=name, daemon=True
        ).start()

    def _send_stream(self, connection: _Accepted, stream: ReplyStream) -> None:
        node_context.adopt(self.service.context)
        try:
            for reply in stream:
                connection.send(frame.pack_reply(reply, 0))
            connection.send(frame.pack(frame.Kind.END, 0, Payload(b"")))
        except OSError:
            pass  # the client is gone
        finally:
            self._drop(connection)

    def _drop(self, connection: _Accepted) -> None:
        with self._lock:
            if self._connections.get(connection.fd) is not connection:
                return  # another thread was faster, and the descriptor may be another's by now
            del self._connections[connection.fd]
            self._epoll.unregister(connection.fd)
            stream = connection.stream
        connection.close()
        if stream is not None:
            stream.close()

    def stop(self, grace: float) -> None:
        """See the base class."""
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
            threads = self._threads - {threading.current_thread()}
            connections = list(self._connections.values())
            os.eventfd_write(self._wake, 1)
        self._greeter.stop()
        with contextlib.suppress(FileNotFoundError):  # whoever removed it meant the same
            os.unlink(self._path)  # noqa: PTH108 - one system call
        self.service.refuse()
        for connection in connections:
            running = self._begun(connection)
            self._say_goodbye(connection, running)
            if not running:
                self._drop(connection)
        deadline = time.monotonic() + grace
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            self._answered.wait_for(
                lambda: not any(each.calls for each in connections),
                max(0.0, deadline - time.monotonic()),
            )
        for connection in connections:
            self._say_goodbye(connection, self._begun(connection))
            self._drop(connection)
        with self._lock:
            self._close_if_last()
        self.service.join(max(0.0, deadline - time.monotonic()))

    def _begun(self, connection: _Accepted) -> list[int]:
        with self._lock:
            return [call.number for call in connection.calls if call.begun]

    def _say_goodbye(self, connection: _Accepted, running: list[int]) -> None:
        """Tell a client, if it listens, which of its calls have begun; no other call will."""
        with contextlib.suppress(OSError):
            connection.send_now(frame.pack_stopping(running))  # so short that it goes whole

    def _close_if_last(self) -> None:
        if not self._threads and not self._connections and not self._epoll.closed:
            self._epoll.close()
            os.close(self._wake)


class UnixTransport(Transport):
    """Calls between processes of one host."""

    scheme: ClassVar[str] = "unix"

    def listen(self, service: Service, options: ListenOptions) -> Listener:
        """See the base class."""
        if options.directory is None:
            message = "a Unix socket needs a private directory"
            raise ValueError(message)
        return UnixListener(service, options.directory)

    def connect(
        self,
        endpoint: str,
        credentials: Credentials,
        timeout: float | None,
        *,
        compress: bool = False,
    ) -> Channel:
        """See the base class."""
        return connect(endpoint.partition(":")[2], credentials.token, timeout)


TRANSPORT = UnixTransport()
