"""A queue of events that its reader can leave from another thread."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Subscription:
    """Events for one subscriber, in order; an iterator that waits."""

    def __init__(self, on_close: Callable[[Subscription], object]) -> None:
        """Make an empty queue; `on_close` is called once."""
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._on_close = on_close
        self._closed = False

    def put(self, event: object) -> None:
        """Add an event; never waits."""
        self._queue.put((event,))

    def __iter__(self) -> Subscription:
        """Return itself."""
        return self

    def __next__(self) -> Any:
        """Wait for the next event; StopIteration after `close`."""
        entry = self._queue.get()
        if entry is None:
            raise StopIteration
        return entry[0]

    def end(self) -> None:
        """Let the reader have what is queued, and then end."""
        self._queue.put(None)

    def close(self) -> None:
        """End, from any thread."""
        if not self._closed:
            self._closed = True
            self._on_close(self)
            self._queue.put(None)
