"""Passes on what is written to logs on a machine that shares no file system with the controller."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING

from launchpad_lite.errors import CallError, UsageError

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterable

_log = logging.getLogger(__name__)

INTERVAL_S = 0.5
CHUNK_BYTES = 2**20
"""The most that is passed on in one call."""


class LogShipper:
    """Watches the logs of one agent's workers, in a thread, and passes on what they grow by."""

    def __init__(
        self,
        logs: Iterable[pathlib.Path],
        take: Callable[[str, bytes], object],
        interval_s: float,
    ) -> None:
        """Begin with what is there already, which was passed on by whoever was here before.

        Args:
          logs: the logs; they need not exist yet.
          take: takes a log's name and what has been added to it.
          interval_s: seconds between two looks.
        """
        self._take = take
        self._interval_s = interval_s
        self._lock = threading.Lock()  # each byte goes once, in order
        self._passed_on = {path: path.stat().st_size if path.exists() else 0 for path in logs}
        self._complained = False

        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lp-ship", daemon=True)

    def start(self) -> None:
        """Watch."""
        self._thread.start()

    def stop(self) -> None:
        """Pass on what is left, and watch no more."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        ending = False
        while not ending:
            ending = self._ending.wait(self._interval_s)
            with contextlib.suppress(CallError):  # that the controller is gone, others notice
                self.ship()

    def ship(self) -> None:
        """Pass on all there is, as far as files can be read here and written there.

        Raises:
          CallError: the controller is gone.
        """
        with self._lock:
            for path in self._passed_on:
                try:
                    self._ship(path)
                except FileNotFoundError:  # it has not begun
                    continue
                except OSError as error:  # here, or there: that disk is full
                    if not self._complained:
                        self._complained = True
                        _log.warning("what %s holds is not passed on: %s", path, error)

    def _ship(self, path: pathlib.Path) -> None:
        with path.open("rb") as file:
            file.seek(self._passed_on[path])
            while data := file.read(CHUNK_BYTES):
                self._passed_on[path] = file.tell()  # before: what is lost must not come twice
                self._take(path.name, data)


class LogTaker:
    """The controller's side: adds what comes to the logs of the run directory."""

    def __init__(self, logs: Iterable[pathlib.Path]) -> None:
        """Name the logs that there may be."""
        self._logs = {path.name: path for path in logs}
        self._lock = threading.Lock()

    def take_log(self, name: str, data: bytes) -> None:
        """Add to a log.

        Raises:
          UsageError: there is no such log.
        """
        path = self._logs.get(name)
        if path is None:
            message = f"no node of the run has a log {name!r}"
            raise UsageError(message)
        with self._lock, path.open("ab") as file:
            file.write(data)
