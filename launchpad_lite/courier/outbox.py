"""What a server sends over one connection, without making anyone wait for a slow peer."""

from __future__ import annotations

import collections
import contextlib
import threading
from typing import TYPE_CHECKING

from launchpad_lite.courier.byte_stream import keep
from launchpad_lite.courier.connection import take_out
from launchpad_lite.courier.deadline import shown
from launchpad_lite.courier.deadlines import deadlines
from launchpad_lite.errors import ResourceExhausted

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.courier.byte_stream import Bytes, ByteStream

STALL_S = 60.0
"""Seconds after which a peer that takes nothing of what waits for it is dropped."""

MAX_UNSENT_BYTES = 2**28
"""A peer is dropped when more than this waits for it, and more than one frame.

While anything waits no requests are read, so this is for the replies to many that came before.
"""

_PIECES = 256  # of one system call
_PART_S = 1.0  # for another thread's send, which takes longer only when it waits for the peer


class Outbox:
    """Frames on their way, in their order; any thread puts them in, and whoever can sends them.

    What the peer does not take is copied and kept.

    Attributes:
      blocked: whether something waits for the peer to take it.
    """

    def __init__(
        self,
        stream: ByteStream,
        changed: Callable[[], object],
        dropped: Callable[[str], object],
    ) -> None:
        """Take over the sending side of a stream, and its end.

        Args:
          stream: the stream.
          changed: is called when `blocked` has changed; not after `close`.
          dropped: is told why the peer is dropped, if it is too slow.
        """
        self.blocked = False
        self._stream = stream
        self._changed = changed
        self._dropped = dropped
        self._waiting: collections.deque[list[Bytes]] = collections.deque()
        self._sending = threading.Lock()  # of what follows
        self._rest: list[Bytes] = []
        self._rest_bytes = 0  # while blocked
        self._sent_bytes = 0
        self._ending = threading.Lock()  # so that nobody hangs up when the descriptor is another's
        self._closed = False
        self._told = False
        self._forget_stall: Callable[[], object] | None = None

    def __len__(self) -> int:
        """Return how many frames wait that nobody has tried to send."""
        return len(self._waiting)

    def put(self, pieces: list[Bytes]) -> None:
        """Add a frame, to be sent by `flush`; until then its pieces must not change."""
        self._waiting.append(pieces)

    def flush(self) -> None:
        """Send what goes without waiting."""
        # Whoever finds someone else at it leaves; so that one looks again when it is done.
        while self._waiting and self._sending.acquire(blocking=False):
            try:
                self._send_now()
            finally:
                self._sending.release()

    def resume(self) -> None:
        """Go on with what waited, because the peer takes something."""
        if self._sending.acquire(blocking=False):  # who waits for the peer goes on by itself
            try:
                if self.blocked and not self._closed:
                    self._send_rest()
            finally:
                self._sending.release()
        self.flush()

    def send(self, pieces: list[Bytes]) -> None:
        """Send a frame after all others; wait for the peer.

        Raises:
          OSError: it is gone, or has stalled.
        """
        self.put(pieces)
        with self._sending:
            rest, stream = self._rest, self._stream
            stream.limit_sending(STALL_S)
            while (rest or self._waiting or stream.unsent) and not self._closed:
                self._gather(rest)
                try:
                    take_out(rest, stream.send(rest))
                except BlockingIOError:
                    self._note_stall()
                    raise
            if self.blocked:
                self._unblock()
        self.flush()

    def part(self) -> None:
        """Send what goes without waiting for the peer, and hang up."""
        if self._sending.acquire(timeout=_PART_S):
            try:
                self._send_now()
            finally:
                self._sending.release()
        self.hang_up()

    def hang_up(self) -> None:
        """Wake whoever sends or receives, here and at the peer."""
        with self._ending:
            if not self._closed:
                self._stream.hang_up()

    def close(self) -> None:
        """Hang up, give the stream's descriptor back, and send nothing more."""
        self.hang_up()  # wakes who is inside
        with self._sending, self._ending:
            if not self._closed:
                self._closed = True
                self._stream.close()
                self._rest.clear()
                if self._forget_stall is not None:
                    self._forget_stall()

    def _gather(self, pieces: list[Bytes]) -> None:
        while self._waiting and len(pieces) < _PIECES:
            pieces += self._waiting.popleft()

    def _send_now(self) -> None:
        """Send what waits, if the peer takes it; keep the rest."""
        if self._closed:
            self._waiting.clear()
        elif self.blocked:
            self._keep()
        else:
            self._send_rest()

    def _send_rest(self) -> None:
        rest, stream = self._rest, self._stream
        try:
            while rest or self._waiting or stream.unsent:
                self._gather(rest)
                sent = stream.send_now(rest)
                self._sent_bytes += sent
                self._rest_bytes -= sent
                take_out(rest, sent)
        except BlockingIOError:
            self._block()
        except OSError:
            rest.clear()
            stream.hang_up()
        else:
            if self.blocked:
                self._unblock()

    def _block(self) -> None:
        """Keep what could not be sent."""
        if not self.blocked:
            self.blocked = True
            self._rest[:] = keep(self._rest)
            self._rest_bytes = sum(map(len, self._rest))
            self._changed()
            self._await_progress()
        self._keep()

    def _keep(self) -> None:
        while self._waiting:
            kept = keep(self._waiting.popleft())
            self._rest += kept
            self._rest_bytes += sum(map(len, kept))
        if self._rest_bytes > MAX_UNSENT_BYTES and len(self._rest) > 1:
            self._note_drop(f"more than {MAX_UNSENT_BYTES:,} bytes wait for it")
            self._stream.hang_up()

    def _note_stall(self) -> None:
        self._note_drop(f"it has taken nothing of what waits for it for {shown(STALL_S)}")

    def _note_drop(self, why: str) -> None:
        """Tell once why the peer is dropped."""
        if not self._told:
            self._told = True
            self._dropped(why)

    def _unblock(self) -> None:
        self.blocked = False
        if self._forget_stall is not None:
            self._forget_stall()
        self._changed()

    def _await_progress(self) -> None:
        before = self._sent_bytes

        def look() -> None:
            if self._sent_bytes == before:
                self._note_stall()
                self.hang_up()
            elif self.blocked:  # or else it has all gone just now
                self._await_progress()

        with contextlib.suppress(ResourceExhausted):  # there can be no thread that looks
            self._forget_stall = deadlines.call_later(STALL_S, look)
