"""Rate limiters: how far inserting and sampling may run ahead of each other. Arithmetic only.

The rules, and the order of their floating-point operations, are those of google-deepmind/reverb
(reverb/cc/rate_limiter.cc and reverb/rate_limiters.py). With `i` inserts, `s` samples and `d`
deletes so far:

- `n` samples may begin when the table holds enough, `i - d >= min_size_to_sample`, and the error
  stays in range: `i * samples_per_insert - s - n >= min_diff`;
- `n` inserts may begin while the table does not hold more than it must,
  `i + n - d <= min_size_to_sample`, or when the error stays in range:
  `(i + n) * samples_per_insert - s <= max_diff`.
"""

from __future__ import annotations

import bisect
import copy
import math
from typing import TYPE_CHECKING, Self, TypedDict

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.limiter_checks import (
    UNLIMITED,
    check_beginning,
    check_range,
    check_width,
    error_range,
    positive_ratio,
)
from launchpad_lite.validation import integer, number, within

if TYPE_CHECKING:
    from collections.abc import Callable

UNBOUNDED = 2**62
"""As many operations as nobody makes."""


_count = integer(1)


class LimiterState(TypedDict):
    """What a checkpoint keeps of a limiter: its settings, and what it has counted."""

    samples_per_insert: float
    min_size_to_sample: int
    min_diff: float
    max_diff: float
    inserts: int
    samples: int
    deletes: int


class RateLimiter:
    """Says when inserts and samples may go on. A table has one of its own.

    Attributes:
      samples_per_insert: how often an item is to be sampled.
      min_size_to_sample: how many items the table must hold before any is sampled.
      min_diff: the least error, `inserts * samples_per_insert - samples`, that a sample may leave.
      max_diff: the greatest error that an insert may leave, once the table holds
        `min_size_to_sample` items.
      inserts: how many items were inserted so far.
      samples: how many were sampled.
      deletes: how many were deleted.
    """

    def __init__(
        self,
        samples_per_insert: float,
        min_size_to_sample: int,
        min_diff: float,
        max_diff: float,
    ) -> None:
        """Check that the settings let a program go on.

        Args:
          samples_per_insert: see the class.
          min_size_to_sample: see the class.
          min_diff: see the class.
          max_diff: see the class.

        Raises:
          UsageError: a setting is of the wrong type, or sampling could never begin, or inserting
            and sampling could block each other for ever.
        """
        name = type(self).__name__
        with within(name):
            self.samples_per_insert = positive_ratio(samples_per_insert)
            self.min_size_to_sample: int = _count("min_size_to_sample", min_size_to_sample)
            self.min_diff = _bounded(number("min_diff", min_diff))
            self.max_diff = _bounded(number("max_diff", max_diff))
        self.inserts = self.samples = self.deletes = 0
        width = max(1.0, self.samples_per_insert)
        check_width(name, self.samples_per_insert, self.min_diff, self.max_diff, width)
        check_beginning(
            name, self.samples_per_insert, self.min_size_to_sample, self.min_diff, self.max_diff
        )

    @property
    def size(self) -> int:
        """How many items the table holds."""
        return self.inserts - self.deletes

    @property
    def error(self) -> float:
        """How far sampling is behind inserting: `inserts * samples_per_insert - samples`."""
        return self.inserts * self.samples_per_insert - self.samples

    def can_insert(self, num_inserts: int = 1) -> bool:
        """Whether so many items may be inserted now.

        Raises:
          UsageError: `num_inserts` is no integer of at least 1.
        """
        with within("can_insert"):
            return self._allows_inserts(_count("num_inserts", num_inserts))

    def can_sample(self, num_samples: int = 1) -> bool:
        """Whether so many items may be sampled now.

        Raises:
          UsageError: `num_samples` is no integer of at least 1.
        """
        with within("can_sample"):
            return self._allows_samples(_count("num_samples", num_samples))

    def insertable(self, at_most: int = UNBOUNDED) -> int:
        """Return how many items may be inserted now, up to a number."""
        if at_most < 1 or self._allows_inserts(at_most):
            return max(at_most, 0)
        return _least(lambda n: not self._allows_inserts(n), at_most) - 1

    def sampleable(self, at_most: int = UNBOUNDED) -> int:
        """Return how many items may be sampled now, up to a number.

        A sample that deletes its item may make the table too small for the next one, which this
        does not foresee.
        """
        if at_most < 1 or self._allows_samples(at_most):
            return max(at_most, 0)
        return _least(lambda n: not self._allows_samples(n), at_most) - 1

    def check_max_size(self, max_size: int) -> None:
        """Check that a table of some size can be sampled.

        Raises:
          UsageError: it can never hold enough items.
        """
        if max_size < self.min_size_to_sample:
            raise UsageError(
                f"{self!r}: sampling could never begin: the table holds at most "
                f"max_size={max_size} items, and must hold min_size_to_sample="
                f"{self.min_size_to_sample} before any is sampled. Raise the first, or lower "
                "the second."
            )

    def note_inserts(self, inserts: int) -> None:
        """Count items that were inserted."""
        self.inserts += inserts

    def note_samples(self, samples: int) -> None:
        """Count items that were sampled."""
        self.samples += samples

    def note_deletes(self, deletes: int) -> None:
        """Count items that were deleted, by whomever."""
        self.deletes += deletes

    def reset(self) -> None:
        """Count from 0 again: the table is empty."""
        self.inserts = self.samples = self.deletes = 0

    def fresh(self) -> Self:
        """Return a limiter with the same settings that has counted nothing."""
        limiter = copy.copy(self)
        limiter.reset()
        return limiter

    def state(self) -> LimiterState:
        """Return the settings and what was counted; numbers only, all of them finite."""
        return {
            "samples_per_insert": self.samples_per_insert,
            "min_size_to_sample": self.min_size_to_sample,
            "min_diff": self.min_diff,
            "max_diff": self.max_diff,
            "inserts": self.inserts,
            "samples": self.samples,
            "deletes": self.deletes,
        }

    def restore(self, state: LimiterState) -> tuple[str, ...]:
        """Take over what another limiter has counted, and keep the settings.

        When the settings differ, an error that lies out of their range is moved to its nearest end
        by counting the samples anew: neither side has to make up for the time before.

        Args:
          state: what `state` of the other one returned.

        Returns:
          What differs, a sentence each; empty if nothing does.
        """
        self.inserts, self.deletes = state["inserts"], state["deletes"]
        self.samples = state["samples"]
        mine = self.state()
        differences = [
            f"{name} was {_show(state[name])}, and is {_show(mine[name])}."
            for name in ("samples_per_insert", "min_size_to_sample", "min_diff", "max_diff")
            if state[name] != mine[name]
        ]
        if differences:
            self._recount_samples()
        if self.samples != state["samples"]:
            differences.append(f"samples were {state['samples']}, and count as {self.samples}.")
        return tuple(differences)

    def _recount_samples(self) -> None:
        """Move an error that is out of range to the nearest end, rounded into the range."""
        earned = self.inserts * self.samples_per_insert
        if self.error > self.max_diff:
            self.samples = math.ceil(earned - self.max_diff)
        elif self.error < self.min_diff:  # as it may be in the first stage, with no samples yet
            self.samples = max(0, math.floor(earned - self.min_diff))

    def describe(self) -> str:
        """Return one line for people: what was counted, what is allowed, and who has to wait."""
        ratio = f" ({self.samples / self.inserts:.4g} per insert)" if self.inserts else ""
        text = (
            f"{self.inserts} inserts, {self.samples} samples{ratio}, "
            f"{self.size} items of at least {self.min_size_to_sample}"
        )
        if self.min_diff > -UNLIMITED or self.max_diff < UNLIMITED:
            text += (
                f"; {self.samples_per_insert:g} samples per insert wanted: error {self.error:g}, "
                f"allowed {_show(self.min_diff)} to {_show(self.max_diff)}"
            )
        return f"{text}; {self._who_waits()}"

    def _who_waits(self) -> str:
        waits: list[str] = []
        if not self._allows_inserts(1):
            missing = _least(lambda samples: self._allows_inserts(1, after_samples=samples))
            waits.append(f"inserts wait for {missing} more samples")
        if not self._allows_samples(1):
            missing = _least(lambda inserts: self._allows_samples(1, after_inserts=inserts))
            waits.append(f"samples wait for {missing} more inserts")
        return ", ".join(waits) or "nobody has to wait"

    def _allows_inserts(self, inserts: int, after_samples: int = 0) -> bool:
        total, samples = self.inserts + inserts, self.samples + after_samples
        if total - self.deletes <= self.min_size_to_sample:
            return True
        return total * self.samples_per_insert - samples <= self.max_diff

    def _allows_samples(self, samples: int, after_inserts: int = 0) -> bool:
        total = self.inserts + after_inserts
        if total - self.deletes < self.min_size_to_sample:
            return False
        return total * self.samples_per_insert - self.samples - samples >= self.min_diff

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(samples_per_insert={self.samples_per_insert:g}, "
            f"min_size_to_sample={self.min_size_to_sample}, min_diff={self.min_diff:g}, "
            f"max_diff={self.max_diff:g})"
        )


class MinSize(RateLimiter):
    """Blocks sampling until the table holds enough items, and inserting never."""

    def __init__(self, min_size_to_sample: int) -> None:
        """Set the size.

        Args:
          min_size_to_sample: how many items the table must hold before any is sampled.

        Raises:
          UsageError: it is no integer of at least 1.
        """
        super().__init__(1.0, min_size_to_sample, -UNLIMITED, UNLIMITED)

    def __repr__(self) -> str:
        return f"MinSize({self.min_size_to_sample})"


class SampleToInsertRatio(RateLimiter):
    """Keeps the number of samples per insert near a ratio.

    While the table holds less than `min_size_to_sample` items, all inserts are allowed and no
    samples. From then on the error, `inserts * samples_per_insert - samples`, is kept in a range:
    inserts, which raise it by `samples_per_insert`, wait when it would leave the range above, and
    samples, which lower it by 1, when it would leave it below. A table that becomes smaller again
    is back in the first stage.
    """

    def __init__(
        self,
        samples_per_insert: float,
        min_size_to_sample: int,
        error_buffer: float | tuple[float, float],
    ) -> None:
        """Set the range.

        Args:
          samples_per_insert: how often each item is to be sampled, on average over its life.
          min_size_to_sample: how many items the table must hold before any is sampled.
          error_buffer: how far the error may be from what it is when the first stage ends,
            `min_size_to_sample * samples_per_insert`, in either direction; or the least and the
            greatest error themselves.

        Raises:
          UsageError: a setting is of the wrong type, or inserting and sampling could block each
            other for ever.
        """
        name = type(self).__name__
        with within(name):
            ratio = positive_ratio(samples_per_insert)
            size: int = _count("min_size_to_sample", min_size_to_sample)
            low, high = error_range(ratio * size, error_buffer)
        check_range(f"{name}: error_buffer={error_buffer!r}", ratio, size, low, high)
        super().__init__(ratio, size, low, high)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(samples_per_insert={self.samples_per_insert:g}, "
            f"min_size_to_sample={self.min_size_to_sample}, "
            f"error_buffer=({self.min_diff:g}, {self.max_diff:g}))"
        )


class Queue(RateLimiter):
    """Lets each item be sampled once, and inserts wait while the queue is full.

    For `Table.queue`: it needs Fifo as sampler and remover, and `max_times_sampled=1`.
    """

    def __init__(self, size: int) -> None:
        """Set the size.

        Args:
          size: how many items may be inserted that are not sampled yet.

        Raises:
          UsageError: it is no integer of at least 1.
        """
        with within(type(self).__name__):
            most: int = _count("size", size)
        super().__init__(1.0, 1, 0.0, most)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.max_diff:.0f})"


class Stack(Queue):
    """Lets each item be sampled once, and inserts wait while the stack is full.

    For `Table.stack`: it needs Lifo as sampler and remover, and `max_times_sampled=1`.
    """


def _least(holds: Callable[[int], bool], at_most: int = UNBOUNDED) -> int:
    """Return the least number from 1 that something holds for, as it does for all above it.

    By asking, since an inverse in floating point may be one off.
    """
    return 1 + bisect.bisect_left(range(1, at_most), True, key=holds)


def _bounded(value: float) -> float:
    return min(max(value, -UNLIMITED), UNLIMITED)


def _show(value: float) -> str:
    return "no limit" if abs(value) == UNLIMITED else f"{value:g}"
