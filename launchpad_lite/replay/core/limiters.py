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
import logging
import math
import sys
from typing import Any, Self, TypedDict

from launchpad_lite.errors import UsageError

_log = logging.getLogger(__name__)

UNBOUNDED = 2**62
"""As many operations as nobody makes."""

_UNLIMITED = sys.float_info.max


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
          UsageError: a setting is of the wrong type, or sampling could never begin.
        """
        name = type(self).__name__
        self.samples_per_insert = _ratio(name, samples_per_insert)
        self.min_size_to_sample = _count(name, "min_size_to_sample", min_size_to_sample)
        self.min_diff = _bounded(_number(name, "min_diff", min_diff))
        self.max_diff = _bounded(_number(name, "max_diff", max_diff))
        self.inserts = self.samples = self.deletes = 0
        self._check_beginning(name)

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
        return self._allows_inserts(_count("can_insert", "num_inserts", num_inserts))

    def can_sample(self, num_samples: int = 1) -> bool:
        """Whether so many items may be sampled now.

        Raises:
          UsageError: `num_samples` is no integer of at least 1.
        """
        return self._allows_samples(_count("can_sample", "num_samples", num_samples))

    def insertable(self, at_most: int = UNBOUNDED) -> int:
        """Return how many items may be inserted now, up to a number."""
        if at_most < 1 or self._allows_inserts(at_most):
            return max(at_most, 0)
        numbers = range(1, at_most)
        return bisect.bisect_left(numbers, True, key=lambda n: not self._allows_inserts(n))

    def sampleable(self, at_most: int = UNBOUNDED) -> int:
        """Return how many items may be sampled now, up to a number.

        A sample that deletes its item may make the table too small for the next one, which this
        does not foresee.
        """
        if at_most < 1 or self._allows_samples(at_most):
            return max(at_most, 0)
        numbers = range(1, at_most)
        return bisect.bisect_left(numbers, True, key=lambda n: not self._allows_samples(n))

    def note_inserts(self, count: int) -> None:
        """Count items that were inserted."""
        self.inserts += count

    def note_samples(self, count: int) -> None:
        """Count items that were sampled."""
        self.samples += count

    def note_deletes(self, count: int) -> None:
        """Count items that were deleted, by whomever."""
        self.deletes += count

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
        nearest = min(max(self.error, self.min_diff), self.max_diff)
        if differences and nearest != self.error:
            samples = self.inserts * self.samples_per_insert - nearest
            # Rounded into the range: up at its upper end, down at its lower end.
            self.samples = math.ceil(samples) if nearest < self.error else math.floor(samples)
            differences.append(f"samples were {state['samples']}, and count as {self.samples}.")
        return tuple(differences)

    def describe(self) -> str:
        """Return one line for people: what was counted, what is allowed, and who has to wait."""
        ratio = f"{self.samples / self.inserts:.4g}" if self.inserts else "no"
        text = (
            f"{self.inserts} inserts, {self.samples} samples ({ratio} per insert), "
            f"{self.size} items of at least {self.min_size_to_sample}"
        )
        if self.min_diff > -_UNLIMITED or self.max_diff < _UNLIMITED:
            text += (
                f"; {self.samples_per_insert:g} samples per insert wanted: error {self.error:g}, "
                f"allowed {_show(self.min_diff)} to {_show(self.max_diff)}"
            )
        return f"{text}; {self._who_waits()}"

    def _who_waits(self) -> str:
        waits: list[str] = []
        if not self._allows_inserts(1):
            excess = (self.inserts + 1) * self.samples_per_insert - self.samples - self.max_diff
            waits.append(f"inserts wait for {math.ceil(excess)} more samples")
        if not self._allows_samples(1):
            lack = math.ceil((self.min_diff + 1 + self.samples) / self.samples_per_insert)
            missing = max(self.min_size_to_sample - self.size, lack - self.inserts)
            waits.append(f"samples wait for {missing} more inserts")
        return ", ".join(waits) or "nobody has to wait"

    def _allows_inserts(self, count: int) -> bool:
        if self.inserts + count - self.deletes <= self.min_size_to_sample:
            return True
        return (count + self.inserts) * self.samples_per_insert - self.samples <= self.max_diff

    def _allows_samples(self, count: int) -> bool:
        if self.inserts - self.deletes < self.min_size_to_sample:
            return False
        return self.inserts * self.samples_per_insert - self.samples - count >= self.min_diff

    def _check_beginning(self, name: str) -> None:
        """Check that there are inserts after which the first sample is allowed."""
        ratio = self.samples_per_insert
        most = max(self.min_size_to_sample * ratio, math.floor(self.max_diff / ratio) * ratio)
        if most - 1 < self.min_diff:
            raise UsageError(
                f"{name}: sampling could never begin, and inserting would end: before the first "
                f"sample the error, inserts * samples_per_insert, can only grow to {most:g} "
                f"(min_size_to_sample={self.min_size_to_sample}, samples_per_insert={ratio:g}, "
                f"max_diff={self.max_diff:g}), and a sample must leave at least "
                f"min_diff={self.min_diff:g} after taking 1 away."
            )

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(samples_per_insert={self.samples_per_insert!r}, "
            f"min_size_to_sample={self.min_size_to_sample}, min_diff={_show(self.min_diff)}, "
            f"max_diff={_show(self.max_diff)})"
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
        super().__init__(1.0, min_size_to_sample, -_UNLIMITED, _UNLIMITED)

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
        ratio = _ratio(name, samples_per_insert)
        size = _count(name, "min_size_to_sample", min_size_to_sample)
        low, high = _range(ratio * size, error_buffer)
        _check_range(f"{name}: error_buffer={error_buffer!r}", ratio, size, low, high)
        super().__init__(ratio, size, low, high)


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
        super().__init__(1.0, 1, 0.0, _count(type(self).__name__, "size", size))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.max_diff:.0f})"


class Stack(Queue):
    """Lets each item be sampled once, and inserts wait while the stack is full.

    For `Table.stack`: it needs Lifo as sampler and remover, and `max_times_sampled=1`.
    """


def _range(middle: float, error_buffer: Any) -> tuple[float, float]:
    name = "SampleToInsertRatio"
    if hasattr(error_buffer, "__float__"):
        buffer = _number(name, "error_buffer", error_buffer)
        return middle - buffer, middle + buffer
    try:
        low, high = error_buffer
    except (TypeError, ValueError):
        raise UsageError(
            f"{name}: error_buffer must be a number, or a least and a greatest error, not "
            f"{error_buffer!r}."
        ) from None
    return _number(name, "error_buffer[0]", low), _number(name, "error_buffer[1]", high)


def _check_range(place: str, ratio: float, size: int, low: float, high: float) -> None:
    if not high - low >= 2 * max(1.0, ratio):  # infinite ends may differ by nan
        raise UsageError(
            f"{place} is too small: the error may range from {low:g} to {high:g}, which is "
            f"{high - low:g} wide, and must be at least 2 * max(1, samples_per_insert) = "
            f"{2 * max(1.0, ratio):g} wide. An insert raises the error by {ratio:g} and a sample "
            "lowers it by 1: in a narrower range both could be blocked at once, for ever."
        )
    if low > ratio * size:
        raise UsageError(
            f"{place} begins too high: a table with min_size_to_sample={size} items has an error "
            f"of {ratio * size:g}, and sampling would still be blocked below {low:g}. A program "
            "that fills the table to that size and then samples would wait for ever. Lower the "
            f"first number to {ratio * size - 1:g} or less."
        )
    if high < ratio * size:
        _log.warning(
            "%s ends low: a table with min_size_to_sample=%d items has an error of %g, above %g, "
            "so inserts are blocked until samples are taken. A program that inserts and samples "
            "in one thread can wait for ever.",
            *(place, size, ratio * size, high),
        )


def _ratio(place: str, value: Any) -> float:
    ratio = _number(place, "samples_per_insert", value)
    if not 0 < ratio < math.inf:
        raise UsageError(
            f"{place}: samples_per_insert must be a finite number above 0, not {value!r}: with "
            "less, inserts allow no samples and sampling ends for ever; with more, the first "
            "insert blocks all others. For no ratio at all take MinSize(min_size_to_sample)."
        )
    return ratio


def _number(place: str, name: str, value: Any) -> float:
    if isinstance(value, bool) or not hasattr(value, "__float__") or math.isnan(value):
        raise UsageError(f"{place}: {name} must be a number, not {value!r}.")
    return float(value)


def _count(place: str, name: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        raise UsageError(f"{place}: {name} must be an integer of at least 1, not {value!r}.")
    return int(value)


def _bounded(number: float) -> float:
    return min(max(number, -_UNLIMITED), _UNLIMITED)


def _show(number: float) -> str:
    return "no limit" if abs(number) == _UNLIMITED else f"{number:g}"
