"""One framed connection over a stream socket; both ends use it."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

from launchpad_lite.courier import frame

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_PIECES = 512  # below IOV_MAX, which is 1024 on Linux


class Connection:
    """Sends and receives whole frames."""

    def __init__(self, sock: socket.socket, limit: int) -> None:
        """Take over a connected, blocking socket.

        Args:
          sock: the socket.
          limit: the most bytes of a frame to accept.
        """
        self.sock = sock
        self.limit = limit
        self.sent_bytes = 0
        self.read_lock = threading.Lock()
        self._send_lock = threading.Lock()

    def send(self, pieces: Sequence[frame.Bytes]) -> None:
        """Send a frame's pieces, without copying them.

        Raises:
          OSError: the peer is gone.
        """
        with self._send_lock:
            sent = self.sock.sendmsg(pieces[:_MAX_PIECES])
            self.sent_bytes += sent
            if len(pieces) > 1 or sent < len(pieces[0]):
                self._send_rest(pieces, sent)

    def _send_rest(self, pieces: Sequence[frame.Bytes], sent: int) -> None:
        rest = [memoryview(piece) for piece in pieces]
        first = 0
        while True:
            while first < len(rest) and sent >= len(rest[first]):
                sent -= len(rest[first])
                first += 1
            if first == len(rest):
                return
            rest[first] = rest[first][sent:]
            sent = self.sock.sendmsg(rest[first : first + _MAX_PIECES])
            self.sent_bytes += sent

    def receive(self, size: int) -> bytearray:
        """Receive exactly so many bytes.

        Raises:
          EOFError: the peer hung up.
          OSError: the connection broke.
        """
        data = bytearray(size)
        view = memoryview(data)
        while view:
            count = self.sock.recv_into(view, len(view), socket.MSG_WAITALL)
            if count == 0:
                raise EOFError
            view = view[count:]
        return data

    def read(self) -> frame.Frame:
        """Receive one frame."""
        return frame.read(self.receive, self.limit)

    def read_until(self, deadline: float) -> frame.Frame:
        """Receive one frame before `deadline`, a time of `time.monotonic`.

        Raises:
          TimeoutError: it did not come in time; the connection cannot be used any more.
        """

        def receive(size: int) -> bytearray:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.sock.settimeout(left)
            return self.receive(size)

        try:
            return frame.read(receive, self.limit)
        finally:
            self.sock.settimeout(None)

    def hang_up(self) -> None:
        """Wake whoever reads or writes, here and at the peer."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the peer was faster

    def close(self) -> None:
        """Hang up and give the descriptor back."""
        self.hang_up()
        self.sock.close()
