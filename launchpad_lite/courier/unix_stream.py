"""The bytes of a Unix socket, and the descriptors of shared memory between them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from launchpad_lite.courier.byte_stream import MAX_PIECES, Marker, SocketStream
from launchpad_lite.courier.frame_reader import FrameReader
from launchpad_lite.courier.sharing import Sharing, SharingReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launchpad_lite.courier.byte_stream import Bytes, ByteStream


class UnixStream(SocketStream):
    """A socket whose peer is a process of this host.

    Attributes:
      sharing: what large arrays travel in.
    """

    def __init__(self, sock: socket.socket) -> None:
        """Take over a connected, blocking socket."""
        super().__init__(sock)
        self.sharing = Sharing()

    def send(self, pieces: Sequence[Bytes]) -> int:
        """See the base class."""
        return self._send(pieces, 0)

    def send_now(self, pieces: Sequence[Bytes]) -> int:
        """See the base class."""
        return self._send(pieces, socket.MSG_DONTWAIT)

    def _send(self, pieces: Sequence[Bytes], flags: int) -> int:
        if len(pieces) == 1 and type(pieces[0]) is not Marker:  # as most are
            return self._sock.send(pieces[0], flags)
        return self.sharing.send(self._sock, pieces[:MAX_PIECES], flags)

    def receive(self, buffer: bytearray | memoryview) -> int:
        """See the base class."""
        if self.sharing.expects_marker:
            return self.sharing.receive(self._sock, memoryview(buffer), 0)
        return self._sock.recv_into(buffer)

    def receive_now(self, buffer: bytearray | memoryview) -> int:
        """See the base class."""
        if self.sharing.expects_marker:
            return self.sharing.receive(self._sock, memoryview(buffer), socket.MSG_DONTWAIT)
        return self._sock.recv_into(buffer, 0, socket.MSG_DONTWAIT)

    def close(self) -> None:
        """See the base class."""
        super().close()
        self.sharing.close()


def sharing_of(stream: ByteStream) -> Sharing | None:
    """Return what large arrays travel in beside a stream, where they can."""
    return stream.sharing if isinstance(stream, UnixStream) else None


def reader_of(stream: ByteStream, limit: int) -> FrameReader:
    """Return what makes frames of the bytes that a stream receives; see `FrameReader`."""
    sharing = sharing_of(stream)
    return FrameReader(limit) if sharing is None else SharingReader(limit, sharing)
