"""A program: groups of nodes that hold one another's handles. Nothing runs while it is declared."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

from launchpad_lite import walk
from launchpad_lite.errors import ProgramError
from launchpad_lite.frames import user_place
from launchpad_lite.handle import Handle
from launchpad_lite.node import Node, inside, walk_arguments

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from launchpad_lite.address import Address

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Edge:
    """One node holds another's handle.

    Attributes:
      holder: the node that will call, `label/index`.
      target: the node that will be called, `label/index`.
      argument: where in the holder's arguments the handle sits.
    """

    holder: str
    target: str
    argument: str


_SEPARATORS = {"/": "it parts a label from an index", "#": "it parts a node from its services"}


def _require_name(name: object, what: str) -> str:
    if not isinstance(name, str) or not name.strip():
        message = f"{user_place()}: {what} must be a non-empty string, not {name!r}."
        raise ProgramError(message)
    odd = next((character for character in name if not character.isprintable()), None)
    if odd is not None:
        message = (
            f"{user_place()}: {what} is shown on terminals, so it cannot hold {odd!r}, as "
            f"{name!r} does."
        )
        raise ProgramError(message)
    return name


def _require_label(label: object) -> str:
    name = _require_name(label, "a label")
    for separator, use in _SEPARATORS.items():
        if separator in name:
            message = (
                f"{user_place()}: a label cannot hold {separator!r}, as {name!r} does: in names of "
                f"nodes {use}."
            )
            raise ProgramError(message)
    return name


def require_node(node: object) -> None:
    """Refuse what is no node.

    Raises:
      ProgramError: with the place in the user's code.
    """
    if not isinstance(node, Node):
        message = (
            f"{user_place()}: a program is made of nodes, and {node!r} is none. Make one of it: "
            "lp.CourierNode(constructor, *args), or lp.PyNode(function, *args)."
        )
        raise ProgramError(message)


class Program:
    """A graph of nodes, and the groups they are in."""

    def __init__(self, name: str) -> None:
        """Make an empty program.

        Args:
          name: shown in plans, run identifiers and logs.

        Raises:
          ProgramError: the name is empty, or cannot be printed on one line.
        """
        self._name = _require_name(name, "a program's name")
        self._groups: dict[str, list[Node[Any]]] = {}
        self._group: str | None = None

    @property
    def name(self) -> str:
        """The program's name."""
        return self._name

    def add_node(self, node: Node[T], label: str | None = None) -> T:
        """Add a node; return its handle, typed as what its receiver gets.

        Args:
          node: the node.
          label: its group; the same label again joins the group. Not needed inside `group`.
            Printable characters but `/` and `#`.

        Raises:
          ProgramError: there is no label, an impossible one, or another than that of the
            surrounding group.
        """
        require_node(node)
        if self._group is not None:
            if label is not None and label != self._group:
                message = f"{user_place()}: label {label!r} inside group({self._group!r})."
                raise ProgramError(message)
            label = self._group
        elif label is None:
            message = (
                f"{user_place()}: the node has no label. Give add_node(node, label=...), or add it "
                "inside `with program.group(label):`."
            )
            raise ProgramError(message)
        self._groups.setdefault(_require_label(label), []).append(node)
        return node.create_handle()

    def group(self, label: str) -> contextlib.AbstractContextManager[None]:
        """Put the nodes added inside this block into one group.

        Raises:
          ProgramError: the label is empty or impossible, or the block is inside another one.
        """
        if self._group is not None:
            message = f"{user_place()}: group({label!r}) is inside group({self._group!r})."
            raise ProgramError(message)
        return self._inside(_require_label(label))

    @contextlib.contextmanager
    def _inside(self, label: str) -> Generator[None]:
        self._group = label
        try:
            yield
        finally:
            self._group = None

    @property
    def groups(self) -> dict[str, list[Node[Any]]]:
        """The nodes by group, in the order they were added; changes to it change the program."""
        return self._groups

    def get_all_nodes(self) -> list[Node[Any]]:
        """Return every node, group by group."""
        return [node for nodes in self._groups.values() for node in nodes]

    def named_nodes(self) -> list[tuple[str, Node[Any]]]:
        """Return every node with its name, `label/index`."""
        return [
            (f"{label}/{index}", node)
            for label, nodes in self._groups.items()
            for index, node in enumerate(nodes)
        ]

    def every_node(self) -> list[tuple[str, Node[Any]]]:
        """Return every node with its name, each followed by the nodes that are in it."""
        return [
            named
            for name, node in self.named_nodes()
            for named in ((name, node), *inside(name, node))
        ]

    @property
    def edges(self) -> list[Edge]:
        """Which node holds whose handle, and in which argument."""
        nodes = [(name, node) for name, node in self.every_node() if not node.members]
        owners: dict[Address | None, str] = {
            address: name for name, node in nodes for address in node.addresses
        }
        return [
            Edge(holder=name, target=owners[handle.address], argument=path)
            for name, node in nodes
            for path, handle in handles_in(node)
            if handle.address in owners
        ]


def handles_in(node: Node[Any]) -> Iterator[tuple[str, Handle[Any]]]:
    """Yield the handles in a node's arguments, each with its path there."""
    for path, leaf in walk.leaves(walk_arguments(node)):
        if isinstance(leaf, Handle):
            yield path.removeprefix("."), leaf


def make_program(*nodes: Node[Any], name: str = "program") -> Program:
    """Make a program of nodes in groups of their own, named after what they run.

    Args:
      *nodes: the nodes.
      name: the program's name.

    Raises:
      ProgramError: one of them is no node.
    """
    program = Program(name)
    for node in nodes:
        require_node(node)
        base = node.title.rpartition(".")[2].strip("<>")
        base = node.kind if node.members or not base else base
        label, count = base, 2
        while label in program.groups:
            label, count = f"{base}_{count}", count + 1
        program.add_node(node, label=label)
    return program
