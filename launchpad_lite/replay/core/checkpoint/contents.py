"""What a checkpoint tells of its contents: all but the numbers and the data, which follow it."""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING, Any

import msgspec
from numpy.lib import format as npy

from launchpad_lite.errors import CheckpointError
from launchpad_lite.replay.core.layout import Column, Layout
from launchpad_lite.replay.core.limiters import LimiterState
from launchpad_lite.replay.core.slabs import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launchpad_lite.replay.core.info import TableInfo


class KindContents(msgspec.Struct, frozen=True):
    """The rows of one kind, which all tables share.

    Attributes:
      dtype: see `Kind`; as NumPy's own files have it.
      shape: see `Kind`.
      rows: how many there are.
    """

    dtype: str
    shape: tuple[int, ...]
    rows: int

    @classmethod
    def of(cls, kind: Kind, rows: int) -> KindContents:
        """Describe the rows of a kind.

        Raises:
          CheckpointError: NumPy has no name for the dtype, which is another library's.
        """
        with warnings.catch_warnings(action="ignore"):  # for what a dtype is annotated with
            name = repr(npy.dtype_to_descr(kind.dtype))
        described = cls(name, kind.shape, rows)
        if described.kind != kind:
            raise CheckpointError(
                f"a column of dtype {kind.dtype} cannot be kept in a checkpoint. Store it as one "
                f"of NumPy's dtypes, as array.view('u{kind.dtype.itemsize}')."
            )
        return described

    @property
    def kind(self) -> Kind:
        """The kind."""
        return Kind(npy.descr_to_dtype(ast.literal_eval(self.dtype)), self.shape)


class ColumnContents(msgspec.Struct, frozen=True):
    """A column of items.

    Attributes:
      kind: which of the kinds it is of.
      length: see `Column`.
      squeezed: see `Column`.
    """

    kind: int
    length: int
    squeezed: bool


class GroupContents(msgspec.Struct, frozen=True):
    """Items of one layout.

    Attributes:
      columns: their columns.
      items: how many items there are.
    """

    columns: tuple[ColumnContents, ...]
    items: int

    @classmethod
    def of(cls, layout: Layout, items: int, kinds: Sequence[Kind]) -> GroupContents:
        """Describe some items."""
        columns = [
            ColumnContents(kinds.index(column.kind), column.length, column.squeezed)
            for column in layout.columns
        ]
        return cls(tuple(columns), items)

    def layout(self, kinds: Sequence[Kind]) -> Layout:
        """Return the layout."""
        return Layout(
            [Column(kinds[each.kind], each.length, each.squeezed) for each in self.columns]
        )


class TableContents(msgspec.Struct, frozen=True):
    """A table.

    Attributes:
      name: its name.
      settings: what it was made with, in words.
      limiter: see `TableState`.
      num_deleted_episodes: see `TableState`.
      num_unique_samples: see `TableState`.
      next_order: see `TableState`.
      groups: its items, by layout.
    """

    name: str
    settings: dict[str, str]
    limiter: LimiterState
    num_deleted_episodes: int
    num_unique_samples: int
    next_order: int
    groups: tuple[GroupContents, ...]


class Contents(msgspec.Struct, frozen=True):
    """What a checkpoint holds.

    Attributes:
      written_by: the version of this package that wrote it.
      tables: the tables.
      kinds: the rows, of all tables together.
    """

    written_by: str
    tables: tuple[TableContents, ...]
    kinds: tuple[KindContents, ...]


def settings_of(info: TableInfo) -> dict[str, str]:
    """Return what a table was made with, in words, but for its limiter and its signature."""
    return {
        "sampler": _describe(info.sampler_options),
        "remover": _describe(info.remover_options),
        "max_size": str(info.max_size),
        "max_times_sampled": str(info.max_times_sampled),
    }


def differences(saved: Mapping[str, str], info: TableInfo) -> list[str]:
    """Return how a table's settings differ from those in a checkpoint, a sentence each."""
    return [
        f"{name} was {saved[name]}, and is {value}."
        for name, value in settings_of(info).items()
        if name in saved and saved[name] != value
    ]


def _describe(selector: Any) -> str:
    exponent = selector.priority_exponent
    return selector.name if exponent is None else f"{selector.name} (exponent {exponent:g})"
