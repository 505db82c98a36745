"""Reading what tables held, and filling tables with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from launchpad_lite.errors import CheckpointError, UsageError
from launchpad_lite.replay.core.checkpoint.contents import Contents, TableContents, differences
from launchpad_lite.replay.core.checkpoint.parts import line_parts, row_parts
from launchpad_lite.replay.core.layout import ItemBatch
from launchpad_lite.replay.core.ledger import TableState
from launchpad_lite.replay.core.table_items import SavedItems

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launchpad_lite.replay.core.checkpoint.sections import SectionReader
    from launchpad_lite.replay.core.rows import RowStore
    from launchpad_lite.replay.core.slabs import Kind
    from launchpad_lite.replay.core.table import Table
    from launchpad_lite.replay.core.types import Numbers


def read_tables(
    reader: SectionReader, path: str, tables: Sequence[Table], store: RowStore
) -> tuple[str, ...]:
    """Fill tables with what a checkpoint holds, once all of it has been read and checked.

    Args:
      reader: reads the checkpoint.
      path: what it is called, for messages.
      tables: the tables, all empty.
      store: where their data is to be.

    Returns:
      Which settings differ, a sentence each.

    Raises:
      CheckpointError: it is damaged, or does not fit the tables. They are empty still.
      OSError: it cannot be read.
    """
    contents = _read_contents(reader, path)
    chosen = _match(contents, path, tables)
    kinds = [each.kind for each in contents.kinds]
    states = [_read_items(reader, each, kinds) for each in contents.tables]
    for table, state in zip(chosen, states, strict=True):
        try:
            table.check(saved.batch for saved in state.items)
        except UsageError as error:
            raise CheckpointError(f"{path} does not fit: {error}") from None
    parts: list[tuple[Kind, Numbers]] = []
    try:
        for kind, described in zip(kinds, contents.kinds, strict=True):
            for part in row_parts(kind, described.rows):
                values = np.empty((part.stop - part.start, *kind.shape), kind.dtype)
                reader.read_array(values)
                parts.append((kind, store.put(values)))
        reader.end()
        rows = {kind: np.concatenate([some for k, some in parts if k == kind]) for kind in kinds}
        told: list[str] = []
        for table, state, saved in zip(chosen, states, contents.tables, strict=True):
            _place(state, rows)
            told += [f"table {table.name!r}: {each}" for each in _restore(table, state, saved)]
        new = [table.name for table in tables if table not in chosen]
        return (*told, *(f"table {name!r} is not in it, and begins empty." for name in new))
    finally:
        for kind, some in parts:
            store.release(kind, some)


def _restore(table: Table, state: TableState, saved: TableContents) -> list[str]:
    """Fill a table, and return what differs."""
    before = sum(len(each.batch) for each in state.items)
    told = [*differences(saved.settings, table.info), *table.restore(state)]
    if len(table) < before:
        told.append(f"{before - len(table)} of its {before} items were removed.")
    return told


def _read_contents(reader: SectionReader, path: str) -> Contents:
    try:
        return msgspec.msgpack.decode(reader.read(), type=Contents)
    except msgspec.MsgspecError as error:
        raise CheckpointError(f"{path} is damaged: {error}.") from None


def _match(contents: Contents, path: str, tables: Sequence[Table]) -> list[Table]:
    """Return the table for each of those in the checkpoint.

    Raises:
      CheckpointError: one is not there.
    """
    by_name = {table.name: table for table in tables}
    saved = [each.name for each in contents.tables]
    missing = [name for name in saved if name not in by_name]
    if missing:
        raise CheckpointError(
            f"{path} is a checkpoint of other tables: it holds {_list(saved)}, and the server has "
            f"{_list(by_name)}. Give the server a table {missing[0]!r} too, or a checkpointer with "
            "another path."
        )
    return [by_name[name] for name in saved]


def _read_items(reader: SectionReader, table: TableContents, kinds: Sequence[Kind]) -> TableState:
    items: list[SavedItems] = []
    for group in table.groups:
        layout, count = group.layout(kinds), group.items
        saved = SavedItems(
            batch=ItemBatch(
                layout=layout,
                priorities=np.empty(count, np.float64),
                rows=np.empty((count, layout.width), np.int32),
            ),
            slots=np.empty(count, np.int64),
            order=np.empty(count, np.int64),
            times_sampled=np.empty(count, np.int32),
        )
        for part in line_parts(layout, count):
            reader.read_array(saved.batch.priorities[part])
            reader.read_array(saved.slots[part])
            reader.read_array(saved.order[part])
            reader.read_array(saved.times_sampled[part])
            reader.read_array(saved.batch.rows[part])
        items.append(saved)
    return TableState(
        name=table.name,
        limiter=table.limiter,
        num_deleted_episodes=table.num_deleted_episodes,
        num_unique_samples=table.num_unique_samples,
        next_order=table.next_order,
        items=items,
    )


def _place(state: TableState, rows: Mapping[Kind, Numbers]) -> None:
    """Replace the places of rows in the file by their numbers in the store."""
    for saved in state.items:
        layout, lines = saved.batch.layout, saved.batch.rows
        for part in line_parts(layout, len(lines)):
            for kind, places in layout.places.items():
                lines[part, places] = rows[kind][lines[part, places]]


def _list(names: Sequence[str] | Mapping[str, Table]) -> str:
    return ", ".join(map(repr, names))
