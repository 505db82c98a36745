"""Programs are data: nodes in groups, and who holds whose handle."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from typing import Any, NamedTuple

import pytest

from launchpad_lite.errors import ProgramError
from launchpad_lite.handle import Deferred
from launchpad_lite.nodes.courier import CourierHandle, CourierNode
from launchpad_lite.nodes.python import PyClassNode, PyNode
from launchpad_lite.program import Edge, Program, make_program


class Server:
    def answer(self) -> int:
        return 42


class User:
    def __init__(self, *args: object, **kwargs: object) -> None: ...

    def run(self) -> None: ...


class Pair(NamedTuple):
    left: object
    right: object


@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    server: object


def work(*args: object, **kwargs: object) -> None: ...


def lines_below(count: int) -> str:
    caller = inspect.stack()[1]
    return f"{caller.filename}:{caller.lineno + count}"


def test_a_node_gets_a_label_and_becomes_a_handle() -> None:
    program = Program("p")
    node = CourierNode(Server)
    handle = program.add_node(node, label="server")
    assert isinstance(handle, CourierHandle)
    assert handle.address in node.addresses
    assert program.name == "p"
    assert program.groups == {"server": [node]}


def test_only_services_have_handles() -> None:
    program = Program("p")
    handles: list[Any] = [
        program.add_node(PyNode(work), label="function"),
        program.add_node(PyClassNode(User), label="object"),
    ]
    assert handles == [None, None]


def test_the_same_label_again_joins_its_group() -> None:
    program = Program("p")
    nodes = [CourierNode(Server) for _ in range(4)]
    program.add_node(nodes[0], label="a")
    program.add_node(nodes[1], label="b")
    program.add_node(nodes[2], label="a")
    with program.group("b"):
        program.add_node(nodes[3])
    assert program.groups == {"a": [nodes[0], nodes[2]], "b": [nodes[1], nodes[3]]}
    assert program.get_all_nodes() == [nodes[0], nodes[2], nodes[1], nodes[3]]
    assert program.named_nodes() == [
        ("a/0", nodes[0]),
        ("a/1", nodes[2]),
        ("b/0", nodes[1]),
        ("b/1", nodes[3]),
    ]


def test_inside_a_group_no_label_is_needed_and_its_own_is_allowed() -> None:
    program = Program("p")
    with program.group("a"):
        program.add_node(CourierNode(Server))
        program.add_node(CourierNode(Server), label="a")
    assert [name for name, _ in program.named_nodes()] == ["a/0", "a/1"]


def test_groups_can_be_changed() -> None:
    program = Program("p")
    program.add_node(PyNode(work), label="a")
    more = PyNode(work)
    program.groups["a"].append(more)
    program.groups["b"] = [PyNode(work)]
    assert [name for name, _ in program.named_nodes()] == ["a/0", "a/1", "b/0"]
    assert more in program.get_all_nodes()


def test_an_error_in_a_group_closes_it() -> None:
    program = Program("p")
    with pytest.raises(ZeroDivisionError), program.group("a"):
        raise ZeroDivisionError
    with program.group("b"):
        program.add_node(PyNode(work))
    assert list(program.groups) == ["b"]


@pytest.mark.parametrize("label", ["", "  ", None, 3])
def test_a_label_that_is_none_is_refused_at_its_line(label: Any) -> None:
    program = Program("p")
    with pytest.raises(ProgramError) as empty, program.group(label):
        raise AssertionError
    assert f"a label must be a non-empty string, not {label!r}" in str(empty.value)
    assert str(empty.value).startswith(f"{__file__}:")
    with pytest.raises(ProgramError, match="a program's name must be a non-empty string, not"):
        Program(label)
    if label is not None:
        with pytest.raises(ProgramError) as error:
            program.add_node(PyNode(work), label=label)
        assert f"not {label!r}" in str(error.value)
    assert program.groups == {}


@pytest.mark.parametrize("character", ["\n", "\x1b", "\ud800", "\u2028", "\u202e", "/", "#"])
def test_a_character_that_cannot_be_in_a_label(character: str) -> None:
    program = Program("p")
    for declare in (program.group, lambda label: program.add_node(PyNode(work), label)):
        with pytest.raises(ProgramError) as error:
            declare(f"a{character}b")
        assert str(error.value).startswith(f"{__file__}:")
        assert f"cannot hold {character!r}, as {f'a{character}b'!r} does" in str(error.value)
        str(error.value).encode()  # it can be printed
    assert program.groups == {}


@pytest.mark.parametrize("character", ["\n", "\x7f", "\udfff"])
def test_a_character_that_cannot_be_in_a_programs_name(character: str) -> None:
    with pytest.raises(ProgramError, match="a program's name is shown on terminals, so it cannot"):
        Program(f"a{character}b")
    assert Program("a/b#c é").name == "a/b#c é"


def test_errors_name_the_line_in_the_users_file() -> None:
    program = Program("p")
    wrong: Any = Server
    place = lines_below(2)
    with pytest.raises(ProgramError) as no_label:
        program.add_node(PyNode(work))
    assert str(no_label.value).startswith(f"{place}: the node has no label. Give add_node(")
    with pytest.raises(ProgramError) as no_node:
        program.add_node(wrong, label="a")
    assert "a program is made of nodes, and <class" in str(no_node.value)
    assert "lp.CourierNode(constructor, *args)" in str(no_node.value)
    with pytest.raises(ProgramError) as no_node:
        make_program(PyNode(work), wrong)
    assert str(no_node.value).startswith(f"{__file__}:")


def test_groups_do_not_nest() -> None:
    program = Program("p")
    with program.group("a"):
        with pytest.raises(ProgramError) as nested, program.group("b"):
            raise AssertionError
        with pytest.raises(ProgramError) as other:
            program.add_node(PyNode(work), label="b")
        program.add_node(PyNode(work))
    assert str(nested.value).startswith(f"{__file__}:")
    assert "group('b') is inside group('a')" in str(nested.value)
    assert "label 'b' inside group('a')" in str(other.value)
    assert list(program.groups) == ["a"]


def test_edges_say_who_holds_whose_handle_and_where() -> None:
    program = Program("p")
    with program.group("server"):
        a, b, c = (program.add_node(CourierNode(Server)) for _ in range(3))
    program.add_node(CourierNode(User, a, [0, {"k": b}]), label="user")
    program.add_node(PyClassNode(User, Pair(0, a), config=Config((b, c))), label="other")
    program.add_node(PyNode(work, Deferred(User, 0, server=c)), label="function")
    program.add_node(PyNode(functools.partial(work, a), partial=functools.partial(work, x=b)), "p")
    assert program.edges == [
        Edge(holder="user/0", target="server/0", argument="args[0]"),
        Edge(holder="user/0", target="server/1", argument="args[1][1]['k']"),
        Edge(holder="other/0", target="server/0", argument="args[0].right"),
        Edge(holder="other/0", target="server/1", argument="config.server[0]"),
        Edge(holder="other/0", target="server/2", argument="config.server[1]"),
        Edge(holder="function/0", target="server/2", argument="args[0].server"),
        Edge(holder="p/0", target="server/1", argument="partial.x"),
        Edge(holder="p/0", target="server/0", argument="<function>.args[0]"),
    ]


def test_edges_name_parameters_and_follow_configure() -> None:
    class Named:
        def __init__(self, first: object, second: object = None) -> None: ...

    program = Program("p")
    node = CourierNode.deferred(Named)
    handle = program.add_node(node, label="named")
    assert program.edges == []
    server = program.add_node(CourierNode(Server), label="server")
    node.configure(server, second=[handle])
    assert program.edges == [
        Edge(holder="named/0", target="server/0", argument="first"),
        Edge(holder="named/0", target="named/0", argument="second[0]"),
    ]
    assert node.handles == [server, handle]


def test_handles_of_other_programs_make_no_edge() -> None:
    elsewhere = Program("elsewhere").add_node(CourierNode(Server), label="server")
    program = Program("p")
    program.add_node(PyNode(work, elsewhere), label="a")
    assert program.edges == []


def test_make_program_labels_nodes_after_what_they_run() -> None:
    class Local:
        pass

    program = make_program(
        CourierNode(Server),
        PyNode(work),
        CourierNode(Server),
        PyNode(lambda: None),
        CourierNode(Local),
        CourierNode(functools.partial(Server)),
        PyNode(functools.partial(functools.partial(work, 1), 2)),
        PyClassNode(User),
        PyNode(print, "hello"),
    )
    assert program.name == "program"
    assert [name for name, _ in program.named_nodes()] == [
        "Server/0",
        "work/0",
        "Server_2/0",
        "lambda/0",
        "Local/0",
        "Server_3/0",
        "work_2/0",
        "User/0",
        "print/0",
    ]
    assert make_program(name="mine").name == "mine"


def test_a_program_can_be_declared_without_anything_being_made() -> None:
    made: list[object] = []

    class Noisy:
        def __init__(self) -> None:
            made.append(self)

    program = Program("p")
    noisy = program.add_node(CourierNode(Noisy), label="a")
    program.add_node(PyClassNode(User, noisy, Deferred(Noisy)), label="b")
    assert program.edges
    assert made == []
