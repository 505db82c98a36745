"""Sealed memory that two processes of a host share: how arrays travel without passing the socket.

A *segment* is a memfd. Its sender fills it, seals it against shrinking, growing and further seals,
and passes the descriptor; the receiver checks that it got just that, maps it writable and gives out
arrays that lie in it. The content begins at `HEADER`; before it, one byte says whose it is:

- `HELD`: the receiver's. It writes into its arrays as it likes; nobody else reads or writes.
- `RELEASED`: the sender's again, to be filled anew. Both have kept their mappings, so this costs
  one copy, and neither a system call nor a page fault.
- `UNWANTED`: the receiver has copied the content out and knows the segment no more.

The sender sets the byte before the frame goes; only then may the receiver change it, once. So a
release needs no message and wakes nobody, and it is seen although the connection rests. What a
receiver keeps for ever stays its own; when a process dies, or the connection ends, the other side
drops what they shared, and the kernel frees it with the last mapping.

Writes through a segment need no guard against a file that ends too early (SIGBUS): the seals are
checked before it is mapped, and all its pages exist from the beginning.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
from typing import TYPE_CHECKING

from launchpad_lite.courier.frame import ProtocolError
from launchpad_lite.courier.frame_reader import allocate

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADER = mmap.PAGESIZE
"""Bytes before the content, which so begins on a page."""

HELD, RELEASED, UNWANTED = 1, 2, 3

_ALIGNMENT = 64  # bytes: a cache line, and what vector instructions and accelerators like best
_ALLOCATE_AT_ONCE = 2**22  # bytes; a call that a signal interrupts begins again, so it is short


class Descriptor:
    """A file descriptor that is closed when nobody holds it any more."""

    def __init__(self, number: int) -> None:
        """Take it over."""
        self.number = number

    def __del__(self) -> None:
        """Close it."""
        os.close(self.number)


def is_available() -> bool:
    """Whether this system has memfds."""
    return hasattr(os, "memfd_create")


def offsets(lengths: Sequence[int]) -> tuple[list[int], int]:
    """Return where the parts of a segment's content lie, and the size that holds them all."""
    found: list[int] = []
    end = HEADER
    for length in lengths:
        start = -(-end // _ALIGNMENT) * _ALIGNMENT
        found.append(start)
        end = start + length
    return found, end


def create(size: int, parts: Sequence[bytes | bytearray | memoryview]) -> int:
    """Make a segment, in the state `HELD`, and return its descriptor.

    It is filled by write calls, which cost less than page faults where there are no pages yet.

    Args:
      size: its bytes, at least what `offsets` says of the parts.
      parts: its content.

    Raises:
      OSError: there are no descriptors or there is no memory left.
    """
    fd = os.memfd_create("launchpad_lite", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _seals())
        starts, end = offsets([len(part) for part in parts])
        for part, start in zip(parts, starts, strict=True):
            _write(fd, part, start)
        for start in range(end, size, _ALLOCATE_AT_ONCE):
            os.posix_fallocate(fd, start, min(_ALLOCATE_AT_ONCE, size - start))
        set_state(fd, HELD)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _seals() -> int:
    return fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def _write(fd: int, part: bytes | bytearray | memoryview, start: int) -> None:
    rest = memoryview(part)
    while rest:
        written = os.pwrite(fd, rest, start)
        rest = rest[written:]
        start += written


def read(fd: int, lengths: Sequence[int]) -> list[bytearray | memoryview]:
    """Copy the parts out of a segment that has been checked.

    Raises:
      PayloadTooLarge: there is no memory for them.
    """
    parts: list[bytearray | memoryview] = []
    for length, start in zip(lengths, offsets(lengths)[0], strict=True):
        part = allocate(length)
        done = 0
        while done < length:
            done += os.preadv(fd, [memoryview(part)[done:]], start + done)
        parts.append(part)
    return parts


def check(fd: int) -> int:
    """Return the size of a segment that a peer has passed.

    Raises:
      ProtocolError: it is no segment.
    """
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError as error:
        message = "the peer passed a file descriptor that is not a memfd"
        raise ProtocolError(message) from error
    if seals != _seals():
        message = f"the peer passed a memfd with seals {seals:#x} instead of {_seals():#x}"
        raise ProtocolError(message)
    return os.fstat(fd).st_size


def map_whole(fd: int, size: int) -> mmap.mmap:
    """Map a segment, writable.

    Raises:
      OSError: there are no descriptors, no mappings or no memory left.
    """
    return mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)


def set_state(fd: int, state: int) -> None:
    """Say whose a segment is that is not mapped."""
    os.pwrite(fd, bytes([state]), 0)


def release(mapped: mmap.mmap) -> None:
    """Give a segment back to its sender; safe wherever the garbage collector may run."""
    for _ in range(2):  # what was written before comes before, on any processor
        fence = threading.Lock()
        fence.acquire()
        fence.release()
    mapped[0] = RELEASED


def discard(mapped: mmap.mmap) -> None:
    """Free the memory of a segment that nobody uses, even while the peer has it mapped."""
    mapped.madvise(mmap.MADV_REMOVE)
