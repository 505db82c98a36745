"""A node that answers for another one, with results that it keeps for a while."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from launchpad_lite.context import get_context
from launchpad_lite.courier.cache import Cache, CachedResult
from launchpad_lite.courier.cache_key import key_of
from launchpad_lite.courier.cached import CACHED
from launchpad_lite.courier.given import list_methods
from launchpad_lite.errors import HandleError, MethodNotFound, UsageError, nearest
from launchpad_lite.frames import user_place
from launchpad_lite.nodes.courier import CourierHandle, CourierNode

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from launchpad_lite.courier.client import Client
    from launchpad_lite.courier.server import Server

T = TypeVar("T")

DEFAULT_MAX_ENTRIES = 1024


class Cacher:
    """What a cacher node runs: another node's methods, with results that are kept."""

    def __init__(
        self, handle: Any, refresh_s: float, stale_s: float, max_entries: int = DEFAULT_MAX_ENTRIES
    ) -> None:
        """Keep results of the node that a client belongs to.

        Args:
          handle: the client.
          refresh_s: see `Cache`.
          stale_s: see `Cache`.
          max_entries: see `Cache`.
        """
        self._client: Client = handle
        self._cache = Cache(refresh_s, stale_s, max_entries)
        self._methods: list[str] = []

    def set_courier_server(self, server: Server) -> None:
        """Serve the methods of the other node, once it is up."""
        self._methods = [name for name in list_methods(self._client) if name != CACHED]
        for name in self._methods:
            server.Bind(name, functools.partial(self._call, name))
        server.Bind(CACHED, self._cached)
        get_context().cleanup.callback(self._cache.close)
        server.Start()

    def _call(self, method: str, /, *args: Any, **kwargs: Any) -> Any:
        return self._cached(method, args, kwargs).value

    def _cached(
        self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> CachedResult[Any]:
        title = f"{self._client.address}.{method}"
        if method not in self._methods:
            message = f"method {method} not found on {self._client.address}"
            raise MethodNotFound(message + nearest(method, self._methods))
        try:
            key = key_of(args, kwargs)
        except TypeError as error:
            message = (
                f"{title} cannot be cached for these arguments, which must tell one call from "
                f"another: {error}. Call {self._client.address} itself."
            )
            raise TypeError(message) from None
        ask: Callable[..., Future[Any]] = getattr(self._client.futures, method)
        return self._cache.get((method, key), title, functools.partial(ask, *args, **kwargs))


class CacherNode(CourierNode[T]):
    """Serves another node's methods, with results that are kept for a while.

    For many readers of the same thing: however many ask, the other node is asked once for each
    method and its arguments.
    """

    kind: ClassVar[str] = "CacherNode"

    def __init__(
        self,
        handle: T,
        refresh_interval_ms: float,
        stale_after_ms: float,
        max_entries: int = DEFAULT_MAX_ENTRIES,
    ) -> None:
        """Make a cacher of a node.

        Args:
          handle: of the node, which offers a service.
          refresh_interval_ms: milliseconds after which a result is fetched anew, in the background,
            if it was asked for meanwhile.
          stale_after_ms: milliseconds after which a result is given no more; whoever asks waits for
            a new one.
          max_entries: how many results are kept; those that were asked for last.

        Raises:
          HandleError: `handle` is none.
          UsageError: a number is not positive, or results were stale before they are refreshed.
        """
        place = user_place()
        if not isinstance(handle, CourierHandle):
            message = (
                f"{place}: a CacherNode needs a handle of a node whose methods can be called, as "
                f"program.add_node(lp.CourierNode(...)) returns it, not {handle!r}."
            )
            raise HandleError(message)
        for name, value, kinds in (
            ("refresh_interval_ms", refresh_interval_ms, (int, float)),
            ("stale_after_ms", stale_after_ms, (int, float)),
            ("max_entries", max_entries, (int,)),
        ):
            _require_positive(place, name, value, kinds)
        if stale_after_ms < refresh_interval_ms:
            message = (
                f"{place}: CacherNode: stale_after_ms={stale_after_ms} is less than "
                f"refresh_interval_ms={refresh_interval_ms}: results would be stale before they "
                "are refreshed."
            )
            raise UsageError(message)
        self._source: CourierHandle[Any] = handle
        super().__init__(
            cast("Callable[..., T]", Cacher),
            handle,
            refresh_interval_ms / 1000,
            stale_after_ms / 1000,
            max_entries,
            courier_kwargs=None,
        )

    @property
    def title(self) -> str:
        """Whose results it keeps."""
        return f"cache of {self._source.title}"

    @property
    def served_type(self) -> type | None:
        """The class whose methods can be called: that of the other node."""
        return self._source.served_type


def _require_positive(place: str, name: str, value: object, kinds: tuple[type, ...]) -> None:
    if type(value) not in kinds or not 0 < cast("float", value) < math.inf:
        what = "integer" if kinds == (int,) else "number"
        message = f"{place}: CacherNode: {name} must be a positive {what}, not {value!r}."
        raise UsageError(message)
