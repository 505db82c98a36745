"""Counters of calls, and what they tell."""

from __future__ import annotations

import dataclasses

import pytest

from launchpad_lite.metrics import BUCKETS, CallMetrics, CallStats, Meter, of_stats


def tell(stats: CallStats) -> CallMetrics:
    return of_stats(stats, node="a/0", side="client", server="b/0", method="work", caller="")


def test_nothing_was_called() -> None:
    row = tell(CallStats())
    assert (row.calls, row.running, row.errors, row.latency) == (0, 0, {}, ())
    assert row.quantile(0.5) is None


def test_calls_are_counted_by_how_long_they_took() -> None:
    stats = CallStats()
    stats.begun = 5
    for bucket in (10, 10, 10, 20):
        stats.buckets[bucket] += 1
    row = tell(stats)
    assert (row.calls, row.running) == (4, 1)
    assert row.latency == (0,) * 10 + (3,) + (0,) * 9 + (1,)
    assert row.quantile(0.5) == row.quantile(0.75) == 1024e-9
    assert row.quantile(0.76) == row.quantile(1) == 2**20 / 1e9
    assert len(stats.buckets) == BUCKETS


def test_errors_are_counted_by_code() -> None:
    stats = CallStats()
    for code in ("UNKNOWN", "UNAVAILABLE", "UNKNOWN"):
        stats.fail(code)
    row = tell(stats)
    stats.fail("UNKNOWN")
    assert row.errors == {"UNKNOWN": 2, "UNAVAILABLE": 1}


def test_a_meter_keeps_the_counters_of_each_method() -> None:
    meter = Meter()
    assert meter["one"] is meter["one"]
    assert meter["one"] is not meter["two"]
    assert list(meter) == ["one", "two"]


def test_what_was_told_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        tell(CallStats()).calls = 3  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
