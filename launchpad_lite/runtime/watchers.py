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
        self._watchers: dict[Subscription, bool] = {}  # whether they have the first status
        self._ended = False

    def watch(self, status: Callable[[], RunStatus]) -> Subscription:
        """Return the stream of a run's status: now, and whatever is told until the end.

        Args:
          status: returns it as it is now; what it raises is raised.
        """
        watcher = Subscription(self._leave)
        with self._lock:
            self._watchers[watcher] = False
        try:
            watcher.put(status())  # after that, so that no change is missed
        except BaseException:
            self._leave(watcher)
            raise
        with self._lock:
            self._watchers[watcher] = True
            ended = self._ended
        if ended:
            watcher.end()
        return watcher

    def tell(self, status: RunStatus) -> None:
        """Tell all of them."""
        with self._lock:
            watchers = list(self._watchers)
        for watcher in watchers:
            watcher.put(status)

    def end(self) -> None:
        """Let them have what they were told, and then nothing more."""
        with self._lock:
            self._ended = True
            watchers = [watcher for watcher, has_first in self._watchers.items() if has_first]
        for watcher in watchers:
            watcher.end()

    def _leave(self, watcher: Subscription) -> None:
        with self._lock:
            self._watchers.pop(watcher, None)
