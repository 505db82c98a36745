"""Nodes as threads of this process: for development, debugging and tests."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar

from launchpad_lite import context
from launchpad_lite.errors import UsageError
from launchpad_lite.launchers import terminals
from launchpad_lite.launchers.base import Launcher, LaunchOptions
from launchpad_lite.launchers.local import LocalRun
from launchpad_lite.planning import Capabilities, LaunchPlan, WorkerSpec
from launchpad_lite.runtime.backend import Backend
from launchpad_lite.runtime.events import Event, WorkerEnded
from launchpad_lite.runtime.node_threads import NodeThread, NodeThreads, stack
from launchpad_lite.stop_token import StopToken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent import futures

    from launchpad_lite.runtime.run import Run


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
        if options.show_output and options.terminal != terminals.CURRENT:
            sys.stderr.write(
                f"warning: terminal {options.terminal!r} has no effect: nodes are threads, which "
                "print on the launching process's own output; use launcher 'process'\n"
            )
        local = LocalRun(plan, options)
        run = local.start(ThreadBackend(local))
        if options.keep_directory:  # other terminals may come later; the nodes need not wait
            threading.Thread(
                target=local.offer_controller, name="lp-serve-controller", daemon=True
            ).start()
        return run


class ThreadBackend(Backend):
    """The threads of one run."""

    def __init__(self, local: LocalRun) -> None:
        """Prepare the threads of a run."""
        self._local = local
        self._threads = NodeThreads()

    def start(self, workers: Iterable[WorkerSpec], post: Callable[[Event], None]) -> None:
        """See the base class."""
        self._post = post
        self._threads.start([self._make_thread(spec) for spec in workers])

    def restart(self, worker: WorkerSpec, incarnation: int) -> None:
        """See the base class."""
        self._threads.start([self._make_thread(worker, incarnation)])

    def _make_thread(self, spec: WorkerSpec, incarnation: int = 0) -> NodeThread:
        local = self._local
        node_context = context.Context(
            program=local.plan.program,
            label=spec.label,
            index=spec.index,
            group_size=spec.group_size,
            run_id=local.run_id,
            incarnation=incarnation,
            seed=spec.seed,
            checkpoint=local.checkpoint(spec.name),
            launch_type=local.plan.launch_type,
            scope=local.make_scope(StopToken(), local.schemes("inproc"), incarnation),
        )
        return NodeThread(local.plan.nodes[spec.name], node_context, self._take)

    def _take(self, event: Event) -> None:
        if isinstance(event, WorkerEnded) and event.failure is not None:
            cause = self._threads[event.name].cause
            if cause is not None:
                self._local.controller.causes[event.name] = cause
        self._post(event)

    def instance(self, name: str) -> futures.Future[Any]:
        """See the base class."""
        if name not in self._threads:
            message = f"{name} is inside another node, whose instance is a tuple of futures."
            raise UsageError(message)
        return self._threads[name].context.instance

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
        self._threads.notify(seconds, reason)

    def terminate(self, names: Iterable[str], seconds: float) -> None:
        """See the base class."""
        self._threads.terminate(names, seconds)

    def kill(self, names: Iterable[str]) -> None:
        """See the base class."""
        self._threads.kill(names)

    def stacks(self, names: Iterable[str]) -> str:
        """See the base class."""
        advice = (
            "A thread cannot be killed: let it call lp.wait_for_stop() now and then, or use "
            "--launcher=process.\n"
        )
        return advice + "".join(stack(self._local.run_id, name) for name in names)

    def close(self) -> None:
        """See the base class."""
        self._threads.close()
