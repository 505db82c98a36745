"""How many calls of which methods run at a time on a node."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import launchpad_lite as lp


class Busy:
    """Has a slow method, and one that must answer all the same."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self.most = 0
        self._open = False

    def slow(self) -> int:
        with self._changed:
            self._inside += 1
            self.most = max(self.most, self._inside)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._open, 30.0)
            self._inside -= 1
            return self.most

    def wait_for(self, count: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._inside >= count, 30.0)

    def release(self) -> None:
        with self._changed:
            self._open = True
            self._changed.notify_all()


def test_methods_have_priorities_and_limits() -> None:
    program = lp.Program("limits")
    node = lp.CourierNode(Busy).options(
        thread_pool_size=2,
        priority_methods=("release", "wait_for"),
        method_limits={"slow": 2},
    )
    handle = program.add_node(node, label="busy")
    with lp.testing.run(program) as t:
        busy = t[handle]
        calls = [lp.submit(busy.slow) for _ in range(5)]
        assert busy.wait_for(2)
        busy.release()
        assert [call.result(30.0) for call in calls] == [2] * 5


def test_a_server_that_takes_no_more_says_so() -> None:
    program = lp.Program("limits")
    node = lp.CourierNode(Busy).options(
        method_limits={"slow": 1}, max_waiting_calls=1, when_full="fail"
    )
    handle = program.add_node(node, label="busy")
    with lp.testing.run(program) as t:
        busy = t[handle]
        first = lp.submit(busy.slow)
        assert busy.wait_for(1)
        second = lp.submit(busy.slow)
        with pytest.raises(lp.ResourceExhausted, match="has 1 calls waiting"):
            lp.submit(busy.slow).result(30.0)
        busy.release()
        assert first.result(30.0) == second.result(30.0) == 1


@pytest.mark.parametrize(
    "options", [{"priority_methods": ["slwo"]}, {"method_limits": {"slwo": 1}}]
)
def test_a_method_of_an_option_that_is_not_there_is_found_in_the_plan(options: Any) -> None:
    program = lp.Program("limits")
    program.add_node(lp.CourierNode(Busy).options(**options), label="busy")
    with pytest.raises(lp.ProgramError, match=r"no method 'slwo'; did you mean 'slow'"):
        lp.plan(program, "thread")


def test_options_of_methods_are_checked() -> None:
    wrong: list[tuple[str, Any]] = [
        (
            r"priority_methods='slow': give the names in a tuple, \('slow',\)",
            {"priority_methods": "slow"},
        ),
        (
            r"method_limits\['slow'\]=0: give a whole number, 1 or more",
            {"method_limits": {"slow": 0}},
        ),
        ("max_waiting_calls=0", {"max_waiting_calls": 0}),
        ("when_full='wait'. Known: block, fail", {"when_full": "wait"}),
    ]
    for text, options in wrong:
        with pytest.raises(lp.UsageError, match=text):
            lp.CourierNode(Busy).options(**options)


def test_methods_that_the_constructor_makes_have_limits_too() -> None:
    class Late(Busy):
        def __init__(self) -> None:
            super().__init__()
            self.other = self.slow

    program = lp.Program("limits")
    node = lp.CourierNode(Late).options(method_limits={"other": 1})
    handle: Any = program.add_node(node, label="busy")
    with lp.testing.run(program) as t:
        busy = t[handle]
        calls = [lp.submit(busy.other) for _ in range(3)]
        busy.release()
        assert [call.result(30.0) for call in calls] == [1] * 3
