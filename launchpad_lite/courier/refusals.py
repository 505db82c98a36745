"""What a server's log tells of peers that were not let in."""

from __future__ import annotations

import logging
import threading

MAX_PEERS = 100
"""So many are told of; a stranger with many addresses must not fill the log, nor the memory."""

_log = logging.getLogger(__name__)


class Refusals:
    """Tells of each refused peer once, by its address."""

    def __init__(self, server: str) -> None:
        """Begin with none, for the server of a name."""
        self._server = server
        self._lock = threading.Lock()
        self._told: set[str] = set()

    def tell(self, peer: str, why: object) -> None:
        """Log that a peer was refused, unless one from there was before."""
        with self._lock:
            if peer in self._told or len(self._told) >= MAX_PEERS:
                return
            self._told.add(peer)
            last = len(self._told) == MAX_PEERS
        more = "; no others will be told" if last else ""
        _log.warning("%s refused a connection from %s: %s%s", self._server, peer, why, more)
