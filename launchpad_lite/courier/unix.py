"""The framed protocol over Unix sockets in a private directory, between processes of one host."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from typing import TYPE_CHECKING, ClassVar

from launchpad_lite.courier.byte_stream import ByteStream, SocketStream
from launchpad_lite.courier.framed_channel import FramedChannel
from launchpad_lite.courier.framed_listener import FramedListener
from launchpad_lite.courier.greeter import Acceptor
from launchpad_lite.courier.transport import Channel, Listener, ListenOptions, Service, Transport

if TYPE_CHECKING:
    from launchpad_lite.credentials import Credentials

_numbers = itertools.count()


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
        return SocketStream(sock)

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # whoever removed it meant the same
            os.unlink(self._path)  # noqa: PTH108 - one system call
        self._sock.close()


class UnixTransport(Transport):
    """Calls between processes of one host."""

    scheme: ClassVar[str] = "unix"

    def listen(self, service: Service, options: ListenOptions) -> Listener:
        """See the base class."""
        if options.directory is None:
            message = "a Unix socket needs a private directory"
            raise ValueError(message)
        return FramedListener(service, _UnixAcceptor(options.directory))

    def connect(
        self,
        endpoint: str,
        credentials: Credentials,
        timeout: float | None,
        *,
        compress: bool = False,
    ) -> Channel:
        """See the base class."""
        path = endpoint.partition(":")[2]

        def dial(seconds: float) -> ByteStream:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.settimeout(seconds)
                sock.connect(path)
                sock.settimeout(None)
            except BaseException:
                sock.close()
                raise
            return SocketStream(sock)

        return FramedChannel(dial, path, credentials.token, timeout)


TRANSPORT = UnixTransport()
