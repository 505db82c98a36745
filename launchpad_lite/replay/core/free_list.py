"""Small numbers that are given out, and come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from launchpad_lite.replay.core.types import IntArray, Numbers

_FEW = 64


class FreeList:
    """Gives out the numbers from 0 on, those first that came back last."""

    def __init__(self) -> None:
        """Begin with none given out."""
        self.end = 0
        """Numbers from here on were never given out."""
        self._stack: Numbers = np.empty(_FEW, np.int32)
        self._height = 0

    def __len__(self) -> int:
        """How many are given out now."""
        return self.end - self._height

    def end_after(self, count: int) -> int:
        """Return what `end` will be when `count` more have been taken."""
        return self.end + max(0, count - self._height)

    def take(self, count: int) -> Numbers:
        """Return `count` numbers. Those that came back together are in the order they had."""
        again = min(count, self._height)
        self._height -= again
        numbers = self._stack[self._height : self._height + again].copy()
        if again < count:
            end = self.end + count - again
            numbers = np.concatenate([numbers, np.arange(self.end, end, dtype=np.int32)])
            self.end = end
        return numbers

    def take_one(self) -> int:
        """Return one number, as `take(1)` does."""
        if not self._height:
            self.end += 1
            return self.end - 1
        self._height -= 1
        return self._stack.item(self._height)

    def take_these(self, numbers: IntArray) -> None:
        """Give out these numbers, all different, while none is given out."""
        self.end = int(numbers.max(initial=-1)) + 1
        free = np.ones(self.end, np.bool_)
        free[numbers] = False
        self._height = 0
        self.give(np.flatnonzero(free))

    def give(self, numbers: IntArray | Numbers) -> None:
        """Take numbers back, all different."""
        height = self._height + len(numbers)
        if height > len(self._stack):
            stack = np.empty(2 * height, np.int32)
            stack[: self._height] = self._stack[: self._height]
            self._stack = stack
        self._stack[self._height : height] = numbers
        self._height = height

    def give_one(self, number: int) -> None:
        """Take one number back."""
        if self._height == len(self._stack):
            self.give(np.array([number]))
        else:
            self._stack[self._height] = number
            self._height += 1

    def clear(self) -> None:
        """Begin anew."""
        FreeList.__init__(self)
