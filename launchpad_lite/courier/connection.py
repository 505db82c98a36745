"""One framed connection over a stream socket; both ends use it."""

from __future__ import annotations

import collections
import contextlib
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Protocol

from launchpad_lite.courier import frame

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_PIECES = 512  # below IOV_MAX, which is 1024 on Linux


class Connection:
    """Sends and receives whole frames.

    `close` may be called from any thread at any time: the descriptor is given back only when
    nobody is inside a system call on it, for another connection would get the same number.
    """

    def __init__(self, sock: socket.socket, limit: int, stall: float = 0.0) -> None:
        """Take over a connected, blocking socket.

        Args:
          sock: the socket.
          limit: the most bytes of a frame to accept.
          stall: seconds after which a peer that stopped in mid-frame is given up; 0 for never.
        """
        self.limit = limit
        self.sent_bytes = 0
        self._sock = sock
        self._stall = stall
        self._timeouts = {socket.SO_SNDTIMEO: 0.0, socket.SO_RCVTIMEO: 0.0}
        self._deadline: float | None = None  # of the reader
        self._reading = threading.Lock()
        self._sending = threading.Lock()
        self._hanging_up = threading.Lock()
        self._closed = False

    def _allow(self, option: int, deadline: float | None) -> None:
        """Let the next system call wait until `deadline`, or else as long as the peer may stall."""
        seconds = self._stall
        if deadline is not None:
            seconds = deadline - time.monotonic()
            if seconds <= 0:
                raise TimeoutError
        if deadline is not None or self._timeouts[option] != seconds:
            self._timeouts[option] = seconds
            whole = int(seconds)
            value = struct.pack("ll", whole, int((seconds - whole) * 1e6) or int(seconds > 0))
            self._sock.setsockopt(socket.SOL_SOCKET, option, value)

    def send(self, pieces: list[frame.Bytes], deadline: float | None = None) -> None:
        """Send a frame's pieces, without copying them.

        Args:
          pieces: the bytes; what has gone is taken out of the list.
          deadline: a time of `time.monotonic`; None for no limit.

        Raises:
          TimeoutError: they did not go in time; the connection cannot be used any more.
          OSError: the peer is gone; it has not received the whole frame.
        """
        with self._sending:
            self._send_all(pieces, deadline)

    def _send_all(self, pieces: list[frame.Bytes], deadline: float | None) -> None:
        try:
            while pieces:
                self._allow(socket.SO_SNDTIMEO, deadline)
                self._send_some(pieces, 0)
        except BlockingIOError as error:
            raise TimeoutError from error

    def send_now(self, pieces: list[frame.Bytes]) -> None:
        """Send what goes without waiting, and take it out of the list.

        Raises:
          OSError: the peer is gone.
        """
        if self._sending.acquire(blocking=False):
            try:
                while pieces:
                    self._send_some(pieces, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            finally:
                self._sending.release()

    def post(self, pieces: list[frame.Bytes], ended: Callable[[], object]) -> None:
        """Send a frame without waiting for the peer.

        What it does not take at once is copied, and sent by a thread before anything else is. When
        it is gone, hang up.

        Args:
          pieces: the bytes.
          ended: called once, when they have gone or cannot go.
        """
        mine = self._sending.acquire(blocking=False)
        try:
            if mine:
                with contextlib.suppress(BlockingIOError):
                    while pieces:
                        self._send_some(pieces, socket.MSG_DONTWAIT)
            if pieces:
                rest: list[frame.Bytes] = [b"".join(pieces)]
                args = (rest, mine, ended)
                threading.Thread(
                    target=self._send_rest, args=args, name="lp-reply", daemon=True
                ).start()
                return
        except (OSError, RuntimeError):  # the latter: there can be no more threads
            self.hang_up()
        if mine:
            self._sending.release()
        ended()

    def _send_rest(
        self,
        rest: list[frame.Bytes],
        mine: bool,  # noqa: FBT001 - whether this thread was handed `_sending`
        ended: Callable[[], object],
    ) -> None:
        if not mine:
            self._sending.acquire()
        try:
            self._send_all(rest, None)
        except OSError:
            self.hang_up()
        finally:
            self._sending.release()
            ended()

    def _send_some(self, pieces: list[frame.Bytes], flags: int) -> None:
        first = 0
        try:
            while first < len(pieces):
                sent = self._sock.sendmsg(pieces[first : first + _MAX_PIECES], (), flags)
                self.sent_bytes += sent
                while first < len(pieces) and sent >= len(pieces[first]):
                    sent -= len(pieces[first])
                    first += 1
                if sent:
                    pieces[first] = memoryview(pieces[first])[sent:]
                    return
        finally:
            del pieces[:first]

    def _receive(self, size: int) -> bytearray:
        data = bytearray(size)
        self._fill(data, 0)
        return data

    def _fill(self, data: bytearray, count: int) -> None:
        size = len(data)
        while count < size:
            self._allow(socket.SO_RCVTIMEO, self._deadline)
            rest = memoryview(data)[count:] if count else data
            received = self._sock.recv_into(rest, 0, socket.MSG_WAITALL)
            if received == 0:
                raise EOFError
            count += received

    def read(self, deadline: float | None = None) -> frame.Frame:
        """Receive one frame.

        Args:
          deadline: a time of `time.monotonic`; None for no limit.

        Raises:
          TimeoutError: it did not come in time; the connection cannot be used any more.
          EOFError: the peer hung up.
          OSError: the connection broke.
          ProtocolError, PayloadTooLarge: see `frame.read`.
        """
        with self._reading:
            self._deadline = deadline
            try:
                return frame.read(self._receive, self.limit)
            except BlockingIOError as error:
                raise TimeoutError from error

    def read_if_any(self) -> frame.Frame | None:
        """Receive one frame if one has come, or at least begun to; see `read`."""
        with self._reading:
            self._deadline = None
            head = bytearray(frame.HEAD.size)
            try:
                count = self._sock.recv_into(head, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return None
            if count == 0:
                raise EOFError
            self._fill(head, count)
            return frame.read(self._receive, self.limit, head)

    def hang_up(self) -> None:
        """Wake whoever reads or writes, here and at the peer."""
        with self._hanging_up:
            if self._closed:
                return
            try:
                self._sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # the peer was faster

    def close(self) -> None:
        """Hang up and give the descriptor back."""
        self.hang_up()
        with self._reading, self._sending, self._hanging_up:
            self._closed = True
            self._sock.close()

    def fileno(self) -> int:
        """Return the descriptor, for polling; -1 after `close`."""
        return self._sock.fileno()


class Posted(Protocol):
    """Something that is posted, and wants to know whether it went out."""

    end: int
    """How many bytes the connection has sent once all of it has gone."""


class Outbox:
    """Sends frames over a connection without making anyone wait.

    What the peer does not take at once is copied, and sent by a thread that lives as long as
    something waits.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        """Take over the sending side of a connection.

        Args:
          connection: the connection.
          name: of the thread.
        """
        self._connection = connection
        self._name = name
        self._lock = threading.Lock()
        self._end = connection.sent_bytes
        self._waiting: collections.deque[bytes] = collections.deque()
        self._busy = False

    def post(self, pieces: list[frame.Bytes], what: Posted) -> None:
        """Send a frame now or soon; when the peer is gone, hang up."""
        with self._lock:
            self._end += sum(map(len, pieces))
            what.end = self._end
            try:
                if not self._busy:
                    self._connection.send_now(pieces)
                if pieces:
                    self._waiting.append(b"".join(pieces))
                    if not self._busy:
                        threading.Thread(target=self._run, name=self._name, daemon=True).start()
                        self._busy = True
            except (OSError, RuntimeError):  # the latter: there can be no more threads
                self._connection.hang_up()

    def _run(self) -> None:
        while True:
            with self._lock:
                batch: list[frame.Bytes] = list(self._waiting)
                self._waiting.clear()
                if not batch:
                    self._busy = False
                    return
            try:
                self._connection.send(batch)
            except OSError:
                self._connection.hang_up()
                return  # `_busy` stays: nobody needs to try again
