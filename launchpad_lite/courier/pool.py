"""Threads that run calls: started when needed, never more than asked for, never in the way of exit.

`concurrent.futures.ThreadPoolExecutor` is joined when the interpreter ends, so one method that
hangs would keep a program from ending; it also refuses work while a run is waited for at exit.
"""

from __future__ import annotations

import queue
import threading
import time
from concurrent import futures
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from launchpad_lite import context as node_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.context import Context

P = ParamSpec("P")
R = TypeVar("R")


class DaemonExecutor(futures.Executor):
    """An executor of daemon threads that belong to one node."""

    def __init__(self, size: int, name: str, context: Context | None) -> None:
        """Make the executor; threads start with the work.

        Args:
          size: the most threads.
          name: of the threads.
          context: the node that the work runs in.
        """
        self._size = size
        self._name = name
        self._context = context
        self._work: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0  # threads that wait and have no work on its way
        self._backlog = 0  # work that no thread is on its way to
        self._threads: list[threading.Thread] = []
        self._stopped = False

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> futures.Future[R]:
        """Run a function in one of the threads.

        Raises:
          RuntimeError: the executor was shut down.
        """
        future: futures.Future[R] = futures.Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            if self._stopped:
                message = f"{self._name} was shut down"
                raise RuntimeError(message)
            if self._idle > 0:
                self._idle -= 1
            elif len(self._threads) < self._size:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._threads.append(thread)
                thread.start()
            else:
                self._backlog += 1
            self._work.put(work)
        return future

    def _run(self) -> None:
        node_context.adopt(self._context)
        while (work := self._work.get()) is not None:
            work()
            del work
            with self._lock:
                if self._backlog > 0:
                    self._backlog -= 1
                else:
                    self._idle += 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as in the base class
        """Take no more work; `wait` for what runs."""
        with self._lock:
            first, self._stopped = not self._stopped, True
            threads = list(self._threads)
        if first:
            if cancel_futures:
                while not self._work.empty():
                    self._work.get()
            for _ in threads:
                self._work.put(None)
        if wait:
            self.join(None)

    def join(self, timeout: float | None) -> bool:
        """Wait for the threads, at most `timeout` seconds; return whether they ended."""
        deadline = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return not any(t.is_alive() for t in self._threads if t is not threading.current_thread())
