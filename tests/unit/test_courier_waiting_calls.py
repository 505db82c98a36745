"""The set of calls that wait: it finds the late ones, and keeps nothing of those that are gone."""

from __future__ import annotations

import collections
from typing import Any

from launchpad_lite.courier.method import Method
from launchpad_lite.courier.waiting_calls import Line, WaitingCalls
from tests.unit.test_courier_dispatcher import Call

MOST = 10
WORK = Method("work", print)


def filled(*timeouts: float | None) -> tuple[WaitingCalls, Line, list[Call]]:
    waiting, line = WaitingCalls(MOST), Line()
    calls = [Call(WORK, timeout) for timeout in timeouts]
    for call in calls:
        waiting.add(call, line)
    return waiting, line, calls


def drain(waiting: WaitingCalls, line: Line) -> list[Any]:
    found: list[Any] = []
    while (call := waiting.first(line)) is not None:
        waiting.remove(call)
        found.append(call)
    return found


def test_calls_come_in_their_order_but_for_those_that_went() -> None:
    waiting, line, calls = filled(None, None, None, None)
    assert waiting.remove(calls[0])
    assert waiting.remove(calls[2])
    assert not waiting.remove(calls[2])
    assert len(waiting) == 2
    assert drain(waiting, line) == [calls[1], calls[3]]
    assert not waiting


def test_late_ones_are_found_whenever_they_came() -> None:
    waiting, line, calls = filled(60.0, 0.0, None, 0.0)
    assert not waiting.full
    assert set(waiting.take_late()) == {calls[1], calls[3]}
    assert waiting.take_late() == []
    assert waiting.next_end() == calls[0].ends_at
    later = Call(WORK, 0.0)
    waiting.add(later, line)
    waiting.remove(calls[0])
    assert waiting.take_late() == [later]
    assert waiting.next_end() is None
    assert drain(waiting, line) == [calls[2]]


def test_a_line_that_does_not_move_keeps_nothing_of_those_that_went() -> None:
    waiting, line, calls = filled(60.0, *[0.0] * 5)
    assert len(waiting.take_late()) == 5
    for _ in range(1000):
        call = Call(WORK, 60.0)
        waiting.add(call, line)
        waiting.add(Call(WORK, 0.0), line)
        assert len(waiting.take_late()) == 1
        waiting.remove(call)
    assert len(line) <= 2 * MOST + 64
    assert collections.deque(waiting.clear()) == collections.deque(calls[:1])
    assert drain(waiting, line) == []
