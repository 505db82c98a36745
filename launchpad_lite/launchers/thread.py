"""Nodes as threads of this process: for development, debugging and tests."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import sysconfig
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, ClassVar

from launchpad_lite import context
from launchpad_lite.frames import is_machinery
from launchpad_lite.launchers.base import Launcher, LaunchOptions
from launchpad_lite.launchers.local import LocalRun
from launchpad_lite.planning import Capabilities, LaunchPlan, WorkerSpec
from launchpad_lite.runtime.backend import Backend
from launchpad_lite.runtime.outcome import run_node
from launchpad_lite.runtime.supervisor import Event, WorkerEnded, WorkerUp
from launchpad_lite.stop_token import StopToken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent import futures

    from launchpad_lite.runtime.run import Run


INTERRUPT_S = 30.0
"""Seconds after which a thread that never comes back to the user's code is left alone."""

_INTERRUPT_RETRY_S = 0.02
_STDLIB = f"{sysconfig.get_path('stdlib')}{os.sep}"


class ThreadLauncher(Launcher):
    """Runs each node in a thread of this process."""

    name: ClassVar[str] = "thread"
    summary: ClassVar[str] = "each node a thread of this process"

    def unavailable(self) -> str | None:
        """See the base class."""
        return None

    def capabilities(self) -> Capabilities:
        """See the base class."""
        return Capabilities(launcher=self.name, in_process=True)

    def launch(self, plan: LaunchPlan, options: LaunchOptions) -> Run:
        """See the base class."""
        local = LocalRun(plan, options)
        run = local.start(ThreadBackend(local))
        if options.keep_directory:  # other terminals may come later; the nodes need not wait
            threading.Thread(
                target=local.offer_controller, name="lp-serve-controller", daemon=True
            ).start()
        return run


class _NodeThread:
    """One node's thread."""

    def __init__(self, local: LocalRun, spec: WorkerSpec, post: Callable[[Event], None]) -> None:
        self.spec = spec
        self.stop = StopToken()
        self.context = context.Context(
            program=local.plan.program,
            label=spec.label,
            index=spec.index,
            group_size=spec.group_size,
            run_id=local.run_id,
            incarnation=0,
            seed=spec.seed,
            checkpoint=local.checkpoint(spec.name),
            scope=local.make_scope(self.stop, ("inproc",)),
        )
        self._causes = local.controller.causes
        self._post = post
        self._lock = threading.Lock()
        self._over = threading.Event()
        self.thread = threading.Thread(target=self._run, name=f"lp-node {spec.name}", daemon=True)

    def _run(self) -> None:
        name = self.spec.name
        if not self.spec.node.addresses:
            self._post(WorkerUp(name))
        with context.running(self.context, whole_process=False):
            failure, cause = run_node(self.spec.node, self.context, self._leave)
        self.stop.close(reason="the node has ended")  # calls of threads that the node left behind
        if cause is not None:
            self._causes[name] = cause
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
        hasty = self.spec.has_run and not self.stop.attentive
        self.stop.notice(seconds, reason)
        if hasty:
            self.end()

    def end(self) -> None:
        """End the node now: its calls raise `Stopped`, its code SystemExit."""
        self.stop.close()
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


class ThreadBackend(Backend):
    """The threads of one run."""

    def __init__(self, local: LocalRun) -> None:
        """Prepare the threads of a run."""
        self._local = local
        self._nodes: dict[str, _NodeThread] = {}

    def start(self, workers: Iterable[WorkerSpec], post: Callable[[Event], None]) -> None:
        """See the base class."""
        self._nodes = {spec.name: _NodeThread(self._local, spec, post) for spec in workers}
        try:
            for node in self._nodes.values():
                node.thread.start()
        except BaseException:
            self.kill(name for name, node in self._nodes.items() if node.thread.ident is not None)
            raise

    def instance(self, name: str) -> futures.Future[Any]:
        """See the base class."""
        return self._nodes[name].context.instance

    def leftovers(self, timeout: float) -> list[str]:
        """See the base class."""
        deadline = time.monotonic() + timeout
        ours = [
            thread
            for thread in context.threads_of(self._local.run_id)
            if thread.name.startswith("lp-") and thread is not threading.current_thread()
        ]
        for thread in ours:
            thread.join(max(0.0, deadline - time.monotonic()))
        return [f"thread {thread.name!r}" for thread in ours if thread.is_alive()]

    def notify(self, seconds: float, reason: str) -> None:
        """See the base class."""
        for node in self._nodes.values():
            node.tell(functools.partial(node.notify, seconds, reason))

    def terminate(self, names: Iterable[str], seconds: float) -> None:
        """See the base class."""
        for name in names:
            self._nodes[name].tell(functools.partial(self._nodes[name].stop.close, seconds))

    def kill(self, names: Iterable[str]) -> None:
        """See the base class."""
        for name in names:
            self._nodes[name].tell(self._nodes[name].end)

    def stacks(self, names: Iterable[str]) -> str:
        """See the base class."""
        frames = sys._current_frames()  # noqa: SLF001 - the documented way to another thread's stack
        advice = (
            "A thread cannot be killed: let it call lp.wait_for_stop() now and then, or use "
            "--launcher=process.\n"
        )
        parts = [advice]
        for name in names:
            frame = frames.get(self._nodes[name].thread.ident or 0)
            stack = "".join(traceback.format_stack(frame)) if frame else "(ended meanwhile)\n"
            parts.append(f"\n{name} is at:\n{stack}")
        return "".join(parts)

    def close(self) -> None:
        """See the base class."""
        for node in self._nodes.values():
            if node.thread.ident is not None:
                node.thread.join(0.1)
            node.give_up()
