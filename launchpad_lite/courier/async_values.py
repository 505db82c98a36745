"""What an async generator yields, for a thread."""

from __future__ import annotations

import asyncio
import queue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from launchpad_lite.courier.async_methods import AsyncMethods
    from launchpad_lite.courier.running_call import RunningCall

AHEAD = 16
"""How many values the generator may be ahead of the thread."""


class AsyncValues:
    """An iterator over an async generator, which runs in one task of a server's event loop."""

    def __init__(
        self, methods: AsyncMethods, call: RunningCall, values: AsyncIterator[object]
    ) -> None:
        """Begin a task; it is cancelled with the call."""
        self._queue: queue.SimpleQueue[tuple[object] | None] = queue.SimpleQueue()
        self._methods = methods
        self._room = asyncio.Semaphore(AHEAD)  # the loop's, as is whoever waits for it
        self._task = methods.submit(call, self._pump, (values,), {})
        self._task.add_done_callback(lambda _: self._queue.put(None))

    async def _pump(self, values: AsyncIterator[object]) -> None:
        try:
            async for value in values:
                self._queue.put((value,))
                await self._room.acquire()
        finally:
            close = getattr(values, "aclose", None)
            if close is not None:
                await close()

    def __iter__(self) -> AsyncValues:
        """Return itself."""
        return self

    def __next__(self) -> object:
        """Wait for the next value."""
        entry = self._queue.get()
        if entry is None:
            self._queue.put(None)  # the end stays the end
            self._task.result()
            raise StopIteration
        self._methods.soon(self._room.release)
        return entry[0]
