"""Who calls a server, as they say themselves, and what is counted of each one's calls."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from launchpad_lite.metrics import Meter

if TYPE_CHECKING:
    from launchpad_lite.metrics import CallStats

MAX_CALLERS = 1000
"""Callers of one server that are counted apart."""

OTHERS = "others"
"""What all others are counted as."""

_MAX_NAME = 200  # characters


class Caller(NamedTuple):
    """Who calls.

    Attributes:
      name: what it says of itself, for people: nobody has checked it. Empty for nothing.
      meter: counts its calls, maybe with those of others.
    """

    name: str
    meter: Meter


class Callers:
    """Those of one server; what is counted stays when they are gone."""

    def __init__(self) -> None:
        """Begin without any."""
        self._meters: dict[str, Meter] = {}
        self._lock = threading.Lock()

    def of(self, name: str) -> Caller:
        """Return the one of a name, which a connection keeps for all of its calls."""
        name = name[:_MAX_NAME]
        with self._lock:
            known = name in self._meters or len(self._meters) < MAX_CALLERS
            meter = self._meters.setdefault(name if known else OTHERS, Meter())
        return Caller(name, meter)

    def stats(self) -> list[tuple[str, str, CallStats]]:
        """Return the method, the caller and the counters of all that were called."""
        with self._lock:
            meters = list(self._meters.items())
        return [(method, name, one) for name, meter in meters for method, one in [*meter.items()]]
