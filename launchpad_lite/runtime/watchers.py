"""Who hears where a run is, each time that it changes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from launchpad_lite.runtime.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.runtime.status import RunStatus


class Watchers:
    """The watchers of one run; thread-safe."""

    def __init__(self) -> None:
        """Begin without any."""
        self._lock = threading.Lock()
        self._watchers: set[Subscription] = set()
        self._ended = False

    def watch(self, status: Callable[[], RunStatus]) -> Subscription:
        """Return the stream of a run's status: now, and whatever is told until the end.

        Args:
          status: returns it as it is now.
        """
        watcher = Subscription(self._watchers.discard)
        with self._lock:
            self._watchers.add(watcher)
            ended = self._ended
        watcher.put(status())  # after that, so that no change is missed
        if ended:
            watcher.end()
        return watcher

    def tell(self, status: RunStatus) -> None:
        """Tell all of them."""
        for watcher in self._all():
            watcher.put(status)

    def end(self) -> None:
        """Let them have what they were told, and then nothing more."""
        with self._lock:
            self._ended = True
        for watcher in self._all():
            watcher.end()

    def _all(self) -> list[Subscription]:
        with self._lock:
            return list(self._watchers)
