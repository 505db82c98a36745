"""The memory of rows of one kind: a few large arrays, addressed as one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from launchpad_lite.errors import UsageError

if TYPE_CHECKING:
    from launchpad_lite.replay.core.types import AnyArray, IntArray, Numbers

_FIRST_BYTES = 2**20
_GROWTH = 16  # what is not written to yet takes no memory, only addresses
_MOST_ROWS = 2**31 - 1


class Kind(NamedTuple):
    """What one step of one column looks like. Rows of a kind are interchangeable memory."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, steps: AnyArray) -> Kind:
        """Return the kind of the steps along an array's first axis.

        Raises:
          UsageError: the array holds Python objects, or has no axis.
        """
        if steps.dtype.hasobject:
            raise UsageError(
                f"an array of dtype {steps.dtype} cannot be stored, because it holds Python "
                "objects. Text needs a dtype of fixed length, as in numpy.array(text, 'U20'), and "
                "bytes one as in numpy.array(data, 'S20')."
            )
        if not steps.ndim:
            raise UsageError("an array of steps needs a first axis, along which they lie.")
        return cls(steps.dtype, steps.shape[1:])

    @property
    def nbytes(self) -> int:
        """The bytes of one row."""
        return self.dtype.itemsize * math.prod(self.shape)


class _Memory(NamedTuple):
    """Replaced as a whole, so that readers and writers need no lock."""

    slabs: tuple[AnyArray, ...]
    starts: IntArray  # the number of each slab's first row


class Slabs:
    """Rows of one kind, numbered from 0.

    A growing store never moves a row: it adds a slab that is much larger than all before, so that
    most rows soon lie in one array, and a batch is read with few calls.
    """

    def __init__(self, kind: Kind) -> None:
        """Begin without any memory."""
        self.kind = kind
        self.capacity = 0
        self._memory = _Memory((), np.empty(0, np.int64))

    def grow(self, least: int) -> None:
        """Add at least so many rows.

        Raises:
          MemoryError: there is no memory for them, or there are 2**31 rows.
        """
        usual = (_GROWTH - 1) * self.capacity or _FIRST_BYTES // max(1, self.kind.nbytes)
        rows = min(max(least, usual), _MOST_ROWS - self.capacity)
        if rows < least:
            raise MemoryError(f"a replay server stores at most {_MOST_ROWS} steps of one kind.")
        while True:
            try:
                slab: AnyArray = np.empty((rows, *self.kind.shape), self.kind.dtype)
                break
            except MemoryError:
                if rows == least:
                    raise
                rows = max(rows // 2, least)  # where addresses count as memory, take fewer
        slabs, starts = self._memory
        self._memory = _Memory((*slabs, slab), np.append(starts, self.capacity))
        self.capacity += rows

    def shrink(self) -> None:
        """Give up all memory but a little. No row may be in use."""
        slabs, starts = self._memory
        keep = 1 if slabs and slabs[0].nbytes <= _FIRST_BYTES else 0
        self._memory = _Memory(slabs[:keep], starts[:keep])
        self.capacity = sum(map(len, slabs[:keep]))

    def write(self, rows: Numbers, values: AnyArray) -> None:
        """Copy `values`, `[n, *shape]`, into `n` different rows."""
        if not len(rows):
            return
        slabs, starts = self._memory
        first = int(rows[0])
        if len(rows) == 1 or (rows[1:] - rows[:-1] == 1).all():  # as they mostly are
            index = int(starts.searchsorted(first, side="right")) - 1
            begin = first - int(starts[index])
            if begin + len(rows) <= len(slabs[index]):
                slabs[index][begin : begin + len(rows)] = values
                return
        which = np.searchsorted(starts, rows, side="right") - 1
        for index in np.unique(which):
            where = np.flatnonzero(which == index)
            slabs[index][rows[where] - starts[index]] = values[where]

    def write_one(self, row: int, value: AnyArray) -> None:
        """Copy `value`, `[1, *shape]`, into a row."""
        slabs, starts = self._memory
        if len(slabs) == 1:
            slabs[0][row] = value[0]
        else:
            index = int(starts.searchsorted(row, side="right")) - 1
            slabs[index][row - starts.item(index)] = value[0]

    def read(self, rows: Numbers, out: AnyArray) -> None:
        """Copy `n` rows into `out`, `[n, *shape]` and contiguous."""
        slabs, starts = self._memory
        if len(slabs) == 1:
            np.take(slabs[0], rows, axis=0, out=out, mode="clip")  # any other mode copies twice
            return
        which = np.searchsorted(starts, rows, side="right") - 1
        counts = np.bincount(which, minlength=len(slabs))
        main = int(counts.argmax())
        # All at once from where most are; what was clipped is then overwritten.
        np.take(slabs[main], rows - starts[main], axis=0, out=out, mode="clip")
        for index in np.flatnonzero(counts):
            if index != main:
                where = np.flatnonzero(which == index)
                out[where] = slabs[index][rows[where] - starts[index]]
