"""Nodes as threads of this process: started, told, interrupted, and given up at last."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import sysconfig
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

from launchpad_lite import context
from launchpad_lite.frames import is_machinery
from launchpad_lite.runtime.events import Event, WorkerEnded, WorkerUp
from launchpad_lite.runtime.outcome import run_node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from launchpad_lite.node import Node

INTERRUPT_S = 30.0
"""Seconds after which a thread that never comes back to the user's code is left alone."""

_INTERRUPT_RETRY_S = 0.02
_STDLIB = f"{sysconfig.get_path('stdlib')}{os.sep}"
_LAST_JOIN_S = 0.1
_PREFIX = "lp-node "


class NodeThread:
    """One node's thread.

    Attributes:
      context: the node's context, whose scope has a stop token of its own.
      thread: the thread.
      cause: the exception that the node failed with, once it has.
    """

    def __init__(
        self, node: Node[Any], node_context: context.Context, post: Callable[[Event], None]
    ) -> None:
        """Make the thread of a node; it is not started.

        Args:
          node: the node.
          node_context: its context.
          post: takes what happens to the node.
        """
        self.context = node_context
        self.cause: BaseException | None = None
        self._node = node
        self._stop = node_context.scope.stop
        self._post = post
        self._lock = threading.Lock()
        self._over = threading.Event()
        self.thread = threading.Thread(
            target=self._run, name=f"{_PREFIX}{node_context.name}", daemon=True
        )

    def _run(self) -> None:
        name = self.context.name
        if not self._node.addresses:
            self._post(WorkerUp(name))
        with context.running(self.context, whole_process=False):
            failure, self.cause = run_node(self._node, self.context, self._leave)
        self._stop.close(reason="the node has ended")  # calls of threads that the node left behind
        self._post(WorkerEnded(name, failure))

    def _leave(self) -> None:
        while True:
            try:
                with self._lock:
                    self._over.set()
                    _raise_in(self.thread, None)
            except SystemExit:
                continue  # it was on its way already
            return

    def interrupt(self) -> None:
        """Raise SystemExit in the user's code; code that waits in C notices it afterwards.

        Not inside an import, whose locks it would leave locked for every other thread, nor inside
        this package, whose calls end by themselves: then it waits for the user's code to go on.
        """
        deadline = time.monotonic() + INTERRUPT_S
        while time.monotonic() < deadline:
            with self._lock:
                if self._over.is_set():
                    return
                if _is_in_user_code(self.thread):
                    _raise_in(self.thread, SystemExit)
                    return
            self._over.wait(_INTERRUPT_RETRY_S)

    def give_up(self) -> None:
        """Try no longer to end the node."""
        self._over.set()

    def tell(self, news: Callable[[], object]) -> None:
        """Run what calls stop handlers, which are the user's code and may take their time."""

        def run() -> None:
            context.adopt(self.context)
            news()

        threading.Thread(target=run, name="lp-notice", daemon=True).start()

    def notify(self, seconds: float, reason: str) -> None:
        """Run the stop handlers, or end a node that never asked about stopping."""
        hasty = self._node.has_run and not self._stop.attentive
        self._stop.notice(seconds, reason)
        if hasty:
            self.end()

    def end(self) -> None:
        """End the node now: its calls raise `Stopped`, its code SystemExit."""
        self._stop.close()
        self.interrupt()


def _is_in_user_code(thread: threading.Thread) -> bool:
    """Whether the innermost frame that is not the standard library's is the user's."""
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - the documented way
    while frame is not None:
        file = frame.f_code.co_filename
        if is_machinery(file):
            return False
        if not file.startswith(_STDLIB):
            return True
        frame = frame.f_back
    return False


def _raise_in(thread: threading.Thread, error: type[BaseException] | None) -> None:
    """Raise an exception in a thread at its next bytecode; None takes one back."""
    ident = ctypes.c_ulong(thread.ident or 0)
    what = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, what)


class NodeThreads:
    """Nodes in threads of this process, by name."""

    def __init__(self) -> None:
        """Begin without nodes."""
        self._nodes: dict[str, NodeThread] = {}

    def __contains__(self, name: str) -> bool:
        """Whether there is a node of this name."""
        return name in self._nodes

    def __getitem__(self, name: str) -> NodeThread:
        """Return a node's thread."""
        return self._nodes[name]

    def start(self, threads: Iterable[NodeThread]) -> None:
        """Start threads.

        Raises:
          RuntimeError: there can be no more threads; those that were started are told to end.
        """
        new = {thread.context.name: thread for thread in threads}
        self._nodes |= new
        try:
            for node in new.values():
                node.thread.start()
        except BaseException:
            self.kill(name for name, node in new.items() if node.thread.ident is not None)
            raise

    def notify(self, seconds: float, reason: str) -> None:
        """Tell every node that the run stops, and how much time there is."""
        for node in self._nodes.values():
            node.tell(functools.partial(node.notify, seconds, reason))

    def terminate(self, names: Iterable[str], seconds: float) -> None:
        """Make calls of nodes raise `Stopped`; stop handlers have `seconds` left."""
        for name in names:
            stop = self._nodes[name].context.scope.stop
            self._nodes[name].tell(functools.partial(stop.close, seconds))

    def kill(self, names: Iterable[str]) -> None:
        """End nodes by an exception in their threads."""
        for name in names:
            self._nodes[name].tell(self._nodes[name].end)

    def close(self) -> None:
        """Wait a moment for threads that are about to end; try no longer to end the others."""
        for node in self._nodes.values():
            if node.thread.ident is not None:
                node.thread.join(_LAST_JOIN_S)
            node.give_up()


def stack(run_id: str, name: str) -> str:
    """Return where a node's thread is, and those of the nodes in it, for people."""
    frames = sys._current_frames()  # noqa: SLF001 - the documented way to another thread's stack
    own = f"{_PREFIX}{name}"
    parts: list[str] = []
    for thread in context.threads_of(run_id):
        frame = frames.get(thread.ident or 0)
        if frame is not None and (thread.name == own or thread.name.startswith(f"{own}/")):
            shown = "".join(traceback.format_stack(frame))
            parts.append(f"\n{thread.name.removeprefix(_PREFIX)} is at:\n{shown}")
    return "".join(parts) or f"\n{name} has ended meanwhile.\n"
