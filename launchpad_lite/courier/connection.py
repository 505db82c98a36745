"""One framed connection as its client uses it: whole frames, with deadlines."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from launchpad_lite import forks
from launchpad_lite.courier.unix_stream import reader_of, sharing_of

if TYPE_CHECKING:
    from launchpad_lite.courier import frame
    from launchpad_lite.courier.byte_stream import Bytes, ByteStream


class Connection:
    """Sends and receives whole frames.

    One thread sends at a time and one reads at a time. `hang_up` may be called from any thread at
    any time; `close` only while nobody is inside, for the descriptor may then be another's.

    Attributes:
      sent_bytes: how many have been sent.
      busy_poll_s: seconds for which `read` looks for bytes again and again before it sleeps.
    """

    def __init__(self, stream: ByteStream, limit: int) -> None:
        """Take over a stream.

        Args:
          stream: the bytes.
          limit: the most bytes of a frame to accept.
        """
        self.sent_bytes = 0
        self._number = 0
        self.busy_poll_s = 0.0
        self.sharing = sharing_of(stream)
        self._stream = stream
        self._reader = reader_of(stream, limit)
        self._ending = threading.Lock()
        self._closed = False
        forks.track(self)

    def begin(self) -> None:
        """Leave the connection to the parent of a forked process; see `forks`."""
        self._ending = threading.Lock()
        self._closed = True
        self._stream.close()  # and not `hang_up`, which would be felt there

    @property
    def limit(self) -> int:
        """The most bytes of a frame to accept."""
        return self._reader.limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._reader.limit = limit

    def next_number(self) -> int:
        """Return a number for a call that has the connection to itself.

        A server that stops tells by numbers which calls have begun: one that has been answered must
        not be taken for the next.
        """
        self._number = (self._number + 1) & 0xFFFFFFFF
        return self._number

    @property
    def worn(self) -> bool:
        """Whether it should not be used for more; see `ByteStream.worn`."""
        return self._stream.worn

    @property
    def parted(self) -> bool:
        """Whether the peer has hung up, where `send` might not tell; see `ByteStream.parted`."""
        return self._stream.parted

    @property
    def unsent(self) -> int:
        """How many bytes were taken but wait for the peer; see `ByteStream.unsent`."""
        return self._stream.unsent

    def send(self, pieces: list[Bytes], deadline: float | None = None) -> None:
        """Send a frame's pieces, without copying them.

        Args:
          pieces: the bytes; what has gone is taken out of the list.
          deadline: a time of `time.monotonic`; None for no limit.

        Raises:
          TimeoutError: they did not go in time; the connection cannot be used any more.
          OSError: the peer is gone; it has not received the whole frame.
        """
        stream = self._stream
        self.send_now(pieces)  # mostly all goes, and no limit need be set
        while pieces or stream.unsent:
            stream.limit_sending(_left(deadline))
            try:
                self._take_out(pieces, stream.send(pieces))
            except BlockingIOError:
                continue  # the limit is looked at again

    def send_now(self, pieces: list[Bytes]) -> None:
        """Send what goes without waiting, and take it out of the list.

        Raises:
          OSError: the peer is gone.
        """
        try:
            while pieces:
                self._take_out(pieces, self._stream.send_now(pieces))
        except BlockingIOError:
            return

    def _take_out(self, pieces: list[Bytes], sent: int) -> None:
        self.sent_bytes += sent
        take_out(pieces, sent)

    def take_back(self, pieces: list[Bytes]) -> None:
        """Note that a frame which was packed will not be sent."""
        if self.sharing is not None:
            self.sharing.take_back(pieces)

    def read(self, deadline: float | None = None) -> frame.Frame:
        """Receive one frame.

        Args:
          deadline: a time of `time.monotonic`; None for no limit.

        Raises:
          TimeoutError: it did not come in time; the connection cannot be used any more.
          EOFError: the peer hung up.
          OSError: the connection broke.
          ProtocolError, PayloadTooLarge, NotReceived: see `FrameReader.next`.
        """
        reader, stream = self._reader, self._stream
        if self.busy_poll_s and (found := self._read_soon(deadline)) is not None:
            return found
        while (found := reader.next()) is None:
            stream.limit_receiving(_left(deadline))
            try:
                count = stream.receive(reader.space())
            except BlockingIOError:
                continue  # the limit is looked at again
            if count == 0:
                raise EOFError
            reader.received(count)
        return found

    def _read_soon(self, deadline: float | None) -> frame.Frame | None:
        """Receive one frame without sleeping, if it comes within `busy_poll_s`."""
        until = time.monotonic() + self.busy_poll_s
        if deadline is not None:
            until = min(until, deadline)
        while (found := self._reader.next()) is None and time.monotonic() < until:
            try:
                count = self._stream.receive_now(self._reader.space())
            except BlockingIOError:
                os.sched_yield()  # the peer may have no other core
                continue
            if count == 0:
                raise EOFError
            self._reader.received(count)
        return found

    def next(self) -> frame.Frame | None:
        """Return a frame that was received with the one before; None if there is no whole one.

        Raises:
          ProtocolError, PayloadTooLarge, NotReceived: see `FrameReader.next`.
        """
        return self._reader.next()

    def hang_up(self) -> None:
        """Wake whoever reads or sends, here and at the peer."""
        with self._ending:
            if not self._closed:
                self._stream.hang_up()

    def close(self) -> None:
        """Hang up and give the descriptor back."""
        with self._ending:
            if not self._closed:
                self._closed = True
                self._stream.hang_up()
                self._stream.close()

    def fileno(self) -> int:
        """Return the descriptor, for polling; -1 after `close`."""
        return self._stream.fileno()


def take_out(pieces: list[Bytes], count: int) -> None:
    """Take so many bytes out of pieces, from their beginning."""
    if len(pieces) == 1 and count == len(pieces[0]):  # as in most cases
        pieces.clear()
        return
    whole = 0
    for piece in pieces:
        if count < len(piece):
            break
        count -= len(piece)
        whole += 1
    del pieces[:whole]
    if count:
        pieces[0] = memoryview(pieces[0])[count:]


def _left(deadline: float | None) -> float:
    """Return the seconds until a deadline; 0 for none."""
    if deadline is None:
        return 0.0
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
