"""What the nodes and the actors of `ray.py` run."""

from __future__ import annotations

import importlib
import os
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

ARRAY_BYTES = 64 * 2**20
_WARM_CALLS = 20


class Server:
    """Is called."""

    def pid(self) -> int:
        """Return the process that this is in."""
        return os.getpid()

    def echo(self, value: int) -> int:
        """Return what it is given."""
        return value

    def last(self, array: Any) -> int:
        """Return the last element of an array."""
        return int(array[-1])


class Caller:
    """Calls servers again and again, and tells how fast that is."""

    def __init__(self, servers: list[Any]) -> None:
        """Remember the servers."""
        self._servers = servers
        self._array = np.zeros(ARRAY_BYTES, np.uint8)

    def _call(self, server: Any, method: str, value: Any) -> Any:
        return getattr(server, method)(value)

    def _calls(self, method: str, value: Any) -> list[Any]:
        """Call all servers at once; return the answers."""
        import launchpad_lite as lp  # the actors of Ray need it not

        calls = [lp.submit(getattr(server, method), value) for server in self._servers]
        return [call.result() for call in calls]

    def p50_us(self, seconds: float) -> float:
        """Return the median of calls to one server, one after the other, in microseconds."""
        return statistics.median(
            self._times(lambda: self._call(self._servers[0], "echo", 1), seconds)
        )

    def rate(self, seconds: float) -> float:
        """Return how many calls a second all servers answer, when all are called at once."""
        times = self._times(lambda: self._calls("echo", 1), seconds)
        return len(self._servers) * len(times) / sum(times) * 1e6

    def array_rate(self, seconds: float) -> float:
        """Return in how many MB (2^20 bytes) a second arrays get to one server."""
        times = self._times(lambda: self._call(self._servers[0], "last", self._array), seconds)
        return ARRAY_BYTES / 2**20 / statistics.median(times) * 1e6

    @staticmethod
    def _times(call: Callable[[], Any], seconds: float) -> list[float]:
        """Return how long calls take, in microseconds, of at least three."""
        for _ in range(_WARM_CALLS):
            call()
        times: list[float] = []
        end = time.perf_counter() + seconds
        while len(times) < 3 or time.perf_counter() < end:
            begin = time.perf_counter()
            call()
            times.append((time.perf_counter() - begin) * 1e6)
        return times


class RayCaller(Caller):
    """Calls actors of Ray."""

    def _call(self, server: Any, method: str, value: Any) -> Any:
        return self._ray.get(getattr(server, method).remote(value))

    def _calls(self, method: str, value: Any) -> list[Any]:
        answers = [getattr(server, method).remote(value) for server in self._servers]
        found: list[Any] = self._ray.get(answers)
        return found

    @property
    def _ray(self) -> Any:
        return importlib.import_module("ray")
