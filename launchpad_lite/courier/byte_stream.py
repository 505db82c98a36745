"""What a framed connection needs from below: bytes in order, both ways."""

from __future__ import annotations

import abc
import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Bytes = bytes | bytearray | memoryview

MAX_PIECES = 512
"""Of one system call; below IOV_MAX, which is 1024 on Linux."""

_EARLY_S = 0.001  # a limit may wake who waits so much later than asked for


class Marker(bytes):
    """A byte that a file descriptor is passed with, by streams that can.

    Attributes:
      holder: has the descriptor as its `number`, and closes it when nobody holds it any more.
    """

    holder: Holder


class Holder(Protocol):
    """Something that has a file descriptor."""

    number: int


def keep(pieces: Iterable[Bytes]) -> list[Bytes]:
    """Return a copy of pieces, in as few as can be; markers stay what they are."""
    kept: list[Bytes] = []
    run: list[Bytes] = []
    for piece in pieces:
        if type(piece) is Marker:
            kept += [b"".join(run), piece] if run else [piece]
            run.clear()
        else:
            run.append(piece)
    return [*kept, b"".join(run)] if run else kept


class ByteStream(abc.ABC):
    """A connected stream of bytes.

    One thread sends at a time and one receives at a time; both may be inside at once. `hang_up` may
    be called from any thread; `close` only while nobody is inside.
    """

    @abc.abstractmethod
    def send(self, pieces: Sequence[Bytes]) -> int:
        """Send the beginning of some bytes, waiting until the peer takes any.

        Args:
          pieces: the bytes, one piece after the other. They are not kept. Without any, only what is
            `unsent` goes.

        Returns:
          How many were taken.

        Raises:
          BlockingIOError: none were, within the time set by `limit_sending`.
          OSError: the peer is gone.
        """

    @abc.abstractmethod
    def send_now(self, pieces: Sequence[Bytes]) -> int:
        """Send what goes without waiting; see `send`.

        Raises:
          BlockingIOError: nothing does.
        """

    @abc.abstractmethod
    def receive(self, buffer: bytearray | memoryview) -> int:
        """Receive some bytes into a buffer that is not empty, waiting until any have come.

        Returns:
          How many; 0 when the peer hung up.

        Raises:
          BlockingIOError: none came within the time set by `limit_receiving`.
          OSError: the connection broke.
        """

    @abc.abstractmethod
    def receive_now(self, buffer: bytearray | memoryview) -> int:
        """Receive what has come; see `receive`.

        Raises:
          BlockingIOError: nothing has.
        """

    @property
    def pending(self) -> int:
        """How many bytes have been received and wait in here; polling does not tell of them."""
        return 0

    @property
    def peer(self) -> str:
        """From where the peer has connected, for messages."""
        return "an unknown place"

    @property
    def worn(self) -> bool:
        """Whether the stream has carried so much that a new one should follow it."""
        return False

    @property
    def unsent(self) -> int:
        """How many bytes were taken from the sender but wait in here for the peer."""
        return 0

    @property
    def parted(self) -> bool:
        """Whether the peer has hung up, where `send` might not tell; what it sent is still here."""
        return False

    @abc.abstractmethod
    def limit_sending(self, seconds: float) -> None:
        """Let `send` wait so long at a time; 0 for no limit.

        It may be woken earlier, so who has a deadline looks at the clock, and tries again.
        """

    @abc.abstractmethod
    def limit_receiving(self, seconds: float) -> None:
        """Let `receive` wait so long at a time; see `limit_sending`."""

    @abc.abstractmethod
    def hang_up(self) -> None:
        """Wake whoever sends or receives, here and at the peer."""

    @abc.abstractmethod
    def close(self) -> None:
        """Give the descriptor back."""

    @abc.abstractmethod
    def fileno(self) -> int:
        """Return the descriptor, for polling; -1 after `close`."""


class _Patience:
    """How long the kernel lets a blocking call on a socket wait.

    To tell it costs a system call, and most calls of a client have the same time: a limit that is
    set already is kept if it ends in time and not much too early.
    """

    def __init__(self, sock: socket.socket, option: int) -> None:
        self._sock = sock
        self._option = option
        self._seconds = 0.0

    def set(self, seconds: float) -> None:
        known = self._seconds
        if known == seconds or 0.0 < seconds / 2 <= known <= seconds + _EARLY_S:
            return
        self._seconds = seconds
        whole = int(seconds)
        micros = int((seconds - whole) * 1e6)
        value = struct.pack("ll", whole, micros or int(seconds > 0))
        self._sock.setsockopt(socket.SOL_SOCKET, self._option, value)


class SocketStream(ByteStream):
    """The bytes of a socket as they are."""

    def __init__(self, sock: socket.socket) -> None:
        """Take over a connected, blocking socket."""
        self._sock = sock
        self._sending = _Patience(sock, socket.SO_SNDTIMEO)
        self._receiving = _Patience(sock, socket.SO_RCVTIMEO)

    def send(self, pieces: Sequence[Bytes]) -> int:
        """See the base class."""
        return self._sock.sendmsg(pieces[:MAX_PIECES])

    def send_now(self, pieces: Sequence[Bytes]) -> int:
        """See the base class."""
        return self._sock.sendmsg(pieces[:MAX_PIECES], (), socket.MSG_DONTWAIT)

    def receive(self, buffer: bytearray | memoryview) -> int:
        """See the base class."""
        return self._sock.recv_into(buffer)

    def receive_now(self, buffer: bytearray | memoryview) -> int:
        """See the base class."""
        return self._sock.recv_into(buffer, 0, socket.MSG_DONTWAIT)

    def limit_sending(self, seconds: float) -> None:
        """See the base class."""
        self._sending.set(seconds)

    def limit_receiving(self, seconds: float) -> None:
        """See the base class."""
        self._receiving.set(seconds)

    @property
    def peer(self) -> str:
        """See the base class."""
        try:
            name: tuple[str, int] | str | bytes = self._sock.getpeername()
        except OSError:  # it has gone
            return super().peer
        return str(name[0]) if isinstance(name, tuple) else "this host"

    def hang_up(self) -> None:
        """See the base class."""
        with contextlib.suppress(OSError):  # the peer was faster
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """See the base class."""
        self._sock.close()

    def fileno(self) -> int:
        """See the base class."""
        return self._sock.fileno()
