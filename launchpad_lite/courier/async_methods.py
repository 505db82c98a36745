"""Where a server's `async def` methods run: one event loop, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from launchpad_lite import context as node_context
from launchpad_lite.courier import running_call, threads
from launchpad_lite.courier.deadlines import deadlines
from launchpad_lite.errors import ResourceExhausted, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from launchpad_lite.context import Context
    from launchpad_lite.courier.running_call import RunningCall

R = TypeVar("R")

BLOCKED_S = 1.0
"""Seconds after which a method that keeps the loop from everything else is named in the log."""
LAST_S = 1.0
"""Seconds that tasks have to end after they were cancelled."""

_log = logging.getLogger(__name__)


class AsyncMethods:
    """Runs coroutines for calls; the loop begins with the first one."""

    def __init__(self, name: str, context: Context | None) -> None:
        """Make it without a thread.

        Args:
          name: of the server.
          context: the node that the coroutines run in.
        """
        self._name = name
        self._context = context
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._watched = False
        self._asked = False  # the loop for a sign of life
        self._named: set[str] = set()

    def submit(
        self,
        call: RunningCall,
        function: Callable[..., Coroutine[Any, Any, R]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Future[R]:
        """Run `function(*args, **kwargs)` in a task, which is cancelled with the call.

        Raises:
          Unavailable: the server has stopped.
          ResourceExhausted: there can be no thread for the loop.
        """
        future: Future[R] = Future()

        async def run() -> None:
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:  # SystemExit and its like would end the loop
                future.set_exception(error)
            else:
                future.set_result(result)

        def start() -> None:
            node_context.adopt(self._context)
            running_call.current.set(call)
            task = asyncio.get_running_loop().create_task(run(), name=call.title)
            self._tasks.add(task)
            task.add_done_callback(ended)
            call.on_cancel(lambda: self.soon(task.cancel))

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not future.done():  # it was cancelled before it began
                future.set_exception(asyncio.CancelledError())

        with self._lock:
            if self._closed:
                message = f"the server {self._name} has stopped"
                raise Unavailable(message, maybe_executed=False)
            if self._loop is None:
                self._loop = self._begin()
            self._loop.call_soon_threadsafe(start, context=contextvars.Context())
            watched, self._watched = self._watched, True
        if not watched:
            with contextlib.suppress(ResourceExhausted):  # then nobody looks, once
                deadlines.call_later(BLOCKED_S, self._look)
        return future

    def _begin(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        try:
            self._thread = threads.start(f"lp-async {self._name}", self._run, loop)
        except ResourceExhausted:
            loop.close()
            raise
        return loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    def soon(self, function: Callable[[], object]) -> None:
        """Call a quick function in the loop, unless it has ended."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function)

    def close(self) -> None:
        """Cancel what runs, and end the loop; begin nothing any more."""
        with self._lock:
            first, self._closed = not self._closed, True
            loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        if first:
            asyncio.run_coroutine_threadsafe(self._cancel_all(), loop)
        thread.join(2 * LAST_S)
        if thread.is_alive():
            running = ", ".join(sorted({task.get_name() for task in list(self._tasks)}))
            _log.warning(
                "%s: %s goes on though it was cancelled; the server does not wait for it",
                self._name,
                running or "an async method",
            )

    async def _cancel_all(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=LAST_S)
        asyncio.get_running_loop().stop()

    def _look(self) -> None:
        """See whether the loop gets to what it has to do; in the thread of the deadlines."""
        with self._lock:
            loop = self._loop
            self._watched = bool(self._tasks) and not self._closed
            if loop is None or not self._watched:
                self._asked = False
                return
        if self._asked:
            self._name_who_blocks(asyncio.current_task(loop))
        else:
            self._asked = True
            self.soon(self._is_alive)
        deadlines.call_later(BLOCKED_S, self._look)

    def _is_alive(self) -> None:
        self._asked = False

    def _name_who_blocks(self, task: asyncio.Task[Any] | None) -> None:
        method = task.get_name() if task is not None else ""
        if method and method not in self._named:
            self._named.add(method)
            _log.warning(
                "%s.%s has kept the event loop busy for over %g s, and no other async method goes "
                "on meanwhile. Await what waits (asyncio.sleep, lp.aio), and leave long work to "
                "asyncio.to_thread, or to a method that is not async.",
                self._name,
                method,
                BLOCKED_S,
            )
