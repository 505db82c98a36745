"""How long calls were on their way, by two clocks."""

from __future__ import annotations

import pytest

from launchpad_lite.courier import transit
from launchpad_lite.courier.transit import WINDOW_MS, TransitTimes

ROUND = 2**32


def test_with_one_clock_it_is_the_difference() -> None:
    times = TransitTimes(one_clock=True)
    assert times.of(1000, 3500) == 2.5
    assert times.of(1000, 1000) == 0.0
    assert times.of(1001, 1000) == 0.0
    assert times.of(ROUND - 500, 500) == 1.0
    assert times.of(transit.now()) < 1.0


@pytest.mark.parametrize("ahead", [0, 12_345, ROUND - 12_345, ROUND // 2, ROUND - 1])
def test_with_two_clocks_it_is_what_is_more_than_the_least(ahead: int) -> None:
    times = TransitTimes(one_clock=False)

    def of(sent: int, arrived: int) -> float:
        return times.of((sent + ahead) % ROUND, arrived)

    assert of(0, 40) == 0.0
    assert of(100, 640) == 0.5
    assert of(200, 210) == 0.0
    assert of(300, 810) == 0.5


def test_the_least_is_forgotten_after_a_while() -> None:
    times = TransitTimes(one_clock=False)
    assert times.of(0, 0) == 0.0
    offset = 5000  # the clocks come to differ by so much
    step = WINDOW_MS // 10
    found = [times.of(at, at + offset) for at in range(step, 3 * WINDOW_MS, step)]
    assert found[0] == 5.0
    assert found[9] == 5.0  # though a window has gone
    assert found[-1] == 0.0
    assert times.of(3 * WINDOW_MS, 3 * WINDOW_MS + offset + 1000) == 1.0


def test_after_a_long_silence_all_is_learnt_anew() -> None:
    times = TransitTimes(one_clock=False)
    silence, drift = 12 * 3_600_000, 2000
    assert times.of(0, 40) == 0.0
    assert times.of(silence, silence + 40 + drift) == 0.0
    assert times.of(silence, silence + 540 + drift) == 0.5
