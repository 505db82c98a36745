"""Writing the tables of a server as they are, while they go on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from launchpad_lite.replay.core.arrays import grown
from launchpad_lite.replay.core.checkpoint.contents import (
    Contents,
    GroupContents,
    KindContents,
    TableContents,
    settings_of,
)
from launchpad_lite.replay.core.checkpoint.parts import line_parts, row_parts
from launchpad_lite.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launchpad_lite.replay.core.checkpoint.sections import SectionWriter
    from launchpad_lite.replay.core.ledger import TableState
    from launchpad_lite.replay.core.rows import RowStore
    from launchpad_lite.replay.core.slabs import Kind
    from launchpad_lite.replay.core.table import Table
    from launchpad_lite.replay.core.types import BoolArray, Numbers

_PAUSE_S = 0.001
"""Who waits for the store's lock gets it in a pause, and hardly ever without one."""


def write_tables(writer: SectionWriter, tables: Sequence[Table], store: RowStore) -> None:
    """Write what tables hold.

    Each table's lock is held while its numbers are copied, a few milliseconds for a million items,
    and one table is copied after the other. The data is read where it is, a part at a time, under
    no lock: a pin keeps the rows of items that are deleted meanwhile, so until the end they take
    memory beside those that come.

    Args:
      writer: where to.
      tables: the tables; what several of them share is written once.
      store: where their data is.

    Raises:
      CheckpointError: a column's dtype cannot be written.
      OSError: the file cannot be written.
    """
    pin = store.pin()  # before the first table is copied: what is freed from here on stays
    try:
        states = [table.state() for table in tables]
        rows = _rows_in_use(states)
        kinds = list(rows)
        described = [
            TableContents(
                name=state.name,
                settings=settings_of(table.info),
                limiter=state.limiter,
                num_deleted_episodes=state.num_deleted_episodes,
                num_unique_samples=state.num_unique_samples,
                next_order=state.next_order,
                groups=tuple(
                    GroupContents.of(each.batch.layout, len(each.batch), kinds)
                    for each in state.items
                ),
            )
            for table, state in zip(tables, states, strict=True)
        ]
        contents = Contents(
            written_by=__version__,
            tables=tuple(described),
            kinds=tuple(KindContents.of(kind, len(numbers)) for kind, numbers in rows.items()),
        )
        writer.write(msgspec.msgpack.encode(contents))
        _write_items(writer, states, rows)
        del states  # a million items take as much memory again
        for kind, numbers in rows.items():
            for part in row_parts(kind, len(numbers)):
                writer.write_array(store.gather(kind, numbers[part]))
    finally:
        store.unpin(pin)
        while store.reclaim():
            time.sleep(_PAUSE_S)


def _rows_in_use(states: Sequence[TableState]) -> dict[Kind, Numbers]:
    """Return the rows that items refer to, by kind, in ascending order."""
    used: dict[Kind, BoolArray] = {}
    for state in states:
        for saved in state.items:
            layout, lines = saved.batch.layout, saved.batch.rows
            for part in line_parts(layout, len(lines)):
                for kind, places in layout.places.items():
                    rows = lines[part, places]
                    known = used.get(kind, np.zeros(0, np.bool_))
                    used[kind] = grown(known, int(rows.max()) + 1)
                    used[kind][rows] = True
    return {kind: np.flatnonzero(known).astype(np.int32) for kind, known in used.items()}


def _write_items(
    writer: SectionWriter, states: Sequence[TableState], rows: dict[Kind, Numbers]
) -> None:
    """Write the items, with the places of their rows among those that are written."""
    places_of = {kind: _places(numbers) for kind, numbers in rows.items()}
    for state in states:
        for batch, slots, order, times_sampled in state.items:
            for part in line_parts(batch.layout, len(batch)):
                writer.write_array(batch.priorities[part])
                writer.write_array(slots[part])
                writer.write_array(order[part])
                writer.write_array(times_sampled[part])
                lines = batch.rows[part]
                for kind, places in batch.layout.places.items():
                    lines[:, places] = places_of[kind][lines[:, places]]
                writer.write_array(lines)


def _places(rows: Numbers) -> Numbers:
    places = np.zeros(int(rows.max(initial=-1)) + 1, np.int32)
    places[rows] = np.arange(len(rows), dtype=np.int32)
    return places
