"""How the data of an item lies in rows, and batches of items that are alike in that."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.slabs import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from launchpad_lite.replay.core.rows import RowStore
    from launchpad_lite.replay.core.types import AnyArray, FloatArray, IntArray, Numbers

_FEW = 32
"""So many rows are sooner released one by one than with NumPy."""

EPISODE = Kind(np.dtype("V0"), ())
"""An episode is a row without data: numbered, and held by whoever refers to it."""


class Column(NamedTuple):
    """One column of an item.

    Attributes:
      kind: what each of its steps looks like.
      length: how many steps it has.
      squeezed: whether it is its only step, without an axis of steps.
    """

    kind: Kind
    length: int
    squeezed: bool = False

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The type of the elements."""
        return self.kind.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the column in one item."""
        return self.kind.shape if self.squeezed else (self.length, *self.kind.shape)


class Layout:
    """The columns of an item, and where their rows are in a line of row numbers.

    Attributes:
      columns: the columns.
      kinds: what the rows of an item are: of its episode, and then of all columns.
      width: how many they are.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        """Check the columns.

        Raises:
          UsageError: there is none, or one without a step, or a squeezed one with several.
        """
        self.columns = tuple(columns)
        if not self.columns:
            raise UsageError("an item must have at least one column.")
        for index, column in enumerate(self.columns):
            if column.length < 1:
                raise UsageError(f"column {index} of an item has no step.")
            if column.squeezed and column.length != 1:
                raise UsageError(
                    f"column {index} of an item is squeezed, so it must have 1 step, and has "
                    f"{column.length}."
                )
        starts = np.cumsum([1, *(column.length for column in self.columns)]).tolist()
        self.width: int = starts[-1]
        steps = ([column.kind] * column.length for column in self.columns)
        self.kinds = (EPISODE, *itertools.chain.from_iterable(steps))
        self._slices = [slice(start, end) for start, end in itertools.pairwise(starts)]
        of_kind: dict[Kind, list[int]] = {EPISODE: [0]}
        for column, part in zip(self.columns, self._slices, strict=True):
            of_kind.setdefault(column.kind, []).extend(range(part.start, part.stop))
        self._hash = hash(self.columns)
        self._of_kind = {kind: np.array(indices) for kind, indices in of_kind.items()}

    @property
    def nbytes(self) -> int:
        """The bytes of an item."""
        return sum(kind.nbytes for kind in self.kinds)

    @property
    def steps(self) -> list[Kind]:
        """What each step of an item consists of; empty where its columns do not make up steps."""
        alike = len({(column.length, column.squeezed) for column in self.columns}) == 1
        return [column.kind for column in self.columns if alike and not column.squeezed]

    @property
    def places(self) -> Mapping[Kind, IntArray]:
        """Where in the line of an item the numbers of the rows of each kind are."""
        return self._of_kind

    def hold(self, store: RowStore, rows: Numbers) -> None:
        """Hold the rows of items, `[n, width]`, with their episodes."""
        for kind, indices in self._of_kind.items():
            store.hold(kind, rows[:, indices])

    def release(self, store: RowStore, rows: Numbers) -> None:
        """Release the rows of items, `[n, width]`, with their episodes."""
        if len(rows) == 1 and self.width <= _FEW:
            store.release_line(self.kinds, rows[0].tolist())
            return
        for kind, indices in self._of_kind.items():
            store.release(kind, rows[:, indices])

    def gather(self, store: RowStore, rows: Numbers) -> list[AnyArray]:
        """Copy the data of `n` items.

        Args:
          store: where it is.
          rows: `[n, width]`.

        Returns:
          For each column an array `[n, *column.shape]`.
        """
        return [
            store.gather(column.kind, rows[:, part]).reshape(len(rows), *column.shape)
            for column, part in zip(self.columns, self._slices, strict=True)
        ]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and self.columns == other.columns

    def __hash__(self) -> int:
        return self._hash


@dataclasses.dataclass(frozen=True, kw_only=True)
class ItemBatch:
    """Items of one layout, in order.

    Attributes:
      layout: what each looks like.
      priorities: `float64[n]`.
      rows: the numbers of the rows of each: its episode, and then the columns one after the other;
        `int32[n, layout.width]`. Whoever inserts the batch holds them; the table then does so too.
      given: whether the holds of whoever inserts it become the table's instead.
    """

    layout: Layout
    priorities: FloatArray
    rows: Numbers
    given: bool = False

    def __len__(self) -> int:
        return len(self.priorities)

    def part(self, begin: int, end: int) -> ItemBatch:
        """Return the items from one index to another."""
        return ItemBatch(
            layout=self.layout,
            priorities=self.priorities[begin:end],
            rows=self.rows[begin:end],
            given=self.given,
        )


class Lines(NamedTuple):
    """The rows of some of the items that were asked for, all of one layout.

    Attributes:
      layout: their layout.
      places: which of those asked for they are; `int64[m]`.
      rows: `int32[m, layout.width]`.
    """

    layout: Layout
    places: IntArray
    rows: Numbers


class Gathered(NamedTuple):
    """The data of some items of a batch, all of one layout.

    Attributes:
      layout: what each looks like.
      places: where in the batch they are; `int64[m]`.
      columns: for each column an array `[m, *column.shape]`.
    """

    layout: Layout
    places: IntArray
    columns: list[AnyArray]

    def each(self) -> Iterator[tuple[int, list[AnyArray]]]:
        """Yield the place of each item, and views of its columns."""
        for index, place in enumerate(self.places.tolist()):
            yield place, [column[index] for column in self.columns]


def gather(store: RowStore, lines: Lines) -> Gathered:
    """Copy the data of items, which must be held or pinned."""
    layout, places, rows = lines
    return Gathered(layout, places, layout.gather(store, rows))
