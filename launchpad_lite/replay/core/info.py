"""What is told about samples and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from launchpad_lite.replay.core.limiters import RateLimiter
    from launchpad_lite.replay.core.selectors.base import Selector


class SampleInfo(NamedTuple):
    """What is known of a sampled item beside its data; of a batch, an array `[n]` in each field.

    Attributes:
      key: what identifies the item, for changing its priority (uint64).
      probability: the one with which it was chosen (float64).
      table_size: how many items the table held at that time (int64).
      priority: the item's priority at that time (float64).
      times_sampled: how often it has been sampled, this time included (int32).
    """

    key: Any
    probability: Any
    table_size: Any
    priority: Any
    times_sampled: Any

    @classmethod
    def zeros(cls) -> SampleInfo:
        """Return one with zeros in all fields."""
        return cls(0, 0.0, 0, 0.0, 0)


class ReplaySample(NamedTuple):
    """A sampled item.

    Attributes:
      info: what is known of it.
      data: its arrays: nested as in the table's signature where that is known, else a list.
    """

    info: SampleInfo
    data: Any


class SelectorInfo(NamedTuple):
    """A sampler or remover.

    Attributes:
      name: `fifo`, `lifo`, `uniform`, `prioritized`, `min_heap` or `max_heap`.
      is_deterministic: whether it draws no random numbers.
      priority_exponent: of a prioritized one, else None.
    """

    name: str
    is_deterministic: bool
    priority_exponent: float | None

    @classmethod
    def of(cls, selector: Selector) -> SelectorInfo:
        """Describe a selector."""
        exponent = getattr(selector, "priority_exponent", None)
        return cls(selector.name, selector.is_deterministic, exponent)


class RateLimiterCallStats(NamedTuple):
    """How many operations of one sort a rate limiter has let pass, and how many it holds.

    Attributes:
      completed: items inserted, or sampled, since the table was made or reset.
      pending: calls that wait now.
      limited: calls that have had to wait since the server was made.
    """

    completed: int
    pending: int = 0
    limited: int = 0


class RateLimiterInfo(NamedTuple):
    """The settings of a rate limiter, and what it has counted.

    Attributes:
      samples_per_insert: how often an item is sampled on average.
      min_diff: the least `inserts * samples_per_insert - samples` that a sample may leave.
      max_diff: the greatest that an insert may leave.
      min_size_to_sample: how many items the table must hold before any is sampled.
      insert_stats: what was inserted.
      sample_stats: what was sampled.
    """

    samples_per_insert: float
    min_diff: float
    max_diff: float
    min_size_to_sample: int
    insert_stats: RateLimiterCallStats
    sample_stats: RateLimiterCallStats

    @classmethod
    def of(cls, limiter: RateLimiter) -> RateLimiterInfo:
        """Describe a limiter as it is now."""
        return cls(
            samples_per_insert=limiter.samples_per_insert,
            min_diff=limiter.min_diff,
            max_diff=limiter.max_diff,
            min_size_to_sample=limiter.min_size_to_sample,
            insert_stats=RateLimiterCallStats(limiter.inserts),
            sample_stats=RateLimiterCallStats(limiter.samples),
        )


class TableInfo(NamedTuple):
    """The settings of a table, and what it holds. The fields are Reverb's.

    Attributes:
      name: the table's name.
      sampler_options: what chooses the items to sample.
      remover_options: what chooses the items to remove.
      max_size: how many items it may hold.
      max_times_sampled: how often an item is sampled before it is deleted; 0 is without end.
      rate_limiter_info: the rate limiter.
      signature: a nest of `ArraySpec`, or None.
      current_size: how many items it holds.
      num_episodes: how many episodes its items come from.
      num_deleted_episodes: how many they once came from, but do no longer.
      num_unique_samples: how many items were sampled at least once, deleted ones included.
    """

    name: str
    sampler_options: SelectorInfo
    remover_options: SelectorInfo
    max_size: int
    max_times_sampled: int
    rate_limiter_info: RateLimiterInfo
    signature: Any
    current_size: int
    num_episodes: int
    num_deleted_episodes: int
    num_unique_samples: int
