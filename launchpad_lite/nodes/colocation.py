"""What the two kinds of colocations share: several nodes that are added to a program as one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from launchpad_lite.errors import ProgramError
from launchpad_lite.frames import user_place
from launchpad_lite.node import Node, Problem, inside, walk_arguments
from launchpad_lite.program import require_node

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launchpad_lite.address import Address

T = TypeVar("T")

_SHOWN = 3
"""How many members a colocation's title names."""


class Colocation(Node[None]):
    """Several nodes as one.

    The members keep the handles that were made before. A colocation named `machine/0` is to its
    members what a group is to its nodes: the first is `machine/0/0`, and its `get_context()` says
    label `machine/0` and index 0.
    """

    def __init__(self, nodes: Iterable[Node[Any]] = ()) -> None:
        """Make a colocation of nodes.

        Args:
          nodes: its members; none of them is added to the program itself.

        Raises:
          ProgramError: one of them is no node.
        """
        super().__init__()
        self._members: list[Node[Any]] = []
        if not isinstance(cast("Any", nodes), Iterable):
            message = f"{self.place}: a {self.kind} takes a list of nodes, not {nodes!r}."
            raise ProgramError(message)
        for node in nodes:
            self.add_node(node)

    def add_node(self, node: Node[T]) -> T:
        """Add a member; return its handle, typed as what its receiver gets.

        Raises:
          ProgramError: it is no node, or holds this colocation.
        """
        require_node(node)
        if any(each is self for _, each in (("", node), *inside("", node))):
            message = f"{user_place()}: this {self.kind} cannot be part of itself."
            raise ProgramError(message)
        self._members.append(node)
        return node.create_handle()

    @property
    def nodes(self) -> Sequence[Node[Any]]:
        """The members, in the order they were added."""
        return tuple(self._members)

    @property
    def members(self) -> Sequence[Node[Any]]:
        """The members, in the order they were added."""
        return tuple(self._members)

    @property
    def addresses(self) -> list[Address]:
        """The addresses that the members serve."""
        return [address for member in self._members for address in member.addresses]

    def allocate_address(self, address: Address) -> NoReturn:
        """Refuse: a member serves it.

        Raises:
          ProgramError: always.
        """
        message = f"{user_place()}: give {address!r} to the node of the {self.kind} that serves it."
        raise ProgramError(message)

    @property
    def title(self) -> str:
        """What the first members run, and how many more there are."""
        shown = " + ".join(member.title for member in self._members[:_SHOWN])
        more = len(self._members) - _SHOWN
        return f"{shown} + {more} more" if more > 0 else shown or "nothing"

    @property
    def has_run(self) -> bool:
        """Whether any member does something of its own."""
        return any(member.has_run for member in self._members)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of each member."""
        return {
            f"nodes[{index}]": walk_arguments(member) for index, member in enumerate(self._members)
        }

    def create_handle(self) -> None:
        """Return None: the members have handles, the colocation offers nothing more."""

    def check(self) -> Iterator[Problem]:
        """Yield what cannot be colocated."""
        if not self._members:
            yield Problem("it has no nodes. Give it some: a list, or one by one with add_node.")
        for index, member in enumerate(self._members):
            if member.members_are_workers:
                yield Problem(
                    f"its nodes[{index}] ({member.title}, {member.place}) is a {member.kind}, "
                    "whose nodes are workers of their own. Add it to the program by itself."
                )
