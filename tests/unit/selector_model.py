"""What each selector is to do, in plain Python and one item at a time."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from launchpad_lite.replay.core.selectors.base import Selector
from launchpad_lite.replay.core.selectors.heap import MaxHeap, MinHeap
from launchpad_lite.replay.core.selectors.ordered import Fifo, Lifo
from launchpad_lite.replay.core.selectors.prioritized import Prioritized
from launchpad_lite.replay.core.selectors.uniform import Uniform
from launchpad_lite.replay.core.types import FloatArray, IntArray


@dataclasses.dataclass
class Item:
    """What a selector may know of an item; `inserted` and `updated` count operations."""

    priority: float
    inserted: int
    updated: int


Distribution = dict[int, float]
"""Probabilities by slot; what cannot be chosen is not in it."""


def _only(slot: int) -> Distribution:
    return {slot: 1.0}


def _uniform(items: Mapping[int, Item]) -> Distribution:
    return dict.fromkeys(items, 1 / len(items))


def _prioritized(exponent: float, items: Mapping[int, Item]) -> Distribution:
    weights = {slot: item.priority**exponent for slot, item in items.items() if item.priority}
    total = sum(weights.values())
    return {slot: weight / total for slot, weight in weights.items()} or _uniform(items)


RULES: dict[str, Callable[[Mapping[int, Item]], Distribution]] = {
    "Uniform()": _uniform,
    "Fifo()": lambda items: _only(min(items, key=lambda slot: items[slot].inserted)),
    "Lifo()": lambda items: _only(max(items, key=lambda slot: items[slot].inserted)),
    "MinHeap()": lambda items: _only(
        min(items, key=lambda slot: (items[slot].priority, items[slot].updated))
    ),
    "MaxHeap()": lambda items: _only(
        min(items, key=lambda slot: (-items[slot].priority, items[slot].updated))
    ),
    **{
        f"Prioritized({exponent:g})": functools.partial(_prioritized, exponent)
        for exponent in (0, 0.6, 1, 2)
    },
}
SELECTORS: tuple[Selector, ...] = (
    *(Uniform(), Fifo(), Lifo(), MinHeap(), MaxHeap()),
    *(Prioritized(0), Prioritized(0.6), Prioritized(1.0), Prioritized(2)),
)
RANDOM = tuple(selector for selector in SELECTORS if not selector.is_deterministic)


class Model:
    """The items of a selector, and what it may choose."""

    def __init__(self, selector: Selector) -> None:
        self.distribution = RULES[repr(selector)]
        self.items: dict[int, Item] = {}
        self._time = 0

    def set(self, slots: Iterable[int], priorities: Iterable[float]) -> None:
        """Insert or update items, in order."""
        for slot, priority in zip(slots, priorities, strict=True):
            self._time += 1
            inserted = self.items[slot].inserted if slot in self.items else self._time
            self.items[slot] = Item(priority, inserted, self._time)

    def delete(self, slots: Iterable[int]) -> None:
        """Delete items."""
        for slot in slots:
            del self.items[slot]

    def check(
        self, count: int, left: Mapping[int, int] | None, drawn: tuple[IntArray, FloatArray]
    ) -> None:
        """Check that a draw is possible, each choice with the probability it had then."""
        items = dict(self.items)
        times = dict.fromkeys(items, count) if left is None else dict(left)
        slots, probabilities = drawn
        assert (str(slots.dtype), str(probabilities.dtype)) == ("int64", "float64")
        distribution: Distribution | None = None
        for slot, probability in zip(slots.tolist(), probabilities.tolist(), strict=True):
            if distribution is None:
                distribution = self.distribution(items)
            assert slot in distribution
            np.testing.assert_allclose(probability, distribution[slot], rtol=1e-9)
            times[slot] -= 1
            if not times[slot] and left is not None:
                del items[slot]
                distribution = None
        expected = sum(times.values()) + len(slots) if left is not None else count
        assert len(slots) == min(count, expected if self.items else 0)
