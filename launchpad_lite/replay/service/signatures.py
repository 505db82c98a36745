"""The signatures of a server's tables, asked for once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launchpad_lite.errors import UsageError, nearest
from launchpad_lite.replay.core.spec import Signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launchpad_lite.courier.client import Client
    from launchpad_lite.replay.core.info import TableInfo


class Signatures:
    """Remembers what a server says of its tables."""

    def __init__(self, courier: Client) -> None:
        """Ask later, when it is needed."""
        self._courier = courier
        self._known: dict[str, Signature | None] = {}

    def of(self, table: str) -> Signature | None:
        """Return a table's signature, or None if it has none.

        Raises:
          UsageError: there is no such table.
        """
        if table not in self._known:
            infos = self._courier.server_info()
            for name, info in infos.items():
                self._known[name] = None if info.signature is None else Signature(info.signature)
            info_of(table, infos)
        return self._known[table]


def info_of(table: str, infos: Mapping[str, TableInfo]) -> TableInfo:
    """Return what a server has told of one table.

    Raises:
      UsageError: there is no such table.
    """
    if table not in infos:
        raise UsageError(f"there is no table {table!r}{nearest(table, infos)}")
    return infos[table]
