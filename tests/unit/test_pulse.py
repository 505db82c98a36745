"""Who has fallen silent."""

from __future__ import annotations

from launchpad_lite.runtime.pulse import MISSES, Pulse


def test_a_peer_that_says_nothing_is_lost_once() -> None:
    pulse = Pulse()
    pulse.heard("a")
    assert [pulse.beat() for _ in range(MISSES)] == [[]] * MISSES
    assert pulse.beat() == ["a"]
    assert pulse.beat() == []


def test_a_word_is_enough() -> None:
    pulse = Pulse()
    pulse.heard("a")
    pulse.heard("b")
    for _ in range(MISSES):
        pulse.beat()
    pulse.heard("b")
    assert pulse.beat() == ["a"]
    assert [pulse.beat() for _ in range(MISSES - 1)] == [[]] * (MISSES - 1)
    assert pulse.beat() == ["b"]


def test_one_that_was_lost_may_come_back() -> None:
    pulse = Pulse()
    pulse.heard("a")
    for _ in range(MISSES + 1):
        pulse.beat()
    pulse.heard("a")
    assert pulse.beat() == []
