"""What every kind of node is."""

from __future__ import annotations

import abc
import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypedDict, TypeVar, cast

from launchpad_lite import walk
from launchpad_lite.errors import UsageError, nearest
from launchpad_lite.frames import user_place
from launchpad_lite.handle import Handle
from launchpad_lite.python_process import clean_env
from launchpad_lite.validation import within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Self, Unpack

    from launchpad_lite.address import Address
    from launchpad_lite.context import Context

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """Something about a node that is wrong, or that its author should know.

    Attributes:
      text: what it is and what to do about it, without the node's name.
      fatal: whether the program cannot be launched like this.
    """

    text: str
    fatal: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class NodeOptions:
    """What `.options(...)` sets on every kind of node.

    Attributes:
      env: environment variables of the node's process. Those that are read when a process starts
        (`PYTHON*`, `LD_*`, `*_NUM_THREADS`, `MALLOC_*`) make it a cold start.
    """

    env: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
          UsageError: a value is out of its range.
        """
        object.__setattr__(self, "env", clean_env(self.env))


class NodeSettings(TypedDict, total=False):
    """The fields of `NodeOptions`, for type checkers."""

    env: Mapping[str, str | float]


class Node(abc.ABC, Generic[T_co]):
    """One service or task of a program; `T_co` is what others get for its handle.

    A launcher knows no more of a node than this class says.

    Attributes:
      kind: the word for this kind of node in plans and messages.
      members_are_workers: its members run in workers of their own, each; else all in its worker.
      place: where in the user's code the node was made, `file:line`.
    """

    kind: ClassVar[str]
    members_are_workers: ClassVar[bool] = False
    options_type: ClassVar[type[NodeOptions]] = NodeOptions

    def __init__(self) -> None:
        """Note where the node was made."""
        self.place = user_place()
        self._addresses: list[Address] = []
        self._options = self.options_type()

    def allocate_address(self, address: Address) -> None:
        """Make this node the owner of `address`: it will serve it."""
        self._addresses.append(address)

    @property
    def addresses(self) -> list[Address]:
        """The addresses this node serves."""
        return list(self._addresses)

    @property
    def members(self) -> Sequence[Node[Any]]:
        """The nodes that are part of this one; empty but for colocations."""
        return ()

    @property
    def max_restarts(self) -> int:
        """How often its workers, all together, are started again after a failure."""
        return 0

    @property
    def handles(self) -> list[Handle[Any]]:
        """The handles in the node's arguments: whom it calls."""
        found = walk.leaves(walk_arguments(self))
        return [cast("Handle[Any]", leaf) for _, leaf in found if isinstance(leaf, Handle)]

    @property
    def input_handles(self) -> list[Handle[Any]]:
        """The original's name of `handles`."""
        return self.handles

    def _track_handle(self, handle: T) -> T:
        """Return the handle; the original's kinds of nodes note here what they hand out."""
        return handle

    def options(self, **options: Unpack[NodeSettings]) -> Self:
        """Set options of the node, and return it.

        Raises:
          UsageError: there is no such option, or its value is out of range.
        """
        return self._set_options(options)

    def _set_options(self, options: Mapping[str, Any]) -> Self:
        known = {field.name for field in dataclasses.fields(self.options_type)}
        for name in options:
            if name not in known:
                message = f"{self.place}: {self.kind} has no option {name!r}{nearest(name, known)}"
                raise UsageError(message)
        with within(f"{self.place}: {self.kind}"):
            self._options = dataclasses.replace(self._options, **options)
        return self

    @property
    def env(self) -> Mapping[str, str]:
        """Environment variables of the node's process."""
        return self._options.env

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """What the node runs, for people: a class's or a function's name."""

    @property
    @abc.abstractmethod
    def has_run(self) -> bool:
        """Whether the node does something of its own, so that it ends by itself."""

    @abc.abstractmethod
    def arguments(self) -> dict[str, Any]:
        """Return what the node carries to its worker, by the name shown in messages."""

    @abc.abstractmethod
    def create_handle(self) -> T_co:
        """Return a handle of the node's service."""

    @abc.abstractmethod
    def run_in(self, context: Context) -> None:
        """Run the node to its end, in its worker."""

    def check(self) -> Iterator[Problem]:
        """Yield what is wrong with the node itself; called when a plan is made."""
        yield from ()

    def lint(self) -> Iterator[Problem]:
        """Yield what its author should know of the node; called when a plan is made."""
        yield from ()


def inside(name: str, node: Node[Any]) -> Iterator[tuple[str, Node[Any]]]:
    """Yield the members of a node and theirs, with their names: `name/index`."""
    for index, member in enumerate(node.members):
        yield f"{name}/{index}", member
        yield from inside(f"{name}/{index}", member)


def walk_arguments(node: Node[Any]) -> walk.Container:
    """Return a node's arguments as something to walk through."""
    return _Arguments(node.arguments)


class _Arguments(walk.Container):
    def __init__(self, arguments: Callable[[], dict[str, Any]]) -> None:
        self._arguments = arguments

    def children(self) -> Mapping[str, Any]:
        return self._arguments()
