"""Threads that run calls: started when needed, never more than asked for, never in the way of exit.

`concurrent.futures.ThreadPoolExecutor` is joined when the interpreter ends, so one method that
hangs would keep a program from ending; it also refuses work while a run is waited for at exit.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from concurrent import futures
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar

from launchpad_lite import context as node_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.context import Context

P = ParamSpec("P")
R = TypeVar("R")


class _Work(NamedTuple):
    future: futures.Future[Any]
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.function(*self.args, **self.kwargs)
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class DaemonExecutor(futures.ThreadPoolExecutor):
    """An executor of daemon threads that belong to one node.

    It has the base class's interface, and its type, which grpcio asks for, but none of its threads.
    """

    def __init__(self, size: int, name: str, context: Context | None) -> None:
        """Make the executor; threads start with the work.

        Args:
          size: the most threads.
          name: of the threads.
          context: the node that the work runs in.
        """
        super().__init__(size, name)
        self._size = size
        self._name = name
        self._context = context
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0  # threads that wait and have no work on its way
        self._backlog = 0  # work that no thread is on its way to
        self._members: list[threading.Thread] = []
        self._stopped = False

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> futures.Future[R]:
        """Run a function in one of the threads.

        Raises:
          RuntimeError: the executor was shut down, or there can be no thread at all.
        """
        future: futures.Future[R] = futures.Future()
        with self._lock:
            if self._stopped:
                message = f"{self._name} was shut down"
                raise RuntimeError(message)
            if self._idle > 0:
                self._idle -= 1
            elif len(self._members) >= self._size or not self._start_thread():
                self._backlog += 1
            self._work.put(_Work(future, fn, args, kwargs))
        return future

    def _start_thread(self) -> bool:
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # there can be no more threads; those there are will do
            if not self._members:
                raise
            return False
        self._members.append(thread)
        return True

    def _run(self) -> None:
        node_context.adopt(self._context)
        while (work := self._work.get()) is not None:
            work.run()
            del work
            self._count_out()

    def _count_out(self) -> None:
        """Note that a thread is free: it goes on to what waits, or is idle."""
        with self._lock:
            if self._backlog > 0:
                self._backlog -= 1
            else:
                self._idle += 1

    def _take_waiting(self) -> list[_Work]:
        taken: list[_Work] = []
        with contextlib.suppress(queue.Empty):
            while True:
                work = self._work.get_nowait()
                if work is None:
                    self._work.put(None)  # a thread's order to end
                    break
                taken.append(work)
                self._count_out()
        return taken

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as in the base class
        """Take no more work; `wait` for what runs."""
        with self._lock:
            first, self._stopped = not self._stopped, True
            threads = list(self._members)
        if first:
            if cancel_futures:
                for work in self._take_waiting():
                    work.future.cancel()
            for _ in threads:
                self._work.put(None)
        if wait:
            self.join(None)

    def join(self, timeout: float | None) -> bool:
        """Wait for the threads, at most `timeout` seconds; return whether they ended."""
        deadline = None if timeout is None else time.monotonic() + timeout
        others = [thread for thread in self._members if thread is not threading.current_thread()]
        for thread in others:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in others)
