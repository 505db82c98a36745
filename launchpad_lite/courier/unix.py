"""The framed protocol over Unix sockets in a private directory, between processes of one host."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import struct
from typing import TYPE_CHECKING, ClassVar

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
from launchpad_lite.courier.unix_stream import UnixStream
from launchpad_lite.errors import NotAuthenticated

if TYPE_CHECKING:
    from launchpad_lite.courier.byte_stream import ByteStream
    from launchpad_lite.credentials import Credentials

_numbers = itertools.count()
_CREDENTIALS = struct.Struct("iII")  # process, user, group


class _UnixAcceptor(Acceptor):
    def __init__(self, directory: str) -> None:
        self._path = f"{directory}/{os.getpid():x}.{next(_numbers):x}"
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._sock.bind(self._path)
            self._sock.listen(1024)
        except OSError:
            self._sock.close()
            raise
        self.endpoint = f"unix:{self._path}"

    def accept(self) -> ByteStream:
        sock, _ = self._sock.accept()
        user = _stranger(sock)
        if user is not None:
            sock.close()
            message = f"user {user} may not connect to {self.endpoint}"
            raise ConnectionRefusedError(message)
        return UnixStream(sock)

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # whoever removed it meant the same
            os.unlink(self._path)  # noqa: PTH108 - one system call
        self._sock.close()


def _stranger(sock: socket.socket) -> int | None:
    """Return the number of the user at the other end; None if that is this one, or root."""
    if not hasattr(socket, "SO_PEERCRED"):  # there the private directory must do
        return None
    found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    user: int = _CREDENTIALS.unpack(found)[1]
    return None if user in (0, os.geteuid()) else user


def _check_owner(sock: socket.socket, path: str) -> None:
    user = _stranger(sock)
    if user is not None:
        message = f"{path} belongs to user {user}: nothing is sent there"
        raise NotAuthenticated(message)


class UnixTransport(Transport):
    """Calls between processes of one host."""

    scheme: ClassVar[str] = "unix"

    def listen(self, service: Service, options: ListenOptions) -> Listener:
        """See the base class."""
        if options.directory is None:
            message = "a Unix socket needs a private directory"
            raise ValueError(message)
        acceptor = _UnixAcceptor(options.directory)
        return FramedListener(service, acceptor, options.busy_poll_us)

    def connect(
        self,
        endpoint: str,
        credentials: Credentials,
        timeout: float | None,
        options: ConnectOptions = DEFAULT_CONNECT_OPTIONS,
    ) -> Channel:
        """See the base class."""
        path = endpoint.partition(":")[2]

        def dial(seconds: float) -> ByteStream:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.settimeout(seconds)
                sock.connect(path)
                sock.settimeout(None)
                _check_owner(sock, path)
            except BaseException:
                sock.close()
                raise
            return UnixStream(sock)

        return FramedChannel(dial, path, credentials.token, timeout, options)


TRANSPORT = UnixTransport()
