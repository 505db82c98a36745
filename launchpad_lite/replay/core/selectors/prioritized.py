"""Items with probabilities that follow their priorities."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

import numpy as np

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.arrays import extremes
from launchpad_lite.replay.core.selectors.base import RandomSelector, refuse
from launchpad_lite.replay.core.selectors.slot_set import SlotSet
from launchpad_lite.replay.core.sum_tree import SumTree
from launchpad_lite.validation import number, within

if TYPE_CHECKING:
    from launchpad_lite.replay.core.types import FloatArray, IntArray

_MAX_WEIGHT = 1e300
"""The weights of ten million items of this size still have a sum."""


class Prioritized(RandomSelector):
    """Chooses an item with a probability in proportion to `priority ** priority_exponent`.

    An item of priority 0 is not chosen, whatever the exponent, unless all have priority 0: then all
    are equally probable. As in google-deepmind/reverb (reverb/cc/selectors/prioritized.cc); the use
    for experience replay is that of Schaul et al., 2016, https://arxiv.org/abs/1511.05952.

    Attributes:
      priority_exponent: the exponent; 0 makes all items with a priority above 0 equally probable.
    """

    name = "prioritized"

    def __init__(self, priority_exponent: float) -> None:
        """Make an empty one.

        Args:
          priority_exponent: a finite number of at least 0.

        Raises:
          UsageError: it is not.
        """
        with within("Prioritized"):
            self.priority_exponent = number("priority_exponent", priority_exponent)
        if not 0 <= self.priority_exponent < math.inf:
            raise UsageError(
                f"Prioritized: priority_exponent must be a finite number of at least 0, not "
                f"{priority_exponent!r}. With a negative one, items would be chosen the less the "
                "higher their priority."
            )
        self._safe = _MAX_WEIGHT ** min(1.0, 1 / (self.priority_exponent or 1.0)) / 2
        self._slots = SlotSet()
        self._tree = SumTree()

    def fresh(self) -> Self:
        return type(self)(self.priority_exponent)

    def insert(self, slots: IntArray, priorities: FloatArray) -> None:
        self.restore(slots, self._powers(priorities))

    def update(self, slots: IntArray, priorities: FloatArray) -> None:
        self._tree.set(slots, self._powers(priorities))

    def delete(self, slots: IntArray) -> None:
        self._slots.discard(slots)
        self._tree.set(slots, np.zeros(len(slots)))

    def clear(self) -> None:
        self._slots.clear()
        self._tree.clear()

    def __len__(self) -> int:
        return len(self._slots)

    def draw(self, count: int, rng: np.random.Generator) -> tuple[IntArray, FloatArray]:
        total = self._tree.total
        targets = rng.random(count)
        if total == 0:
            size = len(self._slots)
            positions = (targets * size).astype(np.int64)
            return self._slots.at(positions), np.full(count, 1.0 / size)
        slots = self._tree.find(targets * total)
        return slots, self._tree.get(slots) / total

    def weights(self, slots: IntArray) -> FloatArray:
        return self._tree.get(slots)

    def restore(self, slots: IntArray, weights: FloatArray) -> None:
        self._slots.add(slots)
        self._tree.set(slots, weights)

    def check_priorities(self, priorities: FloatArray) -> None:
        least, greatest = extremes(priorities)
        if least >= 0 and greatest <= self._safe:
            return
        super().check_priorities(priorities)
        refuse(priorities, priorities < 0, "is negative, and makes no probability")
        refuse(priorities, priorities == math.inf, "is infinite, and makes no probability")
        with np.errstate(over="ignore"):
            too_large = self._powers(priorities) > _MAX_WEIGHT
        exponent = f"priority_exponent {self.priority_exponent:g}"
        refuse(priorities, too_large, f"is too large: with {exponent} it exceeds {_MAX_WEIGHT:g}")

    def _powers(self, priorities: FloatArray) -> FloatArray:
        if self.priority_exponent == 1:
            return priorities
        if self.priority_exponent == 0:
            return (priorities > 0).astype(np.float64)
        return priorities**self.priority_exponent

    def __repr__(self) -> str:
        return f"Prioritized({self.priority_exponent:g})"
