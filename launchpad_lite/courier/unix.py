"""The framed protocol over Unix sockets in a private directory: calls between processes of a host.

The server's threads all wait on one epoll set with one-shot events. The kernel wakes one of them
for a request; it reads the request, lets the others have the connection again, runs the method and
sends the reply. So no queue lies between the socket and the method, idle connections cost no
thread, and no more methods run at a time than there are threads.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, ClassVar

import msgspec

from launchpad_lite import context as node_context
from launchpad_lite.courier import auth, frame
from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.connection import Connection
from launchpad_lite.courier.failures import encode_failure
from launchpad_lite.courier.transport import (
    Channel,
    Listener,
    ListenOptions,
    ReplyStream,
    Service,
    Transport,
)
from launchpad_lite.courier.unix_channel import connect
from launchpad_lite.errors import CallError, PayloadTooLarge

if TYPE_CHECKING:
    from launchpad_lite.courier.messages import Request

_numbers = itertools.count()
_HANDSHAKE_S = 10.0
_STALL = struct.pack("ll", 60, 0)  # a peer that stops in mid-frame for a minute is dropped
_HELLO_BYTES = len(frame.MAGIC) + auth.TOKEN_BYTES


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
            target=self._run, name=f"lp-accept {listener.service.info().name}", daemon=True
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
        except OSError:  # gone again, or no descriptors left: the next one may do better
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


class UnixListener(Listener):
    """Serves one service on one Unix socket."""

    def __init__(self, service: Service, directory: str) -> None:
        """Bind a socket in `directory`."""
        self.service = service
        self._path = f"{directory}/{os.getpid():x}.{next(_numbers):x}"
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(self._path)
        sock.listen(1024)
        self.endpoint = f"unix:{self._path}"
        self._epoll = select.epoll()
        self._wake = os.eventfd(0)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._lock = threading.Lock()
        self._connections: dict[int, Connection] = {}
        self._streams: dict[int, ReplyStream] = {}
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._stopping = False
        self._greeter = _Greeter(self, sock)

    def start(self) -> None:
        """See the base class."""
        self._spawn()
        self._greeter.start()

    def welcome(self, sock: socket.socket, hello: bytes) -> None:
        """Take over a connection whose client has said who it is."""
        connection = Connection(sock, self.service.max_payload_bytes)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _STALL)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _STALL)
        known = hello.startswith(frame.MAGIC) and auth.is_valid(
            hello[len(frame.MAGIC) :], self.service.token
        )
        kind = frame.Kind.WELCOME if known else frame.Kind.REFUSED
        info = msgspec.msgpack.encode(self.service.info()) if known else b""
        try:
            connection.send(frame.pack(kind, 0, Payload(info)))
        except OSError:
            known = False
        if not known:
            connection.close()
            return
        with self._lock:
            if not self._stopping:
                self._connections[sock.fileno()] = connection
                self._epoll.register(sock, select.EPOLLIN | select.EPOLLONESHOT)
                return
        connection.close()

    def _spawn(self) -> None:
        name = f"lp-serve {self.service.info().name}"
        thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._idle += 1
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        node_context.adopt(self.service.context)
        while True:
            fd, _ = self._epoll.poll(-1, 1)[0]
            if fd == self._wake:
                return
            with self._lock:
                self._idle -= 1
                connection = self._connections.get(fd)
            if connection is not None:
                self._serve_one(fd, connection)
            with self._lock:
                self._idle += 1

    def _serve_one(self, fd: int, connection: Connection) -> None:
        try:
            # the lock: an event may be an old one, of a closed connection with the same descriptor
            with connection.read_lock:
                request = connection.read()
        except PayloadTooLarge as error:
            self._answer_and_drop(fd, connection, error)
            return
        except (OSError, EOFError, frame.ProtocolError, ValueError):
            self._drop(fd, connection)
            return
        with self._lock:
            if not self._stopping:
                # nobody may be left to read the next request, so let another thread wait for it
                if self._idle == 0 and len(self._threads) < self.service.thread_pool_size:
                    self._spawn()
                self._epoll.modify(fd, select.EPOLLIN | select.EPOLLONESHOT)
        if request.kind == frame.Kind.CALL:
            reply = self.service.call(request.request())
            pieces = frame.pack_reply(reply, request.call_id)
            try:
                connection.send(pieces)
            except OSError:
                self._drop(fd, connection)
        elif request.kind == frame.Kind.STREAM:
            self._start_stream(fd, connection, request.request())
        else:
            self._drop(fd, connection)

    def _answer_and_drop(self, fd: int, connection: Connection, error: CallError) -> None:
        with contextlib.suppress(OSError):  # the drop tells the client as well
            connection.send(frame.pack_reply(encode_failure(error, None), 0))
        self._drop(fd, connection)

    def _start_stream(self, fd: int, connection: Connection, request: Request) -> None:
        try:
            stream = self.service.open_stream(request)
        except CallError as error:
            self._answer_and_drop(fd, connection, error)
            return
        with self._lock:
            self._streams[fd] = stream
        name = f"lp-stream {self.service.info().name}"
        threading.Thread(
            target=self._send_stream, args=(fd, connection, stream), name=name, daemon=True
        ).start()

    def _send_stream(self, fd: int, connection: Connection, stream: ReplyStream) -> None:
        node_context.adopt(self.service.context)
        try:
            for reply in stream:
                connection.send(frame.pack_reply(reply, 0))
            connection.send(frame.pack(frame.Kind.END, 0, Payload(b"")))
        except OSError:
            stream.close()
        self._drop(fd, connection)

    def _drop(self, fd: int, connection: Connection) -> None:
        with self._lock:
            if self._connections.get(fd) is not connection:
                return  # another thread was faster, and the descriptor may be another's by now
            del self._connections[fd]
            stream = self._streams.pop(fd, None)
            self._epoll.unregister(fd)
            connection.close()
        if stream is not None:
            stream.close()

    def stop(self, grace: float) -> None:
        """See the base class."""
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
            threads = list(self._threads)
        self._greeter.stop()
        os.unlink(self._path)  # noqa: PTH108 - one system call, and it must exist
        os.eventfd_write(self._wake, 1)
        deadline = time.monotonic() + grace
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        for fd, connection in list(self._connections.items()):
            self._drop(fd, connection)
        if not any(thread.is_alive() for thread in threads):
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
        token: bytes,
        timeout: float | None,
        *,
        compress: bool = False,
    ) -> Channel:
        """See the base class."""
        return connect(endpoint.partition(":")[2], token, timeout)


TRANSPORT = UnixTransport()
