"""The receiver's half of shared memory: arrays that lie in a peer's segments.

A *borrower* belongs to one connection and knows the segments that its peer has passed. The buffers
of a message are views of one object; when the last array over them is gone, so is that, and the
segment is the peer's again. See `memfd` for who may touch a segment when.

A process that is forked shares the arrays it held then with its child, and either may let go of
them first: such segments are never released.
"""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any, cast

from launchpad_lite import forks
from launchpad_lite.courier import memfd
from launchpad_lite.courier.frame import ProtocolError
from launchpad_lite.courier.lending import most_segments
from launchpad_lite.courier.memfd import Descriptor

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterable, Sequence


mapped: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
"""The segments of others that this process has mapped."""

_forks = 0


def _note_fork() -> None:
    global _forks  # noqa: PLW0603 - it is the process that is forked
    _forks += 1


# Before, for what is held; after, for what was received meanwhile in another thread.
forks.around(_note_fork)


class _Segment:
    """A segment of the peer's.

    Attributes:
      size: its bytes.
      memory: where it is mapped; otherwise the descriptor to read it from.
      held: what the arrays in it keep alive.
    """

    __slots__ = ("held", "memory", "size")

    def __init__(self, descriptor: Descriptor) -> None:
        self.size = memfd.check(descriptor.number)
        self.memory = _map(descriptor.number, self.size) or descriptor
        self.held: weakref.ref[Any] | None = None


class Borrower:
    """The segments of one connection's peer; the thread that reads the connection uses it."""

    def __init__(self) -> None:
        """Begin without segments."""
        self._segments: dict[int, _Segment] = {}

    def add(self, number: int, descriptor: Descriptor) -> None:
        """Take over a segment.

        Args:
          number: by which the peer calls it.
          descriptor: it.

        Raises:
          ProtocolError: it is no segment, or there is one of this number.
        """
        if number in self._segments:
            message = "the peer passed two shared segments of one number"
            raise ProtocolError(message)
        self._segments[number] = _Segment(descriptor)

    def borrow(self, number: int, lengths: Sequence[int]) -> Sequence[memoryview | bytearray]:
        """Return the buffers in a segment.

        Where it cannot be mapped, or this process has mapped its most, they are copied out.

        Args:
          number: by which the peer calls it.
          lengths: the bytes of each buffer.

        Raises:
          ProtocolError: there is no such segment, they are not in it, or arrays lie in it.
          PayloadTooLarge: there is no memory to copy them to.
        """
        import numpy as np

        segment = self._segments.get(number)
        if segment is None:
            message = "the peer speaks of a shared segment that it has not passed"
            raise ProtocolError(message)
        starts, end = memfd.offsets(lengths)
        if end > segment.size:
            message = f"the peer speaks of {end:,} bytes in a shared segment of {segment.size:,}"
            raise ProtocolError(message)
        if segment.held is not None and segment.held() is not None:
            message = "the peer uses a shared segment that it was not given back"
            raise ProtocolError(message)
        memory = segment.memory
        if isinstance(memory, Descriptor):
            del self._segments[number]
            try:
                return memfd.read(memory.number, lengths)
            finally:
                memfd.set_state(memory.number, memfd.UNWANTED)
        owner = np.frombuffer(memory, np.uint8)
        segment.held = weakref.ref(owner, functools.partial(_release, memory, _forks))
        whole = memoryview(cast("Any", owner))  # NumPy's types do not say that it is a buffer
        return [
            whole[start : start + length] for start, length in zip(starts, lengths, strict=True)
        ]

    def forget(self, numbers: Iterable[int]) -> None:
        """Let go of segments that the peer has given up."""
        for number in numbers:
            self._segments.pop(number, None)

    def close(self) -> None:
        """Let go of all segments; the arrays in them stay."""
        self._segments.clear()


def _map(descriptor: int, size: int) -> mmap.mmap | None:
    if len(mapped) >= most_segments():
        return None
    try:
        memory = memfd.map_whole(descriptor, size)
    except OSError:  # no descriptors, mappings or memory left
        return None
    mapped.add(memory)
    return memory


def _release(memory: mmap.mmap, forks: int, _: object) -> None:
    if forks == _forks:
        memfd.release(memory)
