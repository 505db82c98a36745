"""Plans: what is in them, and every error that is found while one is made."""

from __future__ import annotations

import dataclasses
import functools
import pickle
import threading
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest

from launchpad_lite.address import Address
from launchpad_lite.compiling import compile_program
from launchpad_lite.config import RunConfig
from launchpad_lite.context import Context
from launchpad_lite.errors import ContextError, ProgramError, UnpicklableError, UsageError
from launchpad_lite.handle import Deferred
from launchpad_lite.node import Node
from launchpad_lite.nodes.courier import CourierNode
from launchpad_lite.nodes.python import PyClassNode, PyNode
from launchpad_lite.planning import Capabilities, LaunchPlan
from launchpad_lite.program import Program
from launchpad_lite.resources import Resources
from tests.helpers import unchecked

THREADS = Capabilities(launcher="threads", in_process=True)
PROCESSES = Capabilities(launcher="processes", in_process=False)


class Server:
    def answer(self) -> int:
        return 42


class Other:
    def run(self) -> None: ...


class User:
    def __init__(self, server: Server, size: int = 1, *, name: str = "") -> None: ...

    def run(self) -> None: ...


class Collides:
    def aio(self) -> None: ...

    def futures(self) -> None: ...

    def address(self) -> None: ...


def work(server: Server, size: int = 1) -> None: ...


def noop(*args: object) -> None: ...


class CustomNode(Node[None]):
    """A kind of node that somebody else wrote."""

    kind: ClassVar[str] = "CustomNode"

    @property
    def title(self) -> str:
        return "custom"

    @property
    def has_run(self) -> bool:
        return True

    def arguments(self) -> dict[str, Any]:
        return {}

    def create_handle(self) -> None: ...

    def run_in(self, context: Context) -> None: ...


def plan(program: Program, capabilities: Capabilities = PROCESSES, **options: Any) -> LaunchPlan:
    return compile_program(program, capabilities, **options)


def errors_of(program: Program) -> list[str]:
    """The errors, which must be the same whatever the launcher."""
    messages: list[str] = []
    for capabilities in (THREADS, PROCESSES):
        with pytest.raises(ProgramError) as raised:
            plan(program, capabilities)
        messages.append(str(raised.value))
    assert messages[0] == messages[1]
    return messages[0].splitlines()


def served() -> tuple[Program, Server]:
    program = Program("p")
    return program, program.add_node(CourierNode(Server), label="server")


# What is in a plan.


def test_a_plan_has_a_worker_for_each_node() -> None:
    program, server = served()
    with program.group("user"):
        for _ in range(2):
            program.add_node(CourierNode(User, server))
    made = plan(program)
    assert [worker.name for worker in made.workers] == ["server/0", "user/0", "user/1"]
    first, _, last = made.workers
    assert (last.label, last.index, last.group_size) == ("user", 1, 2)
    assert (last.kind, last.title, last.has_run) == ("CourierNode", "User", True)
    assert (first.has_run, first.calls, last.calls) == (False, (), ("server/0",))
    assert (made.program, made.launcher) == ("p", "processes")
    assert made.edges == tuple(program.edges)
    assert made.warnings == ()


def test_nodes_are_pickled_for_processes_only() -> None:
    program, server = served()
    program.add_node(PyNode(work, server), label="work")
    for worker in plan(program, PROCESSES).workers:
        assert worker.start == "warm"
        assert isinstance(pickle.loads(worker.payload), Node)
    made = plan(program, THREADS)
    for worker, node in zip(made.workers, program.get_all_nodes(), strict=True):
        assert (worker.payload, worker.source, worker.start) == (b"", b"", "in process")
        assert made.nodes[worker.name] is node


def test_an_address_is_named_like_its_node() -> None:
    program = Program("p")
    node = CustomNode()
    addresses = [Address(), Address("metrics"), Address()]
    for address in addresses:
        node.allocate_address(address)
    program.add_node(PyNode(noop), label="a")
    program.add_node(node, label="b")
    made = plan(program)
    assert [made.name_of(address) for address in addresses] == ["b/0", "b/0#metrics", "b/0#2"]
    assert [address.name for address in addresses] == [None] * 3
    with pytest.raises(ContextError, match=r"belongs to no node of program 'p'"):
        made.name_of(Address())


def test_a_program_can_be_planned_many_times() -> None:
    program, server = served()
    program.add_node(PyNode(work, server), label="work")
    first, second = plan(program), plan(program, PROCESSES)
    assert first == second
    assert plan(program, THREADS).names == first.names


def test_seeds_differ_between_nodes_and_depend_on_the_runs_seed() -> None:
    program, server = served()
    for _ in range(8):
        program.add_node(PyNode(work, server), label="work")

    def seeds(seed: int) -> list[int]:
        return [worker.seed for worker in plan(program, config=RunConfig(seed=seed)).workers]

    assert seeds(0) == seeds(0)
    assert len({*seeds(0), *seeds(1)}) == 18
    assert all(0 <= seed < 2**32 for seed in seeds(3))


@pytest.mark.parametrize(
    ("env", "start"),
    [
        ({}, "warm"),
        ({"MINE": "1", "PATH": "/bin"}, "warm"),
        ({"PYTHONHASHSEED": "0"}, "cold (PYTHONHASHSEED)"),
        ({"OMP_NUM_THREADS": "1", "LD_PRELOAD": "x"}, "cold (LD_PRELOAD, OMP_NUM_THREADS)"),
        ({"MALLOC_ARENA_MAX": "1", "MINE": "1"}, "cold (MALLOC_ARENA_MAX)"),
    ],
)
def test_what_is_read_at_start_up_makes_a_start_cold(env: Mapping[str, str], start: str) -> None:
    program = Program("p")
    program.add_node(PyNode(noop).options(env=env), label="a")
    (worker,) = plan(program).workers
    assert (worker.start, worker.cold) == (start, start != "warm")
    assert worker.env == env
    assert plan(program, THREADS).workers[0].start == "in process"


def test_resources_are_given_by_group() -> None:
    program, server = served()
    program.add_node(PyNode(work, server), label="work")
    wanted = Resources(cpus=2)
    made = plan(program, resources={"work": wanted})
    assert [worker.resources for worker in made.workers] == [Resources(), wanted]
    with pytest.raises(UsageError, match=r"unknown group 'wrok'; did you mean 'work'\?"):
        plan(program, resources={"wrok": wanted})


def test_the_table_shows_all_there_is_to_know() -> None:
    program, server = served()
    program.add_node(PyNode(work, server).options(env={"LD_PRELOAD": "x"}), label="work")
    program.add_node(CourierNode(Server), label="unread")
    made = plan(program, resources={"work": Resources(cpus=2, memory_gb=0.5)})
    head, blank, titles, rule, *rows = str(made).splitlines()
    assert head == "program 'p', launcher processes, 3 node(s)"
    assert titles.split() == ["node", "runs", "calls", "start", "resources", "payload"]
    assert (blank, set(rule)) == ("", {"-", " "})
    assert rows[0].startswith("server/0  Server (CourierNode, serves only)  -")
    assert f"{len(made.workers[0].payload):,} B" in rows[0]
    assert rows[1].split()[:3] == ["work/0", "work", "(PyNode)"]
    assert "server/0  cold (LD_PRELOAD)  cpus=2 memory_gb=0.5" in rows[1]
    assert rows[3:] == ["", f"warning: {made.warnings[0]}"]
    assert "B" not in str(plan(program, THREADS)).splitlines()[4].split("serves only)")[1]


def test_making_a_plan_starts_nothing() -> None:
    program, server = served()

    class Noisy:
        def __init__(self) -> None:
            raise AssertionError("made")

    program.add_node(CourierNode(Noisy), label="noisy")
    program.add_node(PyNode(work, server), label="work")
    before = threading.enumerate()
    for capabilities in (THREADS, PROCESSES):
        plan(program, capabilities)
    assert threading.enumerate() == before


# What is wrong with a program.


def _too_many(program: Program, server: Server) -> Node[Any]:
    return unchecked(CourierNode)(User, server, 1, 2)


def _misspelt(program: Program, server: Server) -> Node[Any]:
    return unchecked(PyClassNode)(User, server, szie=1)


def _missing(program: Program, server: Server) -> Node[Any]:
    return unchecked(PyNode)(work)


def _never_configured(program: Program, server: Server) -> Node[Any]:
    return CourierNode.deferred(User)


def _wrong_scalar(program: Program, server: Server) -> Node[Any]:
    return unchecked(CourierNode)(User, server, "many")


def _wrong_handle(program: Program, server: Server) -> Node[Any]:
    other: Any = program.add_node(CourierNode(Other), label="other")
    return CourierNode(User, other)


def _wrong_deferred(program: Program, server: Server) -> Node[Any]:
    other: Any = Deferred(Other)
    return PyNode(work, other)


def _wrong_inside_deferred(program: Program, server: Server) -> Node[Any]:
    user: object = unchecked(Deferred)(User, server, sise=1)
    return PyNode(noop, {"user": user})


def _foreign_handle(program: Program, server: Server) -> Node[Any]:
    return CourierNode(User, CourierNode(Server).create_handle())


def _collision(program: Program, server: Server) -> Node[Any]:
    return CourierNode(Collides)


@pytest.mark.parametrize(
    ("make", "texts"),
    [
        (_too_many, ["does not take these arguments: too many positional arguments."]),
        (
            _misspelt,
            [
                "User has no parameter 'szie'; did you mean 'size'? Known: name, server, size.",
            ],
        ),
        (_missing, ["work(server, size=1) does not", "missing a required argument: 'server'."]),
        (_never_configured, ["missing a required argument: 'server'."]),
        (_wrong_scalar, ["argument size of User wants int and was given 'many'."]),
        (_wrong_handle, ["argument server of User wants Server and was given a handle of Other."]),
        (_wrong_deferred, ["argument server of work wants Server and was given a deferred Other."]),
        (
            _wrong_inside_deferred,
            ["args[0]['user']: User has no parameter 'sise'; did you mean 'size'?"],
        ),
        (
            _foreign_handle,
            [
                "argument server holds <handle of Server>, a handle of a node that is not in the",
                "Add that node with program.add_node and use what it returns.",
            ],
        ),
        (_collision, ["Collides.address cannot be called by clients", "Rename the method."]),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_an_error_names_the_node_its_argument_and_its_place(
    make: Callable[[Program, Server], Node[Any]], texts: list[str]
) -> None:
    program, server = served()
    node = make(program, server)
    program.add_node(node, label="bad")
    error = errors_of(program)[0]
    assert error.startswith(f"node bad/0 ({node.title}, {node.place}): ")
    assert node.place.startswith(f"{__file__}:")
    for text in texts:
        assert text in error


def test_every_name_that_a_client_has_of_its_own_is_refused() -> None:
    program = Program("p")
    program.add_node(CourierNode(Collides), label="bad")
    for name, error in zip(["address", "aio", "futures"], errors_of(program), strict=True):
        assert f"Collides.{name} cannot be called by clients, which have a {name!r}" in error


def test_the_same_node_twice() -> None:
    program, server = served()
    node = PyNode(work, server)
    program.add_node(node, label="a")
    program.add_node(node, label="b")
    assert errors_of(program) == [
        (
            f"node b/0 (work, {node.place}): the same node was added before, as a/0. "
            "Make a node for each place."
        )
    ]


def test_an_address_owned_twice() -> None:
    program = Program("p")
    address = Address("shared")
    for label in ("a", "b"):
        node = CustomNode()
        node.allocate_address(address)
        program.add_node(node, label=label)
    assert errors_of(program) == [
        f"node b/0 (custom, {node.place}): {address!r} is owned by a/0 already."
    ]


def test_a_group_of_several_kinds() -> None:
    program, server = served()
    first, second = PyNode(work, server), PyClassNode(User, server)
    program.add_node(first, label="mixed")
    program.add_node(second, label="mixed")
    (error,) = errors_of(program)
    assert error == (
        f"node mixed/1 (User, {second.place}): a PyClassNode in a group that begins with a PyNode "
        f"(work, {first.place}). Give each kind a label of its own."
    )


def test_a_node_that_was_deferred_is_of_the_same_kind() -> None:
    program, server = served()
    node = CourierNode.deferred(Server)
    node.configure()
    program.add_node(node, label="server")
    program.add_node(PyNode(noop, server), label="noop")
    assert plan(program).workers[1].name == "server/1"


def test_a_program_without_nodes() -> None:
    assert errors_of(Program("p")) == ["program 'p' has no nodes; add some with program.add_node."]


def test_a_group_that_was_emptied() -> None:
    program, _ = served()
    program.groups["gone"] = []
    assert errors_of(program) == ["group 'gone' is empty."]


def test_all_errors_of_a_program_are_reported_together() -> None:
    program, server = served()
    wrong: Any = CourierNode(Other).create_handle()
    twice = PyNode(work, server)
    program.add_node(unchecked(CourierNode)(User, wrong, "many", name=3), label="bad")
    program.add_node(twice, label="twice")
    program.add_node(twice, label="twice")
    program.add_node(CourierNode(Collides), label="collides")
    program.add_node(PyClassNode(Other), label="server")
    assert [error.split(" (")[0] for error in errors_of(program)] == [
        *["node bad/0"] * 4,
        "node twice/1",
        *["node collides/0"] * 3,
        "node server/1",  # what is wrong with groups comes last
    ]
    found = "\n".join(errors_of(program))
    for text in ("argument server holds", "server of User", "size of User", "name of User"):
        assert text in found


def test_what_cannot_be_pickled_is_an_error_for_processes_only() -> None:
    lock = threading.Lock()
    program = Program("p")
    node = PyNode(functools.partial(noop, {"lock": [lock]}))
    program.add_node(node, label="a")
    with pytest.raises(UnpicklableError) as error:
        plan(program, PROCESSES)
    assert str(error.value).startswith(
        f"node a/0 (noop, {node.place}): argument <function>.args[0]['lock'][0] cannot be sent to "
        "a worker: cannot pickle '_thread.lock' object. Make it inside the node, or wrap its "
    )
    assert plan(program, THREADS).workers


def test_a_handle_that_hides_in_an_object_is_no_edge_and_still_pickled() -> None:
    @dataclasses.dataclass
    class Box:
        inside: object

    class Hidden:
        def __init__(self, inside: object) -> None:
            self.inside = inside

    program, server = served()
    program.add_node(PyNode(noop, Box(server)), label="seen")
    program.add_node(PyNode(noop, Hidden(server)), label="hidden")
    made = plan(program)
    assert [edge.holder for edge in made.edges] == ["seen/0"]
    foreign = Hidden(CourierNode(Server).create_handle())
    program.add_node(PyNode(noop, foreign), label="foreign")
    with pytest.raises(UnpicklableError, match=r"foreign/0 .* argument args\[0\]\.inside cannot"):
        plan(program)
