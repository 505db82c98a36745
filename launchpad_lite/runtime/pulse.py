"""Which of several peers have fallen silent: those that say nothing for some beats in a row."""

from __future__ import annotations

import threading

BEAT_S = 2.0
"""Seconds between two words of a peer that says that it is there."""

MISSES = 5
"""Beats in a row without a word, after which a peer is lost.

A host that lost power says so to nobody, and TCP gives it up after a minute. So it is missed here
after 10 to 12 s: a stall of a busy host or network is shorter, and a call that waits for an answer
from there fails later (`tcp.LOST_S`), so that a run ends for its cause and not for what came of it.
"""


class Pulse:
    """Counts beats, not seconds: while this process is suspended, peers may be so too."""

    def __init__(self) -> None:
        """Begin without peers."""
        self._lock = threading.Lock()
        self._missed: dict[str, int] = {}

    def heard(self, peer: str) -> None:
        """Take a word of a peer, also its first."""
        with self._lock:
            self._missed[peer] = 0

    def beat(self) -> list[str]:
        """Count a beat; return the peers that are lost with it, and forget them."""
        with self._lock:
            for peer in self._missed:
                self._missed[peer] += 1
            lost = [peer for peer, missed in self._missed.items() if missed > MISSES]
            for peer in lost:
                del self._missed[peer]
        return lost
