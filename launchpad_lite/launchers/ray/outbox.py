"""News of a run that wait for the launching process to ask for them."""

from __future__ import annotations

import pickle
import threading
from typing import TYPE_CHECKING

from launchpad_lite.runtime.status import RunStatus

if TYPE_CHECKING:
    from launchpad_lite.launchers.ray.messages import News


class Outbox:
    """Pickled news, numbered from 0; those that were heard are dropped. Thread-safe."""

    def __init__(self) -> None:
        """Begin without any."""
        self._changed = threading.Condition()
        self._waiting: list[bytes] = []
        self._first = 0  # the number of the first that waits
        self._asked = 0  # the number of the first that nobody has asked for
        self._status = False  # whether the last one is a status
        self._closed = False

    def put(self, news: News) -> None:
        """Add news; of statuses that nobody has asked for, the last is enough."""
        data = pickle.dumps(news)
        status = isinstance(news, RunStatus)
        with self._changed:
            if self._closed:
                return
            if status and self._status and self._first + len(self._waiting) > self._asked:
                self._waiting.pop()
            self._status = status
            self._waiting.append(data)
            self._changed.notify_all()

    def take(self, heard: int, timeout: float) -> list[bytes]:
        """Return what is new, or nothing after some seconds.

        Args:
          heard: how many news have been heard.
          timeout: for how long to wait.
        """
        with self._changed:
            del self._waiting[: max(0, heard - self._first)]
            self._first = max(self._first, heard)
            self._changed.wait_for(lambda: self._waiting, timeout)
            self._asked = self._first + len(self._waiting)
            return list(self._waiting)

    def close(self) -> None:
        """Take no more news: nobody will ask for them."""
        with self._changed:
            self._closed = True
