"""What can be set on a Courier node: its server, and its clients."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, TypedDict, cast

from launchpad_lite import validation
from launchpad_lite.config import (
    DEFAULT_MAX_IN_FLIGHT,
    DEFAULT_MAX_STREAMS,
    DEFAULT_MAX_WAITING_CALLS,
    DEFAULT_THREAD_POOL_SIZE,
    ClientConfig,
    ClientSettings,
    CodecName,
    ServerConfig,
    WhenFull,
    with_settings,
)
from launchpad_lite.errors import nearest
from launchpad_lite.node import NodeOptions, NodeSettings

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator

    from launchpad_lite.courier.server import Server

_LIMIT = validation.integer(1)


@dataclasses.dataclass(frozen=True, slots=True)
class CourierOptions(NodeOptions):
    """What `.options(...)` sets on a Courier node.

    Attributes:
      port: a TCP port to listen on as well (0: any), for gRPC.
      thread_pool_size: calls that run at a time; more wait for their turn.
      priority_methods: names of methods whose calls never wait for calls of other methods; they
        have threads of their own, as many as the others.
      method_limits: calls of a method that run at a time, by its name; more wait, and keep no
        calls of other methods waiting.
      max_waiting_calls: calls that may wait for their turn.
      when_full: what becomes of more: "block" leaves them with their clients until there is room,
        "fail" answers them with `ResourceExhausted`.
      max_streams: streams that are open at a time, each with a thread.
      codec: `data` for a node that outsiders may reach: neither it nor its clients ever unpickle,
        and only values without code travel; see docs/other_languages.md.
      tracebacks: with `data`, whether callers see the tracebacks of exceptions.
      compress: whether clients compress messages, on gRPC.
      call_timeout: seconds for each call of the node's clients; None for no limit.
      wait_for_ready: whether clients wait for the node to come up.
      chunk_tensors: accepted as in the original, and not needed.
      busy_poll_us: microseconds for which the node and its clients look for calls and replies again
        and again before they sleep; 0 for the run's own. See `config.ServerConfig`.
      max_in_flight: calls for futures that one process may have under way at the node.
      when_in_flight_full: what becomes of one more: "block" waits for the end of another, "fail"
        fails with `ResourceExhausted`.
    """

    port: int | None = None
    thread_pool_size: int = DEFAULT_THREAD_POOL_SIZE
    priority_methods: Collection[str] = ()
    method_limits: Mapping[str, int] = dataclasses.field(default_factory=dict[str, int])
    max_waiting_calls: int = DEFAULT_MAX_WAITING_CALLS
    when_full: WhenFull = "block"
    max_streams: int = DEFAULT_MAX_STREAMS
    codec: CodecName = "pickle"
    tracebacks: bool = False
    compress: bool = False
    call_timeout: float | dt.timedelta | None = None
    wait_for_ready: bool = True
    chunk_tensors: bool = False
    busy_poll_us: int = 0
    max_in_flight: int = DEFAULT_MAX_IN_FLIGHT
    when_in_flight_full: WhenFull = "block"

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
          UsageError: a value is out of its range.
        """
        NodeOptions.__post_init__(self)
        names = self.priority_methods
        if isinstance(names, str):
            validation.refuse("priority_methods", names, f"the names in a tuple, ({names!r},)")
        listed = isinstance(cast("Any", names), Collection)
        if not listed or not all(isinstance(cast("Any", each), str) for each in names):
            validation.refuse("priority_methods", names, "names of methods, in a tuple")
        limits = cast("Any", self.method_limits)
        if not isinstance(limits, Mapping):
            validation.refuse("method_limits", limits, "a number for each name of a method")
        for name, limit in self.method_limits.items():
            validation.text("method_limits: the name", name)
            _LIMIT(f"method_limits[{name!r}]", limit)
        self.server_config(self.port)
        self.client_config()

    def server_config(self, port: int | None) -> ServerConfig:
        """Return the configuration of the node's server, which listens on a port or on none."""
        given = {name: getattr(self, name) for name in ServerSettings.__annotations__}
        for name in ("priority_methods", "method_limits"):  # the methods', see `bind`
            del given[name]
        return dataclasses.replace(ServerConfig(**given), port=port)

    def bind(self, server: Server, name: str, function: Callable[..., Any]) -> None:
        """Serve a method with its priority and limit."""
        priority = name in self.priority_methods
        server.Bind(name, function, priority=priority, limit=self.method_limits.get(name))

    def unknown_methods(self, known: Collection[str]) -> Iterator[str]:
        """Yield what is wrong with the names of methods, when these are the methods."""
        for option in ("priority_methods", "method_limits"):
            for name in getattr(self, option):
                if name not in known:
                    yield f"{option}: there is no method {name!r}{nearest(name, known)}"

    def client_config(self) -> ClientConfig:
        """Return the configuration of the node's clients."""
        given = {name: getattr(self, name) for name in ClientSettings.__annotations__}
        return with_settings(ClientConfig(), given)


class ServerSettings(TypedDict, total=False):
    """What users can set on the server of a Courier node; see `CourierOptions`."""

    port: int | None
    thread_pool_size: int
    priority_methods: Collection[str]
    method_limits: Mapping[str, int]
    max_waiting_calls: int
    when_full: WhenFull
    max_streams: int
    codec: CodecName
    tracebacks: bool
    busy_poll_us: int


class CourierSettings(NodeSettings, ServerSettings, ClientSettings, total=False):
    """The fields of `CourierOptions`, for type checkers."""
