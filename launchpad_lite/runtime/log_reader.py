"""Gives the logs of a run to whoever follows them without a way to its files, piece by piece."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from launchpad_lite.runtime.shipping import CHUNK_BYTES

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Collection, Generator, Mapping

_INTERVAL_S = 0.1
_PARTING_S = 1.0
_END_S = 10.0
_ANSWER_BYTES = 2**24
_LEAST_BYTES = 2**12


def share(logs: int) -> int:
    """Return how many bytes of each log one answer has at most, where so many have grown."""
    return max(_LEAST_BYTES, min(CHUNK_BYTES, _ANSWER_BYTES // max(1, logs)))


class LogReader:
    """Reads log files as they grow, for followers that ask again and again.

    Attributes:
      over: whether the run is over, and no more will come.
    """

    def __init__(self, logs: Mapping[str, pathlib.Path]) -> None:
        """Begin.

        Args:
          logs: the log file of each node, by name; they need not exist yet.
        """
        self._logs = dict(logs)
        self._changed = threading.Condition()
        self.over = False
        self._asking = 0
        self._answered = float("-inf")

    def read(
        self, seen: Mapping[str, int], patience_s: float, names: Collection[str] | None = None
    ) -> dict[str, bytes]:
        """Return what is new in each log, as soon as there is something; a part, if it is much.

        Args:
          seen: how many bytes of each log are known already, by the nodes' names.
          patience_s: seconds to wait for something new, unless the run is over.
          names: the nodes whose logs are wanted; None for all.

        Returns:
          By the nodes' names; empty when there was nothing for so long, or nothing will come.
        """
        wanted = self._logs if names is None else names
        sizes = {name: seen.get(name, 0) for name in wanted if name in self._logs}
        deadline = time.monotonic() + patience_s
        with self._answering():
            while True:
                over = self.over  # before: what was written until then is found
                found = self._read(sizes)
                left = deadline - time.monotonic()
                if found or over or left <= 0:
                    return found
                with self._changed:
                    self._changed.wait_for(lambda: self.over, min(left, _INTERVAL_S))

    def finish(self) -> None:
        """Take note that the run is over, and give those who follow it time to read the rest."""
        deadline = time.monotonic() + _END_S
        with self._changed:
            self.over = True
            self._changed.notify_all()
            while (left := min(deadline, self._parted()) - time.monotonic()) > 0:
                self._changed.wait(left)

    def _parted(self) -> float:
        """When who follows must have gone: until they do, one question follows the other."""
        return time.monotonic() + _END_S if self._asking else self._answered + _PARTING_S

    @contextlib.contextmanager
    def _answering(self) -> Generator[None]:
        with self._changed:
            self._asking += 1
        try:
            yield
        finally:
            with self._changed:
                self._asking -= 1
                self._answered = time.monotonic()
                self._changed.notify_all()

    def _read(self, seen: Mapping[str, int]) -> dict[str, bytes]:
        grown = [name for name, size in seen.items() if self._size(name) > size]
        most = share(len(grown))
        found: dict[str, bytes] = {}
        for name in grown:
            with contextlib.suppress(OSError), self._logs[name].open("rb") as file:
                file.seek(seen[name])
                found[name] = file.read(most)
        return found

    def _size(self, name: str) -> int:
        with contextlib.suppress(OSError):
            return self._logs[name].stat().st_size
        return 0
