"""Warnings of a plan: what works, and is probably not what its author wants."""

from __future__ import annotations

import numpy as np
import pytest

from launchpad_lite import lint
from launchpad_lite.compiling import compile_program
from launchpad_lite.courier.batching import batched_handler
from launchpad_lite.nodes.courier import CourierNode
from launchpad_lite.nodes.python import PyClassNode, PyNode
from launchpad_lite.planning import Capabilities
from launchpad_lite.program import Edge, Program


class Server:
    def answer(self) -> int:
        return 42


class Loop:
    def __init__(self, *others: object) -> None: ...

    def run(self) -> None: ...


def work(*args: object) -> None: ...


class Batching:
    @batched_handler(batch_size=32)
    def predict(self, item: int) -> int:
        return item

    def run(self) -> None: ...


def warnings(program: Program, *, in_process: bool = True) -> tuple[str, ...]:
    return compile_program(program, Capabilities(launcher="l", in_process=in_process)).warnings


def cycles(*pairs: str) -> list[str]:
    """The cycles among edges written as `holder>target`."""
    ends = [pair.split(">") for pair in pairs]
    edges = [Edge(holder=holder, target=target, argument="a") for holder, target in ends]
    program = Program("p")
    return [text.split(":")[0] for text in lint.lint_program(program, edges, {})]


def test_a_program_that_is_fine_has_no_warnings() -> None:
    program = Program("p")
    server = program.add_node(CourierNode(Server), label="server")
    program.add_node(CourierNode(Loop, server), label="loop")
    assert warnings(program) == ()
    assert warnings(program, in_process=False) == ()


def test_nodes_that_hold_each_other_can_wait_for_each_other() -> None:
    program = Program("p")
    first = CourierNode.deferred(Loop)
    handle = program.add_node(first, label="first")
    first.configure(program.add_node(CourierNode(Loop, handle), label="second"))
    (text,) = warnings(program)
    assert text == (
        "first/0 -> second/0 -> first/0: these hold each other's handles. None of their "
        "constructors may wait for a call to another, or all of them wait for ever."
    )


def test_cycles_are_shown_from_holder_to_target() -> None:
    assert cycles("a/0>b/0", "b/0>c/0", "a/0>c/0") == []
    assert cycles("a/0>a/0") == ["a/0 -> a/0"]
    assert cycles("a/0>b/0", "b/0>c/0", "c/0>a/0") == ["a/0 -> b/0 -> c/0 -> a/0"]


def test_one_cycle_stands_for_all_between_the_same_groups() -> None:
    star = [pair for i in range(200) for pair in (f"w/{i}>s/0", f"s/0>w/{i}")]
    assert len(cycles(*star)) == 1
    ring = [f"r/{i}>r/{(i + 1) % 9}" for i in range(9)]
    (text,) = cycles(*ring)
    assert text.count("->") == 9


def test_no_cycle_is_left_out_because_of_many_others() -> None:
    star = [pair for i in range(200) for pair in (f"w/{i}>s/0", f"s/0>w/{i}")]
    found = cycles(*star, "x/0>y/0", "y/0>x/0", "z/0>z/0")
    assert sorted(len(text.split(" -> ")) for text in found) == [2, 3, 3]
    assert any("x/0" in text for text in found)


def test_a_server_that_nobody_reads() -> None:
    program = Program("p")
    read = program.add_node(CourierNode(Server), label="read")
    unread = CourierNode(Server)
    program.add_node(unread, label="unread")
    silent = CourierNode(Loop).disable_run()
    program.add_node(silent, label="silent")
    program.add_node(CourierNode(Loop), label="runs")
    program.add_node(PyClassNode(Server), label="no_service")
    program.add_node(PyNode(work, [read]), label="reader")
    text = "no node holds its handle and it has no run method."
    assert warnings(program) == (
        f"node unread/0 (Server, {unread.place}): {text}",
        f"node silent/0 (Loop, {silent.place}): {text}",
    )


def test_the_same_is_said_once_of_a_group() -> None:
    program = Program("p")
    with program.group("servers"):
        for _ in range(3):
            program.add_node(CourierNode(Server))
    (text,) = warnings(program)
    assert text.startswith("node servers/0 and 2 more of its group (Server, ")


def test_a_batch_larger_than_the_thread_pool_is_fine() -> None:
    program = Program("p")
    program.add_node(CourierNode(Batching).options(thread_pool_size=1), label="b")
    assert warnings(program) == ()


def test_large_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lint, "LARGE_PAYLOAD_BYTES", 10**6)
    program = Program("p")
    large = PyNode(work, np.zeros(2 * 10**6, np.uint8))
    program.add_node(large, label="large")
    program.add_node(PyNode(work, np.zeros(10**5, np.uint8)), label="small")
    (text,) = warnings(program, in_process=False)
    assert text == (
        f"node large/0 (work, {large.place}): its arguments take 2 MB. Let the node load them, or "
        "wrap their construction in lp.Deferred."
    )
    assert warnings(program, in_process=True) == ()


def test_arguments_are_large_above_a_hundred_megabytes() -> None:
    program = Program("p")
    program.add_node(PyNode(work), label="w")
    assert lint.LARGE_PAYLOAD_BYTES == 100_000_000
    assert list(lint.lint_program(program, [], {"w/0": 100_000_000})) == []
    (text,) = lint.lint_program(program, [], {"w/0": 123_400_000})
    assert "its arguments take 123 MB" in text
