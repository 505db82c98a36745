"""Frames out of a stream of bytes, whoever receives them and however they come in pieces."""

from __future__ import annotations

import mmap
import struct
from typing import TYPE_CHECKING, Protocol

from launchpad_lite.courier import frame
from launchpad_lite.courier.codec import Payload
from launchpad_lite.errors import PayloadTooLarge

if TYPE_CHECKING:
    from launchpad_lite.courier.byte_stream import Bytes

BUFFER_BYTES = 2**15
"""What a reader keeps for frames that are not large; each connection has one at either end."""

_LAZY_BYTES = 2**25
"""From here on memory comes straight from the kernel anyway, as pages that cost nothing before
they are written to. `bytearray` would write to them at once."""

_HEAD = frame.HEAD.size
_unpack_head = frame.HEAD.unpack_from


_SKIPPED_BYTES = 2**20  # at a time
_MOST_SKIPPED_BYTES = 2**36  # more will hardly come


class NotReceived(Exception):
    """There was no memory for a frame, which was skipped; the next one is in its place.

    Attributes:
      reason: what to tell whose call it is.
      call_id: of the frame.
    """

    def __init__(self, reason: PayloadTooLarge, call_id: int) -> None:
        """Keep what is known."""
        self.reason = reason
        self.call_id = call_id
        super().__init__(reason, call_id)


def allocate(size: int) -> bytearray | memoryview:
    """Return memory for what a peer has announced, of which nothing may come.

    Raises:
      PayloadTooLarge: there is not so much.
    """
    try:
        return bytearray(size) if size < _LAZY_BYTES else memoryview(mmap.mmap(-1, size))
    except (MemoryError, OSError, OverflowError) as error:
        message = f"there is no memory for a message with a part of {size:,} bytes"
        raise PayloadTooLarge(message) from error


class FrameReader:
    """Takes received bytes, gives frames.

    ```
    while (found := reader.next()) is None:
        reader.received(stream.receive(reader.space()))
    ```

    What is small passes through a buffer, so that many frames may be received at once; the arrays
    of a large frame are received straight into their own memory.
    """

    def __init__(self, limit: int) -> None:
        """Begin a stream.

        Args:
          limit: the most bytes of a frame's pickle and buffers to accept.
        """
        self.limit = limit
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0
        self._apart: Apart | None = None

    @property
    def more_expected(self) -> bool:
        """Whether a large frame has come in part."""
        return self._apart is not None

    def space(self) -> memoryview:
        """Return where the next bytes are to be received; empty only before frames are taken."""
        if self._apart is not None:
            return self._apart.space()
        start, end = self._start, self._end
        if start:
            rest = end - start
            if rest:
                self._view[:rest] = self._view[start:end]
            self._start, self._end = 0, rest
            end = rest
        return self._view[end:] if end else self._view

    def received(self, count: int) -> None:
        """Note that so many bytes were received."""
        if self._apart is not None:
            self._apart.received(count)
        else:
            self._end += count

    def next(self) -> frame.Frame | None:
        """Return the next frame; None when it has not come as a whole.

        Raises:
          ProtocolError: these are not frames.
          PayloadTooLarge: the frame exceeds the limit, or there is no memory to know it by.
          NotReceived: there is no memory for it; the stream goes on.
        """
        apart = self._apart
        if apart is not None:
            found = apart.frame
            if found is not None:
                self._apart = None
                if apart.lost is not None:
                    raise NotReceived(apart.lost, found.call_id)
            return found
        start = self._start
        here = self._end - start
        if here < _HEAD:
            return None
        head = _unpack_head(self._buffer, start)
        kind, name, call_id, timeout, pickled, count, detail = frame.check_head(head, self.limit)
        size = _HEAD + name + 8 * count + pickled
        lengths: tuple[int, ...] = ()
        if count and size <= here:
            lengths = struct.unpack_from(f"<{count}Q", self._buffer, start + _HEAD + name)
            size += frame.check_lengths(pickled, lengths, self.limit) - pickled
        if size > here:
            if size > BUFFER_BYTES:
                self._apart = _Large(head, self.limit, self._view[start + _HEAD : self._end])
                self._start = self._end = 0
                return self.next()
            return None
        place = start + _HEAD
        method = frame.method_name(self._buffer[place : place + name]) if name else ""
        place += name + 8 * count
        content = self._buffer[place : place + pickled]
        place += pickled
        if not count:  # as in most
            self._start = place
            return frame.Frame(kind, call_id, timeout or None, method, Payload(content), detail)
        buffers: list[Bytes] = []
        for length in lengths:
            buffers.append(self._buffer[place : place + length])
            place += length
        self._start = place
        whole = Payload(content, buffers)
        return frame.Frame(kind, call_id, timeout or None, method, whole, detail)


class Apart(Protocol):
    """What is received into memory of its own.

    Attributes:
      frame: what it is, once all of it has come.
      lost: why only its head and its size are known.
    """

    frame: frame.Frame | None
    lost: PayloadTooLarge | None

    def space(self) -> memoryview:
        """Return where the next bytes are to be received; never empty."""
        ...

    def received(self, count: int) -> None:
        """Note that so many bytes were received."""
        ...


class _Large:
    """A frame that does not fit the buffer, as its parts come, each in memory of its own."""

    def __init__(self, head: frame.Head, limit: int, begun: memoryview) -> None:
        self.frame: frame.Frame | None = None
        self.lost: PayloadTooLarge | None = None
        self._parts = frame.assemble(head, limit)
        _, name, _, _, _, buffers, _ = head
        self._nameless = bytearray(name)  # in place of what is skipped
        self._part: bytearray | memoryview = self._nameless
        self._filled = self._size = 0
        self._begin(next(self._parts))
        if self.lost is not None and buffers:
            raise self.lost  # the lengths of its buffers are not known
        self.received(0)
        while begun and self.frame is None:
            space = self.space()
            count = min(len(space), len(begun))
            space[:count] = begun[:count]
            self.received(count)
            begun = begun[count:]

    def space(self) -> memoryview:
        if self.lost is None:
            return memoryview(self._part)[self._filled :]
        return memoryview(bytearray(min(self._size - self._filled, _SKIPPED_BYTES)))

    def _begin(self, size: int) -> None:
        """Have memory for the next part; when there was none once, all that follows is skipped."""
        self._filled, self._size, self._part = 0, size, self._nameless
        if self.lost is None:
            try:
                self._part = allocate(size)
            except PayloadTooLarge as error:
                if size > _MOST_SKIPPED_BYTES:
                    raise
                self.lost = error.with_traceback(None)

    def received(self, count: int) -> None:
        self._filled += count
        try:
            while self._filled == self._size:
                self._begin(self._parts.send(self._part))
        except StopIteration as end:
            self.frame = end.value
