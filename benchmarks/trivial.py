"""What the measured processes run. Imports nothing heavy: it would count against them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


class Trivial:
    """A node with one method."""

    def pid(self) -> int:
        """Return the process that the node runs in."""
        return os.getpid()


def serve(connection: Connection) -> None:
    """Answer calls over a pipe until it says None: what a spawned process does."""
    target = Trivial()
    while connection.recv() is not None:
        connection.send(target.pid())
