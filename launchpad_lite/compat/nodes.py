"""Small functions of the original's modules of nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from launchpad_lite import payload, walk
from launchpad_lite.address import SimpleLocalAddressBuilder
from launchpad_lite.courier.server import Server
from launchpad_lite.handle import Dereferenceable, Handle
from launchpad_lite.nodes.courier import public_methods

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launchpad_lite.address import Address
    from launchpad_lite.node import Node

ClientType = TypeVar("ClientType")
HandleType = TypeVar("HandleType")


def maybe_dereference(obj: Any) -> Any:
    """Return what a handle or a deferred object stands for; anything else as it is."""
    return obj.dereference() if isinstance(obj, Dereferenceable) else obj


def extract_handles(obj: Any, handles: list[Handle[Any]], visited: set[int] | None = None) -> None:
    """Append the handles inside `obj` to a list."""
    del visited
    handles += [leaf for _, leaf in walk.leaves(obj) if isinstance(leaf, Handle)]


def check_nodes_are_serializable(label: str, nodes: Iterable[Node[Any]]) -> None:
    """Find out whether nodes can be sent to processes.

    Args:
      label: the nodes' group, for the message.
      nodes: the nodes.

    Raises:
      UnpicklableError: one cannot.
    """
    for index, node in enumerate(nodes):
        owner = f"node {label}/{index} ({node.title}, {node.place})"
        payload.dumps_named(node, node.arguments(), owner, _AnyNames())


class _AnyNames:
    def name_of(self, address: Address) -> str:
        return f"{address!r}"


def bind_addresses_local(addresses: Iterable[Address]) -> None:
    """Give addresses a free port of this machine."""
    for address in addresses:
        address.bind(SimpleLocalAddressBuilder())


def make_courier_server(instance: Any, *courier_args: Any, **courier_kwargs: Any) -> Server:
    """Return a server of an object's public methods, which is not started yet.

    Args:
      instance: the object.
      *courier_args: arguments of `courier.Server`.
      **courier_kwargs: more of them.

    Raises:
      UsageError: an argument is out of its range.
    """
    server = Server(*courier_args, **courier_kwargs)
    for name in public_methods(instance):
        server.Bind(name, getattr(instance, name))
    return server
