"""Nodes and workers of a plan, by label and index."""

from __future__ import annotations

import pytest

from launchpad_lite import groups
from launchpad_lite.compiling import compile_program
from launchpad_lite.errors import UsageError
from launchpad_lite.launchers.thread import ThreadLauncher
from launchpad_lite.nodes.multi_processing import MultiProcessingColocation
from launchpad_lite.nodes.multi_threading import MultiThreadingColocation
from launchpad_lite.nodes.python import PyNode
from launchpad_lite.planning import LaunchPlan
from launchpad_lite.program import Program


def work() -> None: ...


@pytest.fixture
def plan() -> LaunchPlan:
    program = Program("program")
    with program.group("server"):
        for _ in range(2):
            program.add_node(PyNode(work))
    inner = MultiThreadingColocation([PyNode(work), PyNode(work)])
    program.add_node(MultiThreadingColocation([PyNode(work), inner]), label="machine")
    return compile_program(program, ThreadLauncher().capabilities())


def test_names_of_nodes(plan: LaunchPlan) -> None:
    assert groups.node_name(plan, "server", 1) == "server/1"
    with pytest.raises(UsageError, match=r"no group 'serve'.*did you mean 'server'"):
        groups.node_name(plan, "serve", 0)
    for index in (-1, 2):
        with pytest.raises(
            UsageError, match=rf"group 'server' has 2 node\(s\), so no index {index}"
        ):
            groups.node_name(plan, "server", index)


def test_a_colocation_is_the_group_of_its_members(plan: LaunchPlan) -> None:
    assert groups.node_name(plan, "machine", 0) == "machine/0"
    assert groups.node_name(plan, "machine/0", 1) == "machine/0/1"
    assert groups.node_name(plan, "machine/0/1", 0) == "machine/0/1/0"
    with pytest.raises(UsageError, match=r"group 'machine/0' has 2 node\(s\), so no index 2"):
        groups.node_name(plan, "machine/0", 2)


def test_names_of_workers(plan: LaunchPlan) -> None:
    assert groups.worker_names(plan, None) == ["server/0", "server/1", "machine/0"]
    assert groups.worker_names(plan, ["machine"]) == ["machine/0"]
    assert groups.worker_names(plan, ["machine", "machine"]) == ["machine/0"]
    with pytest.raises(UsageError, match="no group 'machine/0'"):
        groups.worker_names(plan, ["machine/0"])


def test_a_colocation_of_processes_is_a_group_and_part_of_one() -> None:
    program = Program("program")
    for _ in range(2):
        colocation = MultiProcessingColocation([PyNode(work), PyNode(work)])
        program.add_node(colocation, label="machine")
    plan = compile_program(program, ThreadLauncher().capabilities())
    first = ["machine/0/0", "machine/0/1"]
    assert groups.worker_names(plan, ["machine/0"]) == first
    assert groups.worker_names(plan, ["machine"]) == [*first, "machine/1/0", "machine/1/1"]
    assert groups.worker_names(plan, None) == groups.worker_names(plan, ["machine"])
    assert groups.node_name(plan, "machine/1", 1) == "machine/1/1"
    assert list(groups.units(plan)) == ["machine/0", "machine/1"]
    with pytest.raises(UsageError, match="no group 'machine'"):
        groups.node_name(plan, "machine", 0)
