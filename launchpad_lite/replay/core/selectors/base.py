"""What every selector does, and the part that those with random draws share."""

from __future__ import annotations

import abc
import math
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.arrays import greatest, occurrences

if TYPE_CHECKING:
    from launchpad_lite.replay.core.types import BoolArray, FloatArray, IntArray


class Selector(abc.ABC):
    """Chooses among the items of a table, each of which is known by its slot.

    A slot is a small number, an index into the table's arrays, used again when its item is gone.
    All methods take whole batches. A selector trusts its table: slots that are inserted are new and
    differ from each other, those that are updated or deleted are there, and priorities have passed
    `check_priorities`. It is not thread-safe.

    Attributes:
      name: what it is called in infos and checkpoints.
      is_deterministic: whether it draws no random numbers.
    """

    name: ClassVar[str]
    is_deterministic: ClassVar[bool]

    @abc.abstractmethod
    def fresh(self) -> Self:
        """Return an empty selector with the same settings."""

    @abc.abstractmethod
    def insert(self, slots: IntArray, priorities: FloatArray) -> None:
        """Add items, the first slot first.

        Args:
          slots: shape [n], dtype int64; none of them there before, all different.
          priorities: shape [n], dtype float64.
        """

    @abc.abstractmethod
    def update(self, slots: IntArray, priorities: FloatArray) -> None:
        """Give items other priorities; of several for one slot the last one counts.

        Args:
          slots: shape [n], dtype int64; all of them there.
          priorities: shape [n], dtype float64.
        """

    @abc.abstractmethod
    def delete(self, slots: IntArray) -> None:
        """Take items away.

        Args:
          slots: shape [n], dtype int64; all of them there, all different.
        """

    def sample(
        self, count: int, rng: np.random.Generator, left: IntArray | None = None
    ) -> tuple[IntArray, FloatArray]:
        """Choose items, one after the other, with replacement.

        The first n of what is returned are distributed as if only n had been asked for.

        Args:
          count: how many.
          rng: where random numbers come from.
          left: `left[slot]` says how often an item may still be chosen, at least once; an item that
            has been chosen so often is treated as deleted from there on. None is no limit.

        Returns:
          Slots and the probability that each choice had, both of shape [n]: `count` of them, or
          less where `left` allows no more, or none if there are no items. The probability is 1
          where no random number decides.
        """
        if not len(self) or count < 1:
            return np.empty(0, np.int64), np.empty(0)
        return self._choose(count, rng, left)

    @abc.abstractmethod
    def _choose(
        self, count: int, rng: np.random.Generator, left: IntArray | None
    ) -> tuple[IntArray, FloatArray]:
        """See `sample`; there are items, and `count` is at least 1."""

    @abc.abstractmethod
    def clear(self) -> None:
        """Take all items away."""

    @abc.abstractmethod
    def __len__(self) -> int: ...

    def check_priorities(self, priorities: FloatArray) -> None:
        """Check priorities before anything is changed.

        Raises:
          UsageError: one of them is not a number, or none that this selector can use.
        """
        if math.isnan(greatest(priorities)):
            refuse(priorities, np.isnan(priorities), "is not a number")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class DeterministicSelector(Selector):
    """A selector whose choices follow from what it holds; it has no settings."""

    is_deterministic = True

    @abc.abstractmethod
    def first(self, count: int, left: IntArray | None) -> IntArray:
        """Return the slots that `sample` chooses; there is at least one item."""

    def fresh(self) -> Self:
        return type(self)()

    def _choose(
        self, count: int, rng: np.random.Generator, left: IntArray | None
    ) -> tuple[IntArray, FloatArray]:
        slots = self.first(count, left)
        return slots, np.ones(len(slots))


class RandomSelector(Selector):
    """A selector whose choices are independent random draws."""

    is_deterministic = False

    @abc.abstractmethod
    def draw(self, count: int, rng: np.random.Generator) -> tuple[IntArray, FloatArray]:
        """Draw `count` slots, with replacement, and their probabilities; there is at least one."""

    @abc.abstractmethod
    def weights(self, slots: IntArray) -> FloatArray:
        """Return what `restore` needs to bring back items after they were deleted."""

    @abc.abstractmethod
    def restore(self, slots: IntArray, weights: FloatArray) -> None:
        """Bring back items that were deleted."""

    def _choose(
        self, count: int, rng: np.random.Generator, left: IntArray | None
    ) -> tuple[IntArray, FloatArray]:
        if left is None:
            return self.draw(count, rng)
        return self._draw_limited(count, rng, left)

    def _draw_limited(
        self, count: int, rng: np.random.Generator, left: IntArray
    ) -> tuple[IntArray, FloatArray]:
        """Draw, and drop each draw of an item that may not be chosen again.

        What remains is distributed as if the item had been deleted: the draws are independent, so
        those of other items are not touched by its being drawn in between. Items that are used up
        are then really taken away before more is drawn, and brought back at the end.
        """
        slots, probabilities = np.empty(0, np.int64), np.empty(0)
        hidden: list[tuple[IntArray, FloatArray]] = []
        while len(slots) < count and len(self):
            known = len(slots)
            drawn, chances = self.draw(count - known, rng)
            slots = np.concatenate([slots, drawn])
            times = occurrences(slots)
            used_up = times[known:] == left[drawn] - 1  # by this very draw
            gone = np.cumsum(np.where(used_up, chances, 0.0)) - np.where(used_up, chances, 0.0)
            chances = np.minimum(chances / np.maximum(1.0 - gone, chances), 1.0)
            probabilities = np.concatenate([probabilities, chances])
            allowed = times < left[slots]
            slots, probabilities = slots[allowed], probabilities[allowed]
            if len(slots) < count:
                finished = drawn[used_up]
                hidden.append((finished, self.weights(finished)))
                self.delete(finished)
        for finished, weights in hidden:
            self.restore(finished, weights)
        return slots, probabilities


def as_priorities(values: Any) -> FloatArray:
    """Return priorities as an array of float64, of shape [n].

    Args:
      values: a sequence of numbers.

    Raises:
      UsageError: they are no numbers.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiu" or array.ndim != 1:
        if array.size == 0:
            return np.empty(0)
        raise UsageError(f"a priority must be a number. Given: {values!r}.")
    return array.astype(np.float64)


def refuse(priorities: FloatArray, wrong: BoolArray, why: str) -> None:
    """Raise for the first priority that is wrong, if there is one.

    Args:
      priorities: all of them, of shape [n].
      wrong: which of them are wrong.
      why: what is wrong with them, as a verb with its object.

    Raises:
      UsageError: one is wrong.
    """
    if wrong.any():
        index = int(wrong.argmax())
        place = f" (at {index} of {len(priorities)})" if len(priorities) > 1 else ""
        raise UsageError(f"priority {float(priorities[index])!r}{place} {why}.")
