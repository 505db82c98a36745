"""The sender's half of shared memory: buffers are copied into segments that are used again.

A *lender* belongs to one connection and fills segments for its peer alone. A segment that the
receiver has released is kept for a while, and its next use costs one copy. See `memfd` for who may
touch a segment when.

Sharing never fails and never waits: where it is not possible now, the buffers go through the
socket. That is so when the system refuses (no memory, no descriptors), when the process has its
most segments or bytes, all in use, and for `PAUSE_S` after a receiver did not want one.

What is kept idle is bounded in bytes and in time. What receivers hold counts against the total:
they need that memory in any case.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import mmap
import os
import resource
import threading
import time
import weakref
from typing import TYPE_CHECKING, NamedTuple

from launchpad_lite import flags, forks
from launchpad_lite.courier import memfd
from launchpad_lite.courier.deadlines import deadlines
from launchpad_lite.courier.memfd import Descriptor
from launchpad_lite.errors import ResourceExhausted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHARED_BYTES = 2**18
"""The least bytes of a message's buffers that are shared; fewer go faster through the socket."""

PART_BYTES = 2**12
"""The least bytes of one of them; a smaller one would keep the whole segment from being used."""

IDLE_BYTES = 2**29
"""The most bytes that a process keeps for later."""

IDLE_S = 10.0
"""Seconds after which a segment that was not used again is given up."""

PAUSE_S = 10.0
"""Seconds for which nothing new is lent after a refusal."""

_MOST_SLACK = 2  # so many times as large as needed may a segment be that is used again
_SIZE_BITS = 6  # segments' sizes are rounded to so many binary digits, plus the page
_MEMORY_SHARE = 4  # one in so many bytes of the host's memory may be lent
_DESCRIPTORS_SHARE = 4  # one in so many of the process's descriptors may be a segment


class Loan(NamedTuple):
    """A segment that is filled, and from now on the receiver's.

    Attributes:
      number: by which the peer knows it.
      descriptor: what to pass with the frame, if the peer has not got it yet.
      forgotten: the numbers of segments that the peer will not hear of again; told with new ones.
    """

    number: int
    descriptor: Descriptor | None
    forgotten: Sequence[int]


class _Segment:
    """A segment of this process's.

    Attributes:
      number: as in `Loan`.
      size: its bytes, with the header.
      mapped: its memory; None while it is being made.
      idle: the receiver has released it.
      used: when it was filled, or found idle.
    """

    __slots__ = ("idle", "mapped", "number", "size", "used")

    def __init__(self, number: int, size: int) -> None:
        self.number = number
        self.size = size
        self.mapped: mmap.mmap | None = None
        self.idle = False
        self.used = 0.0


def most_segments() -> int:
    """Return how many segments a process lends, and borrows, at most; each is a descriptor."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft, 0) // _DESCRIPTORS_SHARE if soft != resource.RLIM_INFINITY else 2**14


class Pool:
    """What the lenders of a process have together: a bound, and a timer that tidies up.

    Its lock guards all of their bookkeeping; nothing is copied under it.
    """

    def __init__(self, most_bytes: Callable[[], int]) -> None:
        """Make an empty pool.

        Args:
          most_bytes: tells how much may be lent or idle.
        """
        self._most_bytes = most_bytes
        self.begin()

    def begin(self) -> None:
        """Forget everything: what a process was forked with is its parent's."""
        self.lock = threading.Lock()
        self.lenders: weakref.WeakSet[Lender] = weakref.WeakSet()
        self.closed: collections.deque[Lender] = collections.deque()
        self.freed: list[mmap.mmap] = []
        self.count = 0
        self.size = 0
        self._cancel: Callable[[], object] | None = None

    def reserve(self, size: int) -> bool:
        """Count a new segment, if there is room or room can be made; the lock is held."""
        most_bytes, most_count = self._most_bytes() - size, most_segments() - 1
        if self.size > most_bytes or self.count > most_count:
            self._drop_idle(most_bytes, most_count)
            if self.size > most_bytes or self.count > most_count:
                return False
        self.count += 1
        self.size += size
        self._arm()
        return True

    def give_back(self, size: int) -> None:
        """Count a segment less; the lock is held."""
        self.count -= 1
        self.size -= size
        if self.count == 0 and self._cancel is not None:
            self._cancel()
            self._cancel = None

    def _arm(self) -> None:
        if self._cancel is None:
            with contextlib.suppress(ResourceExhausted):  # there can be no more threads
                self._cancel = deadlines.call_later(IDLE_S, self._beat)

    def _beat(self) -> None:
        with self.lock:
            self._cancel = None
        self.tidy(before=time.monotonic() - IDLE_S)
        with self.lock:
            if self.count:
                self._arm()

    def tidy(self, before: float) -> None:
        """Give up the segments that were used last, or found idle, before a time."""
        with self.lock:
            self._drop_idle(self.size, self.count, before)
        self.free()

    def free(self) -> None:
        """Free the memory of segments that were given up; the lock is not held.

        Nor is it waited for. A garbage collection may close a lender while its thread has the lock;
        what that lender had is then freed by the next who comes here, in `IDLE_S` at the latest.
        """
        while self.closed and self.lock.acquire(blocking=False):
            try:
                with contextlib.suppress(IndexError):  # another thread was faster
                    self.closed.popleft().drop_all()
            finally:
                self.lock.release()
        while self.freed:
            with contextlib.suppress(IndexError):  # another thread was faster
                memfd.discard(self.freed.pop())

    def _drop_idle(self, most_bytes: int, most_count: int, before: float = 0.0) -> None:
        """Give up idle segments, the oldest first, until no more than so many are left.

        And until none is left that was used `before` a time, nor more than `IDLE_BYTES`.
        """
        idle = [(each, lender) for lender in list(self.lenders) for each in lender.find_idle()]
        idle.sort(key=lambda pair: pair[0].used)
        idle_bytes = sum(segment.size for segment, _ in idle)
        for segment, lender in idle:
            fits = self.size <= most_bytes and self.count <= most_count
            if fits and segment.used >= before and idle_bytes <= IDLE_BYTES:
                return
            idle_bytes -= segment.size
            lender.drop(segment)


def _allowed() -> int:
    given = flags.value(flags.SHARED_MEMORY)
    if given is not None:
        return given
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MEMORY_SHARE


POOL = Pool(_allowed)
forks.track(POOL)


class Lender:
    """The segments that one connection's peer gets; any thread may use it."""

    def __init__(self, pool: Pool = POOL) -> None:
        """Begin without segments."""
        self._pool = pool
        self._segments: dict[int, _Segment] = {}
        self._forgotten: list[int] = []
        self._numbers = itertools.count(1)
        self._paused_until = 0.0
        self._closed = False
        with pool.lock:
            pool.lenders.add(self)

    def lend(self, parts: Sequence[memoryview]) -> Loan | None:
        """Copy buffers into a segment, each where `memfd.offsets` says.

        Returns:
          The segment; None if they have to go through the socket.
        """
        if not memfd.is_available():
            return None
        starts, size = memfd.offsets([len(part) for part in parts])
        with self._pool.lock:
            segment = self._find(size) or self._add(_rounded(size))
        self._pool.free()
        if segment is None:
            return None
        if segment.mapped is not None:
            _copy(parts, segment.mapped, starts)
            return Loan(segment.number, None, ())
        try:
            descriptor = Descriptor(memfd.create(segment.size, parts))
            segment.mapped = memfd.map_whole(descriptor.number, segment.size)
        except OSError:  # no memory, no descriptors, no mappings: others may give some back
            with self._pool.lock:
                self._remove(segment)
                self._pause()
            return None
        with self._pool.lock:
            forgotten, self._forgotten = self._forgotten, []
        return Loan(segment.number, descriptor, forgotten)

    def _find(self, size: int) -> _Segment | None:
        fitting = [each for each in self.find_idle() if size <= each.size <= _MOST_SLACK * size]
        if not fitting:
            return None
        segment = min(fitting, key=lambda each: (each.size, -each.used))
        segment.idle, segment.used = False, time.monotonic()
        if segment.mapped is not None:
            segment.mapped[0] = memfd.HELD
        return segment

    def _add(self, size: int) -> _Segment | None:
        now = time.monotonic()
        if self._closed or now < self._paused_until or not self._pool.reserve(size):
            return None
        segment = _Segment(next(self._numbers), size)
        segment.used = now
        self._segments[segment.number] = segment
        return segment

    def take_back(self, number: int, *, passed: bool) -> None:
        """Note that the peer will not hear of a loan.

        Args:
          number: of the segment.
          passed: whether the peer had got it before.
        """
        with self._pool.lock:
            segment = self._segments.get(number)
            if segment is None:
                return
            if passed:
                segment.idle = True
            else:
                self._remove(segment)

    def find_idle(self) -> list[_Segment]:
        """Return the segments that can be used again; the pool's lock is held."""
        for segment in list(self._segments.values()):
            if segment.idle or segment.mapped is None:
                continue
            state = segment.mapped[0]
            if state == memfd.RELEASED:
                segment.idle, segment.used = True, time.monotonic()
            elif state == memfd.UNWANTED:
                self._remove(segment)
                self._pause()
        return [each for each in self._segments.values() if each.idle]

    def drop(self, segment: _Segment) -> None:
        """Give up an idle segment; the pool's lock is held."""
        self._remove(segment)
        self._forgotten.append(segment.number)
        if segment.mapped is not None:
            self._pool.freed.append(segment.mapped)

    def _remove(self, segment: _Segment) -> None:
        if self._segments.pop(segment.number, None) is not None:
            self._pool.give_back(segment.size)

    def _pause(self) -> None:
        self._paused_until = time.monotonic() + PAUSE_S

    def close(self) -> None:
        """Let go of all segments; what the peer still holds is its own."""
        self._closed = True
        self._pool.closed.append(self)
        self._pool.free()

    def drop_all(self) -> None:
        """Give up all segments, after `close`; the pool's lock is held."""
        if self in self._pool.lenders:  # and not in a child of the process that opened it
            self._pool.lenders.discard(self)
            for segment in list(self._segments.values()):
                self._remove(segment)
        self._segments.clear()


def _rounded(size: int) -> int:
    """Return the size of a segment for so many bytes, with some more for the next time."""
    step = max(mmap.PAGESIZE, 1 << max(0, size.bit_length() - _SIZE_BITS))
    return -(-size // step) * step


def _copy(parts: Sequence[memoryview], mapped: mmap.mmap, starts: Sequence[int]) -> None:
    """Copy without the interpreter's lock, which `mapped[...] = part` would hold."""
    import numpy as np

    for part, start in zip(parts, starts, strict=True):
        target = np.frombuffer(mapped, np.uint8, len(part), start)
        np.copyto(target, np.frombuffer(part, np.uint8))
