"""Tables of dm-reverb in a Reverb node: served by dm-reverb itself, to its own clients."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any, cast

from launchpad_lite.courier.given import list_methods

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launchpad_lite.courier.client import Client
    from launchpad_lite.courier.server import Server

_MODULE = "reverb"
_ADDRESS = "dm_reverb_address"
"""The only method of a node that serves tables of dm-reverb."""


def is_installed() -> bool:
    """Whether `import reverb` finds a module that is not this package's stand-in."""
    try:
        spec = importlib.util.find_spec(_MODULE)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None


def are_tables(made: object) -> bool:
    """Whether these are tables of dm-reverb; whoever made them has imported it."""
    theirs: Any = getattr(sys.modules.get(_MODULE), "Table", None)
    if not is_installed() or not isinstance(theirs, type) or not isinstance(made, list | tuple):
        return False
    tables = cast("Sequence[object]", made)
    return bool(tables) and all(isinstance(table, theirs) for table in tables)


class Service:
    """A server of dm-reverb's, in place of a `ReplayService`."""

    def __init__(self, tables: Sequence[Any], checkpointer: Any, host: str) -> None:
        """Serve tables on any free port.

        Args:
          tables: dm-reverb's.
          checkpointer: dm-reverb's, or None.
          host: where clients reach this host.
        """
        self._server = importlib.import_module(_MODULE).Server(
            tables=list(tables), port=None, checkpointer=checkpointer
        )
        self._address = f"{host}:{self._server.port}"

    def bind_to(self, server: Server) -> None:
        """Tell clients where the tables are served."""
        server.Bind(_ADDRESS, lambda: self._address)

    def checkpoint(self) -> str:
        """Write a checkpoint, and return its path."""
        return str(self._server.localhost_client().checkpoint())

    def hurry(self, reason: str) -> None:
        """Do nothing: its calls wait until the node ends."""

    def close(self) -> None:
        """Stop the server."""
        self._server.stop()


def client_of(client: Client) -> Any:
    """Return dm-reverb's client of a node that serves its tables, else None.

    Waits for the node, unless dm-reverb is not installed.
    """
    if not is_installed() or _ADDRESS not in list_methods(client):
        return None
    return importlib.import_module(_MODULE).Client(client.dm_reverb_address())
