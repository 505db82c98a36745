"""What can be set on a Courier node: its server, and its clients."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, TypedDict

from launchpad_lite.config import (
    DEFAULT_THREAD_POOL_SIZE,
    ClientConfig,
    ClientSettings,
    CodecName,
    ServerConfig,
    with_settings,
)
from launchpad_lite.node import NodeOptions, NodeSettings

if TYPE_CHECKING:
    import datetime as dt


@dataclasses.dataclass(frozen=True, slots=True)
class CourierOptions(NodeOptions):
    """What `.options(...)` sets on a Courier node.

    Attributes:
      port: a TCP port to listen on as well (0: any), for gRPC.
      thread_pool_size: calls that run at a time; more wait for their turn.
      codec: `data` for a node that outsiders may reach: it never unpickles, and carries values
        without code; see docs/other_languages.md.
      tracebacks: with `data`, whether callers see the tracebacks of exceptions.
      compress: whether clients compress messages, on gRPC.
      call_timeout: seconds for each call of the node's clients; None for no limit.
      wait_for_ready: whether clients wait for the node to come up.
      chunk_tensors: accepted as in the original, and not needed.
    """

    port: int | None = None
    thread_pool_size: int = DEFAULT_THREAD_POOL_SIZE
    codec: CodecName = "pickle"
    tracebacks: bool = False
    compress: bool = False
    call_timeout: float | dt.timedelta | None = None
    wait_for_ready: bool = True
    chunk_tensors: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
          UsageError: a value is out of its range.
        """
        NodeOptions.__post_init__(self)
        self.server_config(self.port)
        self.client_config()

    def server_config(self, port: int | None) -> ServerConfig:
        """Return the configuration of the node's server, which listens on a port or on none."""
        given = {name: getattr(self, name) for name in ServerSettings.__annotations__}
        return dataclasses.replace(ServerConfig(**given), port=port)

    def client_config(self) -> ClientConfig:
        """Return the configuration of the node's clients."""
        given = {name: getattr(self, name) for name in ClientSettings.__annotations__}
        return with_settings(ClientConfig(), given)


class ServerSettings(TypedDict, total=False):
    """What users can set on the server of a Courier node; see `CourierOptions`."""

    port: int | None
    thread_pool_size: int
    codec: CodecName
    tracebacks: bool


class CourierSettings(NodeSettings, ServerSettings, ClientSettings, total=False):
    """The fields of `CourierOptions`, for type checkers."""
