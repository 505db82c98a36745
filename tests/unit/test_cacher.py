"""Cacher nodes: what is refused, what a plan says of them; ages, through real calls."""

from __future__ import annotations

import math
from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite.compiling import compile_program
from launchpad_lite.launchers.process import ProcessLauncher
from launchpad_lite.nodes.cacher import CacherNode
from launchpad_lite.planning import LaunchPlan
from launchpad_lite.program import Edge
from tests.helpers import unchecked

PATIENCE_S = 30.0
LONG_MS = 1e6


class Trainer:
    def __init__(self) -> None:
        self.calls: list[object] = []

    def weights(self, names: list[str], scale: float = 1.0) -> dict[str, float]:
        self.calls.append(names)
        return {name: scale * len(self.calls) for name in names}

    def fail(self) -> None:
        raise ValueError("boom")

    def __call__(self) -> int:
        self.calls.append("call")
        return len(self.calls)


class Actor:
    def __init__(self, trainer: Trainer) -> None: ...
    def run(self) -> None: ...


class Other:
    def __init__(self, actor: Actor) -> None: ...


def plan(program: lp.Program) -> LaunchPlan:
    return compile_program(program, ProcessLauncher().capabilities())


def cached_program() -> tuple[lp.Program, Trainer, Trainer]:
    program = lp.Program("cached")
    trainer = program.add_node(lp.CourierNode(Trainer), label="trainer")
    cacher = program.add_node(CacherNode(trainer, LONG_MS, LONG_MS), label="cacher")
    return program, trainer, cacher


def test_its_handle_is_one_of_the_nodes_class() -> None:
    program, _, cacher = cached_program()
    program.add_node(lp.CourierNode(Actor, cacher), label="actor")
    made = plan(program)
    assert made.edges == (
        Edge(holder="cacher/0", target="trainer/0", argument="handle"),
        Edge(holder="actor/0", target="cacher/0", argument="trainer"),
    )
    assert "cache of Trainer (CacherNode, serves only)" in str(made)
    program.add_node(unchecked(lp.CourierNode)(Other, cacher), label="other")
    with pytest.raises(lp.ProgramError, match=r"Other wants Actor .* handle of Trainer"):
        plan(program)


@pytest.mark.parametrize("handle", [None, 3, Trainer()])
def test_it_needs_a_handle(handle: object) -> None:
    with pytest.raises(lp.HandleError, match="needs a handle of a node whose") as caught:
        unchecked(CacherNode)(handle, 1.0, 2.0)
    assert str(caught.value).startswith(__file__)


@pytest.mark.parametrize("value", [0, -1, 0.0, math.nan, math.inf, "1", None, True])
@pytest.mark.parametrize("name", ["refresh_interval_ms", "stale_after_ms", "max_entries"])
def test_its_numbers_are_positive(name: str, value: object) -> None:
    numbers = {"refresh_interval_ms": 1, "stale_after_ms": 2, "max_entries": 1, name: value}
    handle = lp.CourierNode(Trainer).create_handle()
    with pytest.raises(lp.UsageError, match=f"{name} must be a positive .*not {value!r}"):
        unchecked(CacherNode)(handle, **numbers)


def test_it_keeps_a_whole_number_of_results() -> None:
    with pytest.raises(lp.UsageError, match="max_entries must be a positive integer"):
        unchecked(CacherNode)(lp.CourierNode(Trainer).create_handle(), 1, 2, max_entries=1.5)


def test_results_are_refreshed_before_they_are_stale() -> None:
    handle = lp.CourierNode(Trainer).create_handle()
    with pytest.raises(lp.UsageError, match="stale_after_ms=1 is less than refresh_interval_ms=2"):
        CacherNode(handle, 2, 1)
    CacherNode(handle, 2, 2)


def test_the_node_it_asks_must_be_in_the_program() -> None:
    program = lp.Program("program")
    stranger = lp.CourierNode(Trainer).create_handle()
    program.add_node(CacherNode(stranger, 1, 2), label="cacher")
    with pytest.raises(lp.ProgramError, match=r"argument handle holds .* not in the program"):
        plan(program)


def test_calls_are_answered_from_what_is_kept() -> None:
    program, trainer, cacher = cached_program()
    with lp.testing.run(program) as t:
        client = t[cacher]
        assert client.weights(["a", "b"]) == {"a": 1.0, "b": 1.0}
        assert client.weights(["a", "b"]) == {"a": 1.0, "b": 1.0}
        assert client.weights(["a"], scale=2.0) == {"a": 4.0}
        assert client() == client() == 3
        assert t.instance("trainer").calls == [["a", "b"], ["a"], "call"]
        assert t[trainer].weights(["c"]) == {"c": 4.0}


def test_what_it_gives_is_each_readers_own() -> None:
    program, _, cacher = cached_program()
    with lp.testing.run(program) as t:
        t[cacher].weights(["a"])["a"] = 100.0
        assert t[cacher].weights(["a"]) == {"a": 1.0}


def test_ages() -> None:
    program, trainer, cacher = cached_program()
    with lp.testing.run(program) as t:
        first = lp.cached(t[cacher].weights, ["a"])
        second = lp.cached(t[cacher].weights, ["a"])
        assert first.value == second.value == {"a": 1.0}
        assert 0 <= first.age_s <= second.age_s < LONG_MS / 1000
        assert lp.cached(t[cacher]).value == 2
        with pytest.raises(lp.UsageError, match="is no client of an lp"):
            lp.cached(t[trainer].weights, ["a"])
        with pytest.raises(TypeError, match=r"lp.cached needs a client's method"):
            lp.cached(len, "abc")


def test_errors() -> None:
    program, _, cacher = cached_program()
    with lp.testing.run(program) as t:
        client: Any = t[cacher]
        for _ in range(2):
            with pytest.raises(ValueError, match="boom"):
                client.fail()
        with pytest.raises(lp.MethodNotFound, match=r"weight not found on cacher/0.*weights"):
            client.weight()
        with pytest.raises(lp.MethodNotFound, match="method weight not found on trainer/0"):
            lp.cached(client.weight)


def test_arguments_that_cannot_be_told_apart() -> None:
    program, trainer, cacher = cached_program()
    with lp.testing.run(program) as t:
        client: Any = t[cacher]
        with pytest.raises(TypeError) as caught:
            client.weights([bytearray(b"a")])
        assert str(caught.value) == (
            "trainer/0.weights cannot be cached for these arguments, which must tell one call from "
            "another: argument 0[0] is a bytearray, which has no hash of its value. Call trainer/0 "
            "itself."
        )
        with pytest.raises(TypeError, match="argument 0 is a Client"):
            client.weights(t[trainer])


def test_a_cacher_of_a_cacher() -> None:
    program, _, cacher = cached_program()
    second = program.add_node(CacherNode(cacher, LONG_MS, LONG_MS), label="second")
    with lp.testing.run(program) as t:
        assert t[second].weights(["a"]) == t[second].weights(["a"]) == {"a": 1.0}
        assert lp.cached(t[second].weights, ["a"]).value == {"a": 1.0}
