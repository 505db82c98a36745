"""What users give where a client, or a client's method, is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launchpad_lite.courier.client import Client, RemoteMethod
from launchpad_lite.errors import UsageError
from launchpad_lite.handle import Handle

if TYPE_CHECKING:
    from collections.abc import Callable

_IN_ITS_NODE = "Handles become clients in the node that receives them: do it there."


def require_client(client: object, where: str) -> Client:
    """Return a client.

    Args:
      client: what was given.
      where: the function that needs it, for messages.

    Raises:
      UsageError: it is none.
    """
    if isinstance(client, Client):
        return client
    message = f"{where} needs a client, not {client!r}. {how_to_get_one(client)}"
    raise UsageError(message)


def how_to_get_one(given: object) -> str:
    """Return what to do for whoever gave something else than a client, or a client's method."""
    if isinstance(given, Handle):
        return _IN_ITS_NODE
    if isinstance(given, str):
        return "Make one with courier.Client(address)."
    return "Give a client that a node has in place of a handle, or a courier.Client."


def remote_method(method: Callable[..., Any], used: str) -> RemoteMethod:
    """Return the client's method that a user means.

    Args:
      method: `client.method`; a client, for its `__call__`.
      used: the function that takes it, for the error.

    Raises:
      TypeError: it is not a client's.
    """
    if isinstance(method, Client):
        return RemoteMethod(method, "__call__")
    if not isinstance(method, RemoteMethod):
        given: object = method
        advice = f"Give it uncalled, and its arguments after it: {used}(client.work, 3)."
        if isinstance(given, Handle):
            advice = _IN_ITS_NODE
        message = f"{used} needs a client's method, such as client.work, not {method!r}. {advice}"
        raise TypeError(message)
    return method


def list_methods(client: Client) -> list[str]:
    """Ask a client's server for the names of its methods.

    Raises:
      CallError: the server cannot be reached.
      UsageError: it is no client.
    """
    reach = require_client(client, "courier.list_methods")._reach  # noqa: SLF001 - one of ours
    return reach(lambda channel, deadline: sorted(channel.refresh(deadline.left()).methods))
