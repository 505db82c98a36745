"""The data of all items: rows with reference counts. A row is one step of one column."""

from __future__ import annotations

import collections
import threading
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from launchpad_lite.replay.core.free_list import FreeList
from launchpad_lite.replay.core.slabs import Kind, Slabs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launchpad_lite.replay.core.types import AnyArray, IntArray, Numbers

_IDLE_KINDS = 8
_RECLAIMED_AT_ONCE = 256
_ONE = np.int32(1)  # ufunc.at is fast only where no type has to be converted


class RowStore:
    """The rows of one server, shared by its tables. Thread-safe.

    A row is held by each item that refers to it, and by whoever wrote it while items may still be
    made of it. What nobody holds any more is free. The lock covers the bookkeeping: rows are
    written between being reserved and being known to anyone else, and read while a pin keeps what
    is freed meanwhile from being written again.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._lock = threading.Lock()
        self._pools: dict[Kind, _Pool] = {}
        self._idle: dict[Kind, None] = {}  # kinds without a row, the longest idle first
        self._nbytes = 0
        self._pins: dict[int, None] = {}  # in ascending order
        self._last_pin = 0
        self._limbo: collections.deque[_Freed] = collections.deque()

    @property
    def nbytes(self) -> int:
        """The bytes of all rows that are held, or still read."""
        return self._nbytes

    def put(self, values: AnyArray) -> Numbers:
        """Store a copy of some steps of a column.

        Args:
          values: `[n, *shape]`.

        Returns:
          The numbers of the `n` rows, among those of `Kind.of(values)`. The caller holds each once.

        Raises:
          UsageError: the array holds Python objects.
          MemoryError: there is no room for it.
        """
        kind = Kind.of(values)
        with self._lock:
            pool = self._pool_of(kind)
            try:
                rows = pool.reserve(len(values))
            finally:
                self._note_idle(pool)
            self._nbytes += len(rows) * pool.nbytes
        try:
            pool.slabs.write(rows, values)
        except BaseException:
            self.release(kind, rows)
            raise
        return rows

    def put_step(
        self, kinds: Sequence[Kind], values: Sequence[AnyArray], holders: int
    ) -> list[int]:
        """Store a copy of one step of some columns.

        Args:
          kinds: those of the columns; see `Kind.of`.
          values: of each column an array `[1, *shape]`.
          holders: how often the caller holds each row.

        Returns:
          The number of the row of each column.

        Raises:
          MemoryError: there is no room for it.
        """
        rows: list[int] = []
        pools: list[_Pool] = []
        try:
            with self._lock:
                for kind in kinds:
                    pool = self._pool_of(kind)
                    try:
                        rows.append(pool.reserve_one(holders))
                    except BaseException:
                        self._note_idle(pool)
                        raise
                    pools.append(pool)
                    self._nbytes += pool.nbytes
            for pool, row, value in zip(pools, rows, values, strict=True):
                pool.slabs.write_one(row, value)
        except BaseException:
            for _ in range(holders):
                self.release_line(kinds, rows)
            raise
        return rows

    def hold(self, kind: Kind, rows: Numbers) -> None:
        """Refer to rows once more each. They must be held already; a row may be named twice."""
        with self._lock:
            np.add.at(self._pools[kind].holders, _indices(rows), _ONE)

    def release(self, kind: Kind, rows: Numbers) -> None:
        """Refer to rows once less each, which frees those that nobody refers to any more."""
        with self._lock:
            pool = self._pools[kind]
            freed = pool.drop(_indices(rows))
            if not len(freed):
                return
            if self._pins:
                self._limbo.append(_Freed(self._last_pin, pool, freed))
            else:
                self._reclaim(pool, freed)

    def release_line(self, kinds: Sequence[Kind], rows: Sequence[int]) -> None:
        """Refer to each of some rows once less, as `release` does; the first are of these kinds."""
        with self._lock:
            for kind, row in zip(kinds, rows, strict=False):
                pool = self._pools[kind]
                left = pool.holders.item(row) - 1
                pool.holders[row] = left
                if left:
                    continue
                if self._pins:
                    self._limbo.append(_Freed(self._last_pin, pool, np.array([row])))
                else:
                    pool.reclaim_one(row)
                    self._nbytes -= pool.nbytes
                    self._note_idle(pool)

    def pin(self) -> int:
        """Keep what is readable now readable, though it be released, until `unpin`.

        Whoever pins must know, by a lock of their own, that the rows are held at this time.
        """
        with self._lock:
            self._last_pin += 1
            self._pins[self._last_pin] = None
            return self._last_pin

    def unpin(self, pin: int) -> None:
        """End what `pin` began. After a long time call `reclaim` too, until nothing is left."""
        with self._lock:
            del self._pins[pin]
        self.reclaim()

    def reclaim(self) -> bool:
        """Take back some of what was freed while it was pinned: little, so that others may go on.

        Returns:
          Whether more is left.
        """
        with self._lock:
            oldest = next(iter(self._pins), self._last_pin + 1)
            for _ in range(_RECLAIMED_AT_ONCE):
                if not self._limbo or self._limbo[0].last_pin >= oldest:
                    return False
                freed = self._limbo.popleft()
                self._reclaim(freed.pool, freed.rows)
            return True

    def gather(self, kind: Kind, rows: Numbers, out: AnyArray | None = None) -> AnyArray:
        """Copy rows, which must be held or pinned.

        Args:
          kind: what they are.
          rows: their numbers, of any shape.
          out: where to copy them, contiguous; None for a new array.

        Returns:
          An array `[*rows.shape, *kind.shape]`.
        """
        if out is None:
            out = np.empty((*rows.shape, *kind.shape), kind.dtype)
        if rows.size:
            self._pools[kind].slabs.read(rows.ravel(), out.reshape(rows.size, *kind.shape))
        return out

    def _pool_of(self, kind: Kind) -> _Pool:
        """Return the pool of a kind, which may be new, and is idle no longer."""
        pool = self._pools.get(kind)
        if pool is None:
            pool = self._pools[kind] = _Pool(kind)
        if self._idle:
            self._idle.pop(kind, None)
        return pool

    def _reclaim(self, pool: _Pool, rows: IntArray) -> None:
        pool.reclaim(rows)
        self._nbytes -= len(rows) * pool.nbytes
        self._note_idle(pool)

    def _note_idle(self, pool: _Pool) -> None:
        """Keep a little memory of a few kinds that have no row: a queue has none now and then."""
        if pool.live:
            return
        pool.clear()
        self._idle[pool.slabs.kind] = None
        if len(self._idle) > _IDLE_KINDS:
            oldest = next(iter(self._idle))
            del self._idle[oldest], self._pools[oldest]


class _Freed(NamedTuple):
    last_pin: int  # the last pin before they were freed, and so the last that may read them
    pool: _Pool
    rows: IntArray


class _Pool:
    """The rows of one kind: how often each is held, and which are free."""

    def __init__(self, kind: Kind) -> None:
        self.slabs = Slabs(kind)
        self.nbytes = kind.nbytes
        self.holders = np.zeros(0, np.int32)
        self._free = FreeList()

    @property
    def live(self) -> int:
        """How many rows are held, or still read."""
        return len(self._free)

    def reserve(self, count: int) -> Numbers:
        """Return rows that are held once each."""
        self._grow(self._free.end_after(count) - self.slabs.capacity)
        rows = self._free.take(count)
        self.holders[rows] = 1
        return rows

    def reserve_one(self, holders: int) -> int:
        """Return a row that is held so often."""
        self._grow(self._free.end_after(1) - self.slabs.capacity)
        row = self._free.take_one()
        self.holders[row] = holders
        return row

    def _grow(self, missing: int) -> None:
        if missing > 0:
            self.slabs.grow(missing)
            holders = np.zeros(self.slabs.capacity, np.int32)
            holders[: len(self.holders)] = self.holders
            self.holders = holders

    def drop(self, rows: IntArray) -> IntArray:
        """Count one holder less for each, and return those that have none left."""
        np.subtract.at(self.holders, rows, _ONE)
        freed: IntArray = rows[self.holders[rows] == 0]
        if not len(freed):
            return freed
        # A row that was named several times is among them as often: the last mention counts.
        mentions = np.arange(len(freed), dtype=np.int32)
        self.holders[freed] = mentions
        last = self.holders[freed] == mentions
        self.holders[freed] = 0
        once: IntArray = freed[last]
        return once

    def reclaim(self, rows: IntArray) -> None:
        """Take back rows that nobody holds, or reads."""
        self._free.give(rows)

    def reclaim_one(self, row: int) -> None:
        """Take back one row."""
        self._free.give_one(row)

    def clear(self) -> None:
        """Give up most memory; there is no row left."""
        self.slabs.shrink()
        self.holders = np.zeros(self.slabs.capacity, np.int32)
        self._free.clear()


def _indices(rows: Numbers) -> IntArray:
    return rows.ravel().astype(np.int64)
