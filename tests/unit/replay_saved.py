"""Tables for tests of checkpoints: made, filled, saved, compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.lib.recfunctions import repack_fields  # what lies between fields is not kept

from launchpad_lite.replay.checkpointers import DefaultCheckpointer
from launchpad_lite.replay.core.rows import RowStore
from launchpad_lite.replay.core.table import Table

SLOT_BITS = 32


def shared(tables: Sequence[Table]) -> RowStore:
    """Let tables share a store, which is returned."""
    store = RowStore()
    for table in tables:
        table.use_store(store)
    return store


def held(table: Table) -> dict[int, Any]:
    """What a table holds, by key: priorities, counts, and the data as bytes."""
    items: dict[int, Any] = {}
    for batch, slots, order, times_sampled in table.state().items:
        columns = [repack_fields(each) for each in batch.layout.gather(table.store, batch.rows)]
        for index, slot in enumerate(slots.tolist()):
            data = [(column.dtype, column[index].tobytes()) for column in columns]
            rest = (batch.layout, batch.priorities[index], times_sampled[index], order[index])
            items[(int(order[index]) << SLOT_BITS) | slot] = (*rest, data)
    return items


def loaded(path: Path, tables: Sequence[Table]) -> tuple[Table, ...]:
    """Fill empty tables with the latest checkpoint, which they must be like."""
    assert DefaultCheckpointer(path).load(tables, shared(tables)) == ()
    return tuple(tables)
