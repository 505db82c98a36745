"""The framed protocol over TCP, inside mutual TLS: calls between hosts.

Without TLS it carries only calls that need no secret: a token is never sent in the clear.
"""

from __future__ import annotations

import functools
import select
import socket
import struct
import time
from typing import TYPE_CHECKING, ClassVar

from launchpad_lite.courier.byte_stream import MAX_PIECES, ByteStream, SocketStream
from launchpad_lite.courier.framed_channel import FramedChannel
from launchpad_lite.courier.framed_listener import FramedListener
from launchpad_lite.courier.greeter import Acceptor
from launchpad_lite.courier.transport import (
    DEFAULT_CONNECT_OPTIONS,
    Channel,
    ConnectOptions,
    Listener,
    ListenOptions,
    Service,
    Transport,
)
from launchpad_lite.credentials import PUBLIC
from launchpad_lite.endpoint import join_host, published, split_host
from launchpad_lite.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launchpad_lite.courier.byte_stream import Bytes
    from launchpad_lite.credentials import Credentials

SILENCE_S = 60
"""Seconds after which Linux gives up a peer's host that acknowledges nothing.

It also counts the time for which a peer takes nothing, though its host answers. So it is as long as
a server waits for a client that does not read.
"""

LOST_S = 15.0
"""Seconds after which who waits for an answer gives up such a host: one that is there, though its
process takes nothing, acknowledges probes at once, which the kernel tells apart. It sends them when
nothing has been sent for `TCP_KEEPIDLE`; so two of them are due by then."""

LOOK_S = 5.0
"""Seconds that who waits sleeps at a time, and then looks whether the host is there."""

_KEEPALIVE = {"TCP_KEEPIDLE": 8, "TCP_KEEPINTVL": 4, "TCP_KEEPCNT": (SILENCE_S - 8) // 4}

_PARTED: int = getattr(select, "POLLRDHUP", select.POLLHUP)  # the former is Linux's

# `struct tcp_info` of linux/tcp.h: retransmissions and probes that were not answered; milliseconds
# since the last acknowledgement came.
_INFO = struct.Struct("=2x2B52xI")


class TcpStream(SocketStream):
    """The bytes of a TCP connection as they are."""

    def __init__(self, sock: socket.socket) -> None:
        """Take over a connected, blocking socket."""
        super().__init__(sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (*_KEEPALIVE.items(), ("TCP_USER_TIMEOUT", SILENCE_S * 1000)):
            if hasattr(socket, option):  # not all systems have all
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    # All in one step, for small calls feel each.

    def send(self, pieces: Sequence[Bytes]) -> int:
        """See the base class."""
        try:
            if len(pieces) == 1:
                return self._sock.send(pieces[0])
            return self._sock.sendmsg(pieces[:MAX_PIECES])
        except _LOST as error:
            raise _lost(error) from error

    def send_now(self, pieces: Sequence[Bytes]) -> int:
        """See the base class."""
        try:
            if len(pieces) == 1:
                return self._sock.send(pieces[0], socket.MSG_DONTWAIT)
            return self._sock.sendmsg(pieces[:MAX_PIECES], (), socket.MSG_DONTWAIT)
        except _LOST as error:
            raise _lost(error) from error

    def receive(self, buffer: bytearray | memoryview) -> int:
        """See the base class."""
        try:
            return self._sock.recv_into(buffer)
        except BlockingIOError:
            self._check_host()
            raise
        except _LOST as error:
            raise _lost(error) from error

    def receive_now(self, buffer: bytearray | memoryview) -> int:
        """See the base class."""
        try:
            return self._sock.recv_into(buffer, 0, socket.MSG_DONTWAIT)
        except _LOST as error:
            raise _lost(error) from error

    @property
    def parted(self) -> bool:
        """See the base class: what is sent to who has gone is taken; a reset comes later."""
        poll = select.poll()
        poll.register(self._sock, _PARTED)
        return bool(poll.poll(0))

    def limit_receiving(self, seconds: float) -> None:
        """See the base class."""
        super().limit_receiving(min(seconds, LOOK_S) if seconds else LOOK_S)

    def _check_host(self) -> None:
        if not hasattr(socket, "TCP_INFO"):
            return
        info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
        retransmissions, probes, silence_ms = _INFO.unpack(info)
        if silence_ms >= LOST_S * 1000 and (retransmissions or probes > 1):
            message = f"the connection is lost: its host is silent for {silence_ms / 1000:.0f} s"
            raise ConnectionAbortedError(message)


_LOST = (TimeoutError, ConnectionResetError)


def _lost(error: OSError) -> ConnectionAbortedError:
    """Return what a lost peer is told as, and nothing else.

    A lost host is no deadline that has passed, which a TimeoutError means above. And a reset does
    not say that the peer has not read everything, as it does on a Unix socket.
    """
    return ConnectionAbortedError(f"the connection is lost: {error.strerror}")


class _TcpAcceptor(Acceptor):
    def __init__(self, host: str, port: int, secure: Callable[[ByteStream], ByteStream]) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._sock = socket.create_server((host, port), family=family, backlog=1024)
        except OSError as error:
            message = (
                f"port {port} of {host} cannot be listened on: {error.strerror}. Take another "
                "port, None for any; and a host that is an address of this machine."
            )
            raise OSError(error.errno, message) from error
        self._secure = secure
        place = join_host(published(host), self._sock.getsockname()[1])
        self.endpoint = f"tcp:{place}"

    def accept(self) -> ByteStream:
        sock, _ = self._sock.accept()
        try:
            return self._secure(TcpStream(sock))
        except BaseException:
            sock.close()
            raise

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()


class TcpTransport(Transport):
    """Calls between hosts."""

    scheme: ClassVar[str] = "tcp"

    def listen(self, service: Service, options: ListenOptions) -> Listener:
        """See the base class; TLS shakes hands while the greeter waits for a hello."""
        secure = _server_side(service.credentials)
        acceptor = _TcpAcceptor(options.host, options.port, secure)
        return FramedListener(service, acceptor, options.busy_poll_us)

    def connect(
        self,
        endpoint: str,
        credentials: Credentials,
        timeout: float | None,
        options: ConnectOptions = DEFAULT_CONNECT_OPTIONS,
    ) -> Channel:
        """See the base class."""
        place = endpoint.partition(":")[2]
        try:
            address = split_host(place)
        except ValueError as error:
            message = f"{endpoint!r} is no endpoint: give tcp:host:port or tcp:[address]:port"
            raise Unavailable(message, maybe_executed=False) from error
        secure = _client_side(credentials)

        def dial(seconds: float) -> ByteStream:
            if seconds <= 0:  # which sockets take for "do not wait"
                raise TimeoutError
            deadline = time.monotonic() + seconds
            sock = socket.create_connection(address, seconds)
            try:
                sock.settimeout(None)
                return secure(TcpStream(sock), deadline - time.monotonic())
            except BaseException:
                sock.close()
                raise

        return FramedChannel(dial, place, credentials.token, timeout, options)


def _server_side(credentials: Credentials) -> Callable[[ByteStream], ByteStream]:
    """Return what makes the stream of a peer that has connected safe for a token."""
    if _in_the_clear(credentials):
        return lambda stream: stream
    from launchpad_lite.courier import tls  # a run on one host does without

    return functools.partial(tls.TlsStream, credentials=credentials)


def _client_side(credentials: Credentials) -> Callable[[ByteStream, float], ByteStream]:
    """Return what makes a stream to a server safe for a token, within so many seconds."""
    if _in_the_clear(credentials):
        return lambda stream, _: stream
    from launchpad_lite.courier import tls  # a run on one host does without

    sessions = tls.Sessions(credentials)

    def secure(stream: ByteStream, seconds: float) -> ByteStream:
        encrypted = tls.TlsStream(stream, credentials, sessions)
        encrypted.shake_hands(seconds)
        return encrypted

    return secure


def _in_the_clear(credentials: Credentials) -> bool:
    if credentials != PUBLIC and not credentials.tls:
        message = "calls over TCP need certificates: make the credentials with tls=True"
        raise ValueError(message)
    return credentials == PUBLIC


TRANSPORT = TcpTransport()
