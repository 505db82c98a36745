"""Several nodes as one: what a plan says of them, and what is refused."""

from __future__ import annotations

import inspect
import threading
from typing import Any

import pytest

from launchpad_lite import launching
from launchpad_lite.address import Address
from launchpad_lite.compiling import compile_program
from launchpad_lite.errors import ProgramError, UnpicklableError, UsageError
from launchpad_lite.launchers.process import ProcessLauncher
from launchpad_lite.launchers.thread import ThreadLauncher
from launchpad_lite.node import Node
from launchpad_lite.nodes.courier import CourierNode
from launchpad_lite.nodes.multi_processing import MultiProcessingColocation
from launchpad_lite.nodes.multi_threading import MultiThreadingColocation
from launchpad_lite.nodes.python import PyNode
from launchpad_lite.planning import LaunchPlan
from launchpad_lite.program import Edge, Program, make_program
from launchpad_lite.resources import Resources
from tests.helpers import unchecked

PATIENCE_S = 30.0


class Server:
    def __init__(self, size: int = 1) -> None:
        self.size = size


class User:
    def __init__(self, server: Server, other: object = None) -> None: ...
    def run(self) -> None: ...


def work() -> None: ...


def plan(program: Program, *, processes: bool = True, **options: Any) -> LaunchPlan:
    launcher = ProcessLauncher() if processes else ThreadLauncher()
    return compile_program(program, launcher.capabilities(), **options)


def errors_of(*nodes: Node[Any]) -> list[str]:
    with pytest.raises(ProgramError) as caught:
        plan(make_program(*nodes))
    return str(caught.value).splitlines()


def here(offset: int = 0) -> str:
    frame = inspect.stack()[1]
    return f"{frame.filename}:{frame.lineno + offset}"


def test_a_colocation_of_threads_is_one_worker() -> None:
    program = Program("program")
    outside = program.add_node(CourierNode(Server), label="outside")
    server = CourierNode(Server)
    colocation = MultiThreadingColocation([server])
    assert colocation.add_node(CourierNode(User, server.create_handle(), outside)) is not None
    assert program.add_node(colocation.options(env={"A": "b"}), label="machine") is None
    made = plan(program, resources={"machine": Resources(cpus=2)})
    assert [worker.name for worker in made.workers] == ["outside/0", "machine/0"]
    (worker,) = made.workers[1:]
    assert (worker.title, worker.kind) == ("Server + User", "MultiThreadingColocation")
    assert worker.calls == ("machine/0/0", "outside/0")
    assert worker.has_run
    assert worker.env == {"A": "b"}
    assert worker.resources == Resources(cpus=2)
    assert worker.unit == "machine/0"
    assert made.edges == (
        Edge(holder="machine/0/1", target="machine/0/0", argument="server"),
        Edge(holder="machine/0/1", target="outside/0", argument="other"),
    )
    rows = [line.split("  ")[0] for line in str(made).splitlines() if "/" in line]
    assert rows == ["outside/0", "machine/0", "machine/0/0", "machine/0/1"]
    assert str(made).count("thread of machine/0") == 2


def test_the_handles_of_a_colocation_are_those_of_its_members() -> None:
    server = CourierNode(Server)
    handle = server.create_handle()
    colocation = MultiThreadingColocation([CourierNode(User, handle)])
    assert [id(each) for each in colocation.handles] == [id(handle)]
    assert colocation.nodes == colocation.members


def test_a_title_names_a_few_members() -> None:
    servers = [CourierNode(Server) for _ in range(5)]
    assert MultiThreadingColocation(servers).title == "Server + Server + Server + 2 more"
    assert not MultiThreadingColocation(servers).has_run


def test_a_colocation_of_threads_is_named_after_its_kind() -> None:
    program = make_program(MultiThreadingColocation([PyNode(work)]))
    assert list(program.groups) == ["MultiThreadingColocation"]


def test_what_is_no_node_is_refused_at_its_place() -> None:
    with pytest.raises(ProgramError, match="a program is made of nodes, and 3 is none") as caught:
        unchecked(MultiThreadingColocation)([PyNode(work), 3])
    assert str(caught.value).startswith(here(-1))


def test_an_empty_colocation_is_refused() -> None:
    (error,) = errors_of(MultiThreadingColocation())
    assert here(-1) in error
    assert "has no nodes" in error


def test_a_node_is_in_one_place() -> None:
    node = CourierNode(Server)
    (error,) = errors_of(node, MultiThreadingColocation([node]))
    assert "MultiThreadingColocation/0/0 (Server" in error
    assert "the same node was added before, as Server/0" in error
    (error,) = errors_of(MultiThreadingColocation([node, node]))
    assert "the same node was added before, as MultiThreadingColocation/0/0" in error


def test_an_address_has_one_owner() -> None:
    address = Address()
    first, second = PyNode(work), PyNode(work)
    first.allocate_address(address)
    second.allocate_address(address)
    (error,) = errors_of(MultiThreadingColocation([first, second]))
    assert "node MultiThreadingColocation/0/1" in error
    assert "is owned by MultiThreadingColocation/0/0 already" in error
    with pytest.raises(ProgramError, match=r"give Address.* to the node of the Multi"):
        MultiThreadingColocation([first]).allocate_address(Address())


def test_members_are_checked_like_other_nodes() -> None:
    stranger = unchecked(CourierNode)(User).create_handle()
    other = unchecked(CourierNode)(Server, size="big")
    user = unchecked(CourierNode)(User, stranger)
    found = errors_of(MultiThreadingColocation([user, other]))
    assert "node MultiThreadingColocation/0/0 (User" in found[0]
    assert "a handle of a node that is not in the program" in found[0]
    assert "node MultiThreadingColocation/0/0 (User" in found[1]
    assert "argument server of User wants Server" in found[1]
    assert "node MultiThreadingColocation/0/1 (Server" in found[2]
    assert "argument size of Server wants int" in found[2]


def test_threads_cannot_have_an_environment_each() -> None:
    colocation = MultiThreadingColocation([PyNode(work), PyNode(work).options(env={"A": "b"})])
    (error,) = errors_of(colocation)
    assert "its nodes[1] (work, " in error
    assert ".options(env=...)" in error


def test_a_member_that_cannot_be_pickled_is_named() -> None:
    server = CourierNode(Server)
    user = unchecked(CourierNode)(User, server.create_handle(), threading.Lock())
    program = make_program(MultiThreadingColocation([server, user]))
    with pytest.raises(UnpicklableError) as caught:
        plan(program)
    assert "node MultiThreadingColocation/0/1 (User" in str(caught.value)
    assert "argument other cannot be sent" in str(caught.value)


def test_members_that_nobody_reads_are_pointed_out() -> None:
    program = make_program(MultiThreadingColocation([CourierNode(Server), PyNode(work)]))
    (warning,) = plan(program).warnings
    assert "node MultiThreadingColocation/0/0 (Server" in warning
    assert "no node holds its handle" in warning


def test_each_process_of_a_colocation_is_a_worker() -> None:
    program = Program("program")
    server = CourierNode(Server).options(env={"B": "c"})
    colocation = MultiProcessingColocation([server], num_retries_on_failure=3)
    user = unchecked(CourierNode)(User, server.create_handle())
    inner = MultiThreadingColocation([user, PyNode(work)])
    assert colocation.add_node(inner) is None
    program.add_node(colocation.options(env={"A": "b"}), label="machine")
    made = plan(program, resources={"machine": Resources(cpus=2)})
    assert [worker.name for worker in made.workers] == ["machine/0/0", "machine/0/1"]
    first, second = made.workers
    assert (first.label, first.index, first.group_size) == ("machine/0", 0, 2)
    assert (first.kind, second.kind) == ("CourierNode", "MultiThreadingColocation")
    assert {worker.unit for worker in made.workers} == {"machine/0"}
    assert {worker.max_restarts for worker in made.workers} == {3}
    assert first.resources == second.resources == Resources(cpus=2)
    assert (first.env, second.env) == ({"A": "b", "B": "c"}, {"A": "b"})
    assert second.calls == ("machine/0/0",)
    assert all(worker.payload for worker in made.workers)
    assert made.edges == (Edge(holder="machine/0/1/0", target="machine/0/0", argument="server"),)
    rows = [line.split("  ")[0] for line in str(made).splitlines() if line.startswith("machine")]
    assert rows == ["machine/0/0", "machine/0/1", "machine/0/1/0", "machine/0/1/1"]
    assert str(made).count("up to 3 restarts of machine/0") == 2


def test_members_of_a_colocation_of_processes_share_a_threads_process() -> None:
    colocation = MultiProcessingColocation([PyNode(work), PyNode(work)])
    made = plan(make_program(colocation), processes=False)
    assert [worker.start for worker in made.workers] == ["in process"] * 2


def test_an_empty_colocation_of_processes_is_refused() -> None:
    (error,) = errors_of(MultiProcessingColocation())
    assert "has no nodes" in error


def test_a_colocation_of_processes_is_in_no_other() -> None:
    inner = MultiProcessingColocation([PyNode(work)])
    for outer in (MultiProcessingColocation([inner]), MultiThreadingColocation([inner])):
        (error,) = errors_of(outer)
        assert "its nodes[0] (work, " in error
        assert "is a MultiProcessingColocation, whose nodes are workers of their own" in error


def test_a_colocation_is_not_in_itself() -> None:
    colocation = MultiThreadingColocation()
    with pytest.raises(ProgramError, match="this MultiThreadingColocation cannot be part"):
        colocation.add_node(colocation)
    inner = MultiThreadingColocation()
    colocation.add_node(inner)
    with pytest.raises(ProgramError, match="part of itself"):
        inner.add_node(colocation)


@pytest.mark.parametrize("number", [-1, 1.5, True, "3", None])
def test_retries_are_a_number(number: object) -> None:
    with pytest.raises(UsageError, match=f"at least 0, not {number!r}"):
        unchecked(MultiProcessingColocation)([PyNode(work)], num_retries_on_failure=number)


def test_a_colocation_of_processes_does_not_run_by_itself() -> None:
    with pytest.raises(UsageError, match="launch a program that holds it"):
        MultiProcessingColocation([PyNode(work)]).run()


# Without a program, as the original's own tests run them.


def fail() -> None:
    raise RuntimeError("Foo")


def test_a_colocation_runs_by_itself() -> None:
    events = [threading.Event(), threading.Event()]
    MultiThreadingColocation([PyNode(event.set) for event in events]).run()
    assert all(event.is_set() for event in events)


def test_by_itself_it_raises_what_a_member_raised() -> None:
    colocation = MultiThreadingColocation([PyNode(fail), PyNode(launching.wait_for_stop)])
    with pytest.raises(RuntimeError, match="Foo"):
        colocation.run()


def test_by_itself_it_ends_with_the_first() -> None:
    done = threading.Event()
    members = [PyNode(done.set), PyNode(launching.wait_for_stop)]
    MultiThreadingColocation(members, return_on_first_completed=True).run()
    assert done.is_set()
