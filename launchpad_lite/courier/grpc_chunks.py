"""Large messages over gRPC: a frame cut into pieces, and put together where it will stay.

gRPC takes no message of 2 GiB, and copies what it takes. So a large request is a stream of small
messages, and a large reply is held by the server until its client fetches it as such a stream. They
are received straight into memory of the frame's own.
"""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Any

from launchpad_lite.courier import frame
from launchpad_lite.courier.deadlines import deadlines
from launchpad_lite.courier.frame_reader import FrameReader, NotReceived

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from launchpad_lite.courier.byte_stream import Bytes

LARGE = 2**24
"""Bytes above which a frame travels in pieces; below, one message is faster."""
_PIECE = 2**20
_HELD = b"LPH1"  # no frame begins with it
_NUMBER_BYTES = 16
_HOLD_S = 60.0  # a client that has not begun to fetch by then is gone
_LATE_S = 1.0  # nor does it begin when its own time has been over for so long


def size(pieces: Sequence[Bytes]) -> int:
    """Return the bytes in a frame's pieces."""
    return sum(len(piece) for piece in pieces)


def cut(pieces: Iterable[Bytes]) -> Iterator[bytes]:
    """Yield a frame as messages of at most a mebibyte."""
    for piece in pieces:
        view = memoryview(piece)
        for start in range(0, len(view), _PIECE):
            yield bytes(view[start : start + _PIECE])


def read(messages: Iterator[Any], limit: int) -> frame.Frame:
    """Put a frame together.

    Args:
      messages: what `cut` has made, as it comes.
      limit: the most bytes of arguments.

    Raises:
      ProtocolError: this is no frame, or only a part of one.
      PayloadTooLarge: the frame exceeds the limit, or there is no memory for it.
    """
    reader = FrameReader(limit)
    for message in messages:
        view = memoryview(message)
        while view:
            space = reader.space()
            count = min(len(space), len(view))
            space[:count] = view[:count]
            reader.received(count)
            view = view[count:]
            try:
                found = reader.next()
            except NotReceived as error:
                raise error.reason from None
            if found is not None:
                if view or next(messages, None) is not None:
                    text = "a message goes on after its frame"
                    raise frame.ProtocolError(text)
                return found
    text = "a message ends in the middle of its frame"
    raise frame.ProtocolError(text)


def held_number(message: bytes) -> bytes | None:
    """Return by which number to fetch the reply that a message stands for; None if it is one."""
    return message[len(_HELD) :] if message.startswith(_HELD) else None


class HeldReplies:
    """The large replies of a server that its clients have not fetched yet."""

    def __init__(self) -> None:
        """Hold none."""
        self._changed = threading.Condition()
        self._held: dict[bytes, tuple[list[Bytes], Callable[[], object]]] = {}

    def message(self, pieces: list[Bytes], left: float | None = None) -> bytes:
        """Return a frame as one message, which stands for it if it is large.

        Args:
          pieces: the frame.
          left: the seconds for which the client waits; None for no limit.
        """
        if size(pieces) <= LARGE:
            return b"".join(pieces)
        number = secrets.token_bytes(_NUMBER_BYTES)
        seconds = _HOLD_S if left is None else min(_HOLD_S, left + _LATE_S)
        keep_time = deadlines.call_later(seconds, lambda: self.fetch(number))
        with self._changed:
            self._held[number] = pieces, keep_time
        return _HELD + number

    def fetch(self, number: bytes) -> list[Bytes] | None:
        """Return a frame that is held, and hold it no longer; None if it is not."""
        with self._changed:
            pieces, keep_time = self._held.pop(number, (None, None))
            self._changed.notify_all()
        if keep_time is not None:
            keep_time()
        return pieces

    def drop(self, numbers: Iterable[bytes]) -> None:
        """Hold some no longer, whose client has left."""
        for number in numbers:
            self.fetch(number)

    def wait(self, timeout: float) -> None:
        """Wait until all have been fetched."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held, timeout)
