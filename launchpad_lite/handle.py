"""Handles: what stands for a node in the arguments of other nodes.

Statically a handle *is* what its receiver gets: `program.add_node(CourierNode(Producer))` has the
type `Producer`. At run time it is one of the classes below, and turns into the real thing in the
worker that receives it.
"""

from __future__ import annotations

import abc
import contextlib
import contextvars
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from launchpad_lite import context, references, walk
from launchpad_lite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from launchpad_lite.address import Address
    from launchpad_lite.scope import Scope

T = TypeVar("T")
P = ParamSpec("P")

current_receiver: contextvars.ContextVar[Scope | None] = contextvars.ContextVar(
    "lp_receiver", default=None
)
"""In which handles are unpickled; see `receiving`, which is slower than to set it."""


class Dereferenceable(abc.ABC):
    """Something in a node's arguments that becomes something else in the worker."""

    @abc.abstractmethod
    def dereference(self) -> Any:
        """Return what it stands for, in the run of the calling thread."""


class Handle(Dereferenceable, Generic[T]):
    """Stands for one node's service.

    Attributes:
      address: the service's address, owned by the node; None for a handle that keeps its address
        to itself, and so is no edge of the graph.
    """

    address: Address | None = None

    @abc.abstractmethod
    def dereference(self) -> T:
        """Return a client of the service, in the run of the calling thread."""

    @property
    def served_type(self) -> type | None:
        """The class whose methods the service has, if it is known."""
        return None

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Pickle as the state; what is rebuilt depends on where, see `revive`."""
        return revive, (type(self), self.__getstate__())

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes."""
        return self.__dict__.copy()


def revive(cls: type[Handle[T]], state: Mapping[str, Any]) -> Handle[T] | T:
    """Unpickle a handle: a client inside a call, still a handle inside a node's arguments."""
    handle = cls.__new__(cls)
    vars(handle).update(state)
    scope = receiving_scope()
    if scope is None:
        return handle
    with context.entered(scope):
        return handle.dereference()


@contextlib.contextmanager
def receiving(scope: Scope | None) -> Generator[None]:
    """Unpickle handles inside this block as clients in `scope`; None leaves them as they are."""
    token = current_receiver.set(scope)
    try:
        yield
    finally:
        current_receiver.reset(token)


def receiving_scope() -> Scope | None:
    """Return the scope of the surrounding `receiving` block."""
    return current_receiver.get()


class DeferredConstruction(Dereferenceable, walk.Container):
    """An object that is made in the worker, from arguments that may hold handles."""

    def __init__(self, constructor: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Remember what to call with what.

        Raises:
          UsageError: it cannot be called.
        """
        if not callable(constructor):
            message = (
                f"lp.Deferred({constructor!r}): give a class or a function, and its arguments; "
                "the object is made in the worker."
            )
            raise UsageError(message)
        self.constructor = constructor
        self.args = args
        self.kwargs = kwargs

    def children(self) -> Mapping[str, Any]:
        """Return the arguments, for whoever looks for handles."""
        return {**{f"args[{i}]": arg for i, arg in enumerate(self.args)}, **self.kwargs}

    def dereference(self) -> Any:
        """Make the object."""
        return self.constructor(*dereference(self.args), **dereference(self.kwargs))


if TYPE_CHECKING:

    def Deferred(  # noqa: N802 - a class at run time, and the object it makes for type checkers
        constructor: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Make an object in the worker that receives it, not here."""
        ...
else:
    Deferred = DeferredConstruction


def dereference(value: T) -> T:
    """Return `value` with all that stands for something else in it replaced by the real thing."""
    return walk.replace(value, _real)


def _real(leaf: Any) -> Any:
    if isinstance(leaf, Dereferenceable):
        return leaf.dereference()
    return references.value(leaf) if references.is_reference(leaf) else leaf
