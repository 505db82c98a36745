"""A replay server that is used alone: tables on a port."""

from __future__ import annotations

import contextlib
import functools
import logging
import weakref
from typing import TYPE_CHECKING, Self

from launchpad_lite.courier import finalizers
from launchpad_lite.courier.server import Server as CourierServer
from launchpad_lite.replay.service.client import Client
from launchpad_lite.replay.service.methods import ReplayService

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launchpad_lite.credentials import Credentials
    from launchpad_lite.replay.core.checkpoint.checkpointers import CheckpointerBase
    from launchpad_lite.replay.core.table import Table

_log = logging.getLogger(__name__)

_STOP_GRACE_S = 1.0  # for calls that run; those that wait end before


class Server:
    """Serves tables to clients in other processes of this host and user, or beyond.

    It serves until `stop`, the end of a `with` block, or the end of its last reference.

    Example:
      ```
      from launchpad_lite import replay as reverb

      server = reverb.Server([
          reverb.Table(
              name="replay",
              sampler=reverb.selectors.Prioritized(0.8),
              remover=reverb.selectors.Fifo(),
              max_size=1_000_000,
              rate_limiter=reverb.rate_limiters.MinSize(100),
          )
      ])
      client = reverb.Client(f"localhost:{server.port}")
      ```
    """

    def __init__(
        self,
        tables: Sequence[Table],
        port: int | None = None,
        checkpointer: CheckpointerBase | None = None,
        *,
        host: str | None = None,
        credentials: Credentials | None = None,
        insecure: bool = False,
    ) -> None:
        """Load the latest checkpoint, if there is one, and begin to serve.

        Args:
          tables: what it serves; the names must differ.
          port: its TCP port; None for any that is free.
          checkpointer: where `checkpoint` writes, and where the tables' content comes from; None
            for `checkpointers.default_checkpointer()`.
          host: the address of this host to listen on, `0.0.0.0` for all; None for the loopback
            interface.
          credentials: what clients must have too, for calls from other hosts.
          insecure: take calls from whoever reaches the port, not encrypted.

        Raises:
          UsageError: an argument is wrong.
          CheckpointError: the checkpoint is damaged, or does not fit the tables.
          OSError: the port is taken.
        """
        self._service = ReplayService(tables, checkpointer)
        with contextlib.ExitStack() as undo:
            undo.callback(self._service.close, "it could not begin")
            self._service.load()
            self._server = CourierServer(
                None, port, host=host, credentials=credentials, insecure=insecure
            )
            self._service.bind_to(self._server)
            self._server.Start()
            undo.pop_all()
        self._credentials, self._insecure = credentials, insecure
        stop = functools.partial(_stop, self._service, self._server)
        self._finalizer = weakref.finalize(self, finalizers.later, stop)
        self._finalizer.atexit = False  # the Courier server then stops by itself

    @property
    def port(self) -> int:
        """The TCP port that it listens on."""
        return self._server.port

    @property
    def address(self) -> str:
        """What `Client` takes: `localhost:port`, or `host:port` if it was given a host."""
        return self._server.address

    def localhost_client(self) -> Client:
        """Return a client of this server."""
        return Client(self._server.address, credentials=self._credentials, insecure=self._insecure)

    def checkpoint(self) -> str:
        """Write a checkpoint while serving goes on, and return its path.

        Raises:
          OSError: it cannot be written.
        """
        return self._service.checkpoint()

    def stop(self) -> None:
        """Serve no longer; who waits fails with `Unavailable`. Once stopped, it does nothing."""
        if self._finalizer.detach() is not None:
            _stop(self._service, self._server)

    def wait(self) -> None:
        """Wait until the server is stopped."""
        self._server.Join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        tables = ", ".join(map(repr, self._service.tables.values()))
        return f"Server(tables=[{tables}], port={self.port})"


def _stop(service: ReplayService, server: CourierServer) -> None:
    service.close("it was told to")
    with contextlib.suppress(RuntimeError):  # the interpreter ends, and starts no threads
        server.Stop(_STOP_GRACE_S)
