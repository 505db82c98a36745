"""Steps and items for tests of the replay store: data that says which step it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from launchpad_lite.replay.core.layout import EPISODE, Column, ItemBatch, Layout
from launchpad_lite.replay.core.rows import RowStore
from launchpad_lite.replay.core.slabs import Kind
from launchpad_lite.replay.core.types import AnyArray

VECTOR = Kind(np.dtype(np.float32), (3,))
NUMBER = Kind(np.dtype(np.int64), ())

QUARTERS = np.array([0, 0.25, 0.5], np.float32)


def layout(length: int = 1) -> Layout:
    """Items of some steps: vectors, and the number of the first step without an axis."""
    return Layout([Column(VECTOR, length), Column(NUMBER, 1, squeezed=True)])


class Episode:
    """An episode's steps, numbered from some number on; it holds their rows until it is dropped."""

    def __init__(self, store: RowStore, first: int = 0, length: int = 1) -> None:
        self.first, self.length = first, length
        numbers = np.arange(first, first + length)
        vectors = numbers[:, np.newaxis] + QUARTERS
        self._store = store
        self._rows = {
            EPISODE: store.put(np.empty(1, "V0")),
            VECTOR: store.put(vectors.astype(np.float32)),
            NUMBER: store.put(numbers),
        }

    def items(
        self, starts: Sequence[int], length: int = 1, priorities: Sequence[float] | float = 1.0
    ) -> ItemBatch:
        """Items of `length` steps each; a start counts from the episode's first step."""
        begin = np.array(starts, np.int64)
        episode = np.broadcast_to(self._rows[EPISODE], (len(begin), 1))
        vectors = self._rows[VECTOR][begin[:, np.newaxis] + np.arange(length)]
        numbers = self._rows[NUMBER][begin][:, np.newaxis]
        return ItemBatch(
            layout=layout(length),
            priorities=np.broadcast_to(np.array(priorities, np.float64), len(begin)),
            rows=np.concatenate([episode, vectors, numbers], axis=1),
        )

    def drop(self) -> None:
        for kind, rows in self._rows.items():
            self._store.release(kind, rows)


def expected(number: int, length: int = 1) -> list[AnyArray]:
    """The columns of the item that begins at a step."""
    vectors = np.arange(number, number + length)[:, np.newaxis] + QUARTERS
    return [vectors.astype(np.float32), np.array(number)]
