"""Asks a cacher for a result together with its age."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from launchpad_lite.courier.client import RemoteMethod
from launchpad_lite.courier.given import list_methods, remote_method
from launchpad_lite.courier.method import INTERNAL
from launchpad_lite.errors import MethodNotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from launchpad_lite.courier.cache import CachedResult

P = ParamSpec("P")
R = TypeVar("R")

CACHED = f"cached{INTERNAL}"
"""The cacher's method that tells ages; no method of a user's can be called so."""


@overload
def cached(
    method: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
) -> CachedResult[R]: ...
@overload
def cached(method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> CachedResult[R]: ...
def cached(method: Callable[..., Any], *args: Any, **kwargs: Any) -> CachedResult[Any]:
    """Call a method of a cacher's client, and return the result with its age.

    Args:
      method: a client's method, `client.method`; a client, for its `__call__`.
      *args: its arguments.
      **kwargs: its keyword arguments.

    Raises:
      TypeError: `method` is not a client's.
      UsageError: it is the client of another kind of node, which keeps no results.
    """
    called = remote_method(method, "lp.cached")
    client = called.client
    ask = RemoteMethod(client, CACHED)
    try:
        result: CachedResult[Any] = ask(called.name, args, kwargs)
    except MethodNotFound:
        if CACHED in list_methods(client):
            raise
        message = f"{client!r} is no client of an lp.CacherNode, so its results have no age."
        raise UsageError(message) from None
    return result
