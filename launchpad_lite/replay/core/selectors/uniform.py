"""Every item with the same probability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from launchpad_lite.replay.core.selectors.base import RandomSelector
from launchpad_lite.replay.core.selectors.slot_set import SlotSet

if TYPE_CHECKING:
    from launchpad_lite.replay.core.types import FloatArray, IntArray


class Uniform(RandomSelector):
    """Chooses every item with the same probability; priorities play no part."""

    name = "uniform"

    def __init__(self) -> None:
        """Make an empty one."""
        self._slots = SlotSet()

    def fresh(self) -> Self:
        return type(self)()

    def insert(self, slots: IntArray, priorities: FloatArray) -> None:
        self._slots.add(slots)

    def update(self, slots: IntArray, priorities: FloatArray) -> None:
        pass

    def delete(self, slots: IntArray) -> None:
        self._slots.discard(slots)

    def clear(self) -> None:
        self._slots.clear()

    def __len__(self) -> int:
        return len(self._slots)

    def draw(self, count: int, rng: np.random.Generator) -> tuple[IntArray, FloatArray]:
        size = len(self._slots)
        return self._slots.at(rng.integers(size, size=count)), np.full(count, 1.0 / size)

    def weights(self, slots: IntArray) -> FloatArray:
        return np.ones(len(slots))

    def restore(self, slots: IntArray, weights: FloatArray) -> None:
        self._slots.add(slots)
