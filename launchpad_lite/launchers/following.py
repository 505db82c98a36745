"""A run whose controller is in another process, followed from the launching one."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import functools
import logging
import queue
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from launchpad_lite import context
from launchpad_lite.errors import CallError, RunError, Stopped, UsageError
from launchpad_lite.launchers.local import HANDLERS_S
from launchpad_lite.launchers.output import Output
from launchpad_lite.launchers.reach import Reach
from launchpad_lite.runtime.question import Question, has_terminal
from launchpad_lite.runtime.run import Run
from launchpad_lite.runtime.scope import RunScope
from launchpad_lite.runtime.signals import signals
from launchpad_lite.runtime.status import NodeStatus, RunStatus
from launchpad_lite.runtime.supervisor import Phase, WorkerState
from launchpad_lite.stop_token import StopToken

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Collection, Mapping
    from concurrent import futures

    from launchpad_lite.credentials import Credentials
    from launchpad_lite.errors import LaunchpadError
    from launchpad_lite.launchers.base import LaunchOptions
    from launchpad_lite.planning import LaunchPlan
    from launchpad_lite.runtime.measuring import RunMetrics
    from launchpad_lite.runtime.rundir import Rendezvous, RunDirectory

_log = logging.getLogger(__name__)

_LOOK_S = 0.1  # between two looks at a file, which may be on a shared file system
_OVER = (WorkerState.DONE.value, WorkerState.FAILED.value)


def first_status(plan: LaunchPlan, run_id: str) -> RunStatus:
    """Return where a run is that is submitted only now."""
    return RunStatus(
        run_id=run_id,
        program=plan.program,
        launcher=plan.launcher,
        phase=Phase.RUNNING.value,
        reason="",
        started=time.time(),
        nodes=tuple(
            NodeStatus(worker.name, worker.title, WorkerState.STARTING.value, ())
            for worker in plan.workers
        ),
    )


def last_status(known: RunStatus, error: LaunchpadError | None, reason: str) -> RunStatus:
    """Return where a run is that has ended without a controller that would say so.

    Args:
      known: where it was.
      error: what it has failed of; None if it has not.
      reason: why it has ended then.
    """
    ended = dataclasses.replace(known, phase=Phase.ENDED.value)
    if error is None:
        return dataclasses.replace(ended, reason=reason)
    done, failed = WorkerState.DONE.value, WorkerState.FAILED.value
    return dataclasses.replace(
        ended,
        error=str(error).splitlines()[0],
        nodes=tuple(
            node if node.state == done else dataclasses.replace(node, state=failed)
            for node in known.nodes
        ),
    )


class Viewer(Protocol):
    """A way to the controller; see `RunViewer`. Each method raises CallError if there is none."""

    def status(self) -> RunStatus:
        """Return where the run is."""
        ...

    def metrics(self) -> RunMetrics:
        """Return what the run's nodes have counted of their calls."""
        ...

    def stop(self, reason: str, *, immediately: bool = False) -> None:
        """Ask for the end of the run."""
        ...


class Following(abc.ABC):
    """Implements `HeldRun` for a run whose controller is in another process.

    One thread follows the run until its end, and another passes on requests to stop.
    """

    def __init__(
        self,
        plan: LaunchPlan,
        options: LaunchOptions,
        directory: RunDirectory,
        credentials: Credentials,
        *,
        waits: bool,
        asks: bool = False,
        logs: Mapping[str, pathlib.Path] | None = None,
    ) -> None:
        """Prepare; `start` begins.

        Args:
          plan: the plan.
          options: what is shown, and where.
          directory: the run's.
          credentials: of the run.
          waits: whether this process waits for the run's end, and so shows its output.
          asks: whether Ctrl-C asks if the run is to go on without this process.
          logs: further files that are shown like nodes' logs, by name, if this process waits.
        """
        self.run_id = directory.run_id
        self.plan = plan
        self.ended = threading.Event()
        self.error: LaunchpadError | None = None
        self.detached = False
        self.begun = False
        self._directory = directory
        self._waits = waits
        self._question = Question(self.run_id, self.detach) if asks and has_terminal() else None
        shown = dataclasses.replace(options, show_output=options.show_output and waits)
        self._output = Output(plan, shown, directory, self._question, logs if waits else None)
        self._stop = StopToken()
        self._noticing: list[threading.Thread] = []
        self._over = False
        self._cancelled = False  # before it began
        self._changed = threading.Condition()
        self._viewer: Viewer | None = None
        self._requests: queue.SimpleQueue[tuple[str, bool] | None] = queue.SimpleQueue()
        self._status = first_status(plan, self.run_id)
        self._reach = Reach(self.run_id, self.request_stop)
        self._scope = RunScope(
            run_id=self.run_id,
            stop=self._stop,
            config=plan.config,
            credentials=credentials,
            schemes=(),
            socket_dir=None,
            incarnation=0,
            directory=self._reach.services,
            follow=self._reach.follow,
            control=self._reach,
            names=plan.name_of,
        )

    def start(self) -> Run:
        """Begin to follow."""
        context.add_run(self._scope)
        if self._question is not None:
            self._question.start()
        signals.add(self, self._question)
        for name, work in (("lp-follow", self._run), ("lp-follow-stop", self._pass_on_stops)):
            threading.Thread(target=work, name=name, daemon=True).start()
        return Run(self, self._scope, self._directory.path, waited_for=self._waits)

    # --- what the launcher does ---

    @abc.abstractmethod
    def _follow(self) -> LaunchpadError | None:
        """Return what the run has failed of, at its end; meanwhile call `_begin` and `_take`."""

    @abc.abstractmethod
    def _cancel(self) -> None:
        """End a run by force: it has not begun, or does not hear."""

    def leftovers(self, timeout: float) -> list[str]:
        """See `HeldRun`: nothing, where it could not be seen from here."""
        del timeout
        return []

    # --- the thread that follows ---

    def _run(self) -> None:
        error: LaunchpadError | None
        try:
            error = self._follow()
        except Exception as problem:
            _log.exception("%s cannot be followed", self.run_id)
            error = RunError(f"{self.run_id} cannot be followed: {problem!r}")
        self._end(error)

    def _end(self, error: LaunchpadError | None = None, *, detached: bool = False) -> None:
        """Take it that there is no more to hear of the run."""
        with self._changed:
            if self._over:
                return
            self.error, self.detached, self._over = error, detached, True
        self._requests.put(None)
        try:
            self._let_go()
        except Exception:
            _log.exception("%s: letting go of it failed", self.run_id)
        self.ended.set()
        self._reach.close()
        with self._changed:
            self._changed.notify_all()

    def _let_go(self) -> None:
        """Do what is to be done before anybody hears of the end."""
        if self._question is not None:
            self._question.end()
        self._output.stop()
        context.remove_run(self._scope)
        reason = "the run has ended"
        if not self.detached:
            self._notice(reason)
        for handlers in self._noticing:
            handlers.join(HANDLERS_S)  # not for ever: one may wait for the end of the run
        self._stop.close(reason=reason)

    def detach(self) -> None:
        """Let the run go on without this process."""
        self._say(
            f"goes on without this process: lp-launch status {self.run_id}; it is stopped by "
            f"lp-launch stop {self.run_id}"
        )
        self._end(detached=True)

    def _begin(self, viewer: Viewer, rendezvous: Rendezvous | None) -> None:
        """Note that there is a controller, and how to reach it; also one that has come back."""
        if not self.begun:
            self.begun = True
            self._output.start()
        self._viewer = viewer
        if rendezvous is not None:
            self._reach.found(rendezvous)

    def _lose(self) -> None:
        """Note that there is no controller for the time being."""
        self._viewer = None
        self._reach.lost()

    def _take(self, status: RunStatus) -> None:
        with self._changed:
            self._status = status
            self._changed.notify_all()
        if status.phase != Phase.RUNNING.value:
            self._notice(status.reason)

    def _await_outcome(self, seconds: float, unless: Callable[[], bool] = lambda: False) -> None:
        """Give time to appear to what the controller's process writes at its end, if that is it."""
        deadline = time.monotonic() + seconds
        while self._directory.outcome() is None and time.monotonic() < deadline and not unless():
            time.sleep(_LOOK_S)

    def _notice(self, reason: str) -> None:
        """Call the stop handlers of the launching code, once."""
        if not self._stop.stopping:
            notice = functools.partial(self._stop.notice, self.plan.config.notice_s, reason)
            self._noticing.append(threading.Thread(target=notice, name="lp-notice", daemon=True))
            self._noticing[-1].start()

    def _say(self, text: str) -> None:
        if self.detached:
            return
        with contextlib.suppress(OSError):
            sys.stderr.write(f"{self.run_id}: {text}\n")
            sys.stderr.flush()

    # --- HeldRun ---

    def request_stop(self, reason: str, *, immediately: bool = False) -> None:
        """See `HeldRun`."""
        if not self.detached:
            self._requests.put((reason, immediately))

    def _pass_on_stops(self) -> None:
        while (request := self._requests.get()) is not None:
            reason, immediately = request
            viewer = self._viewer
            try:
                if viewer is None:
                    self._cancelled = True
                    self._cancel()
                else:
                    viewer.stop(reason, immediately=immediately)
            except Exception as error:
                self._say(f"the controller cannot be told to stop ({error}); ending it by force")
                self._cancel()

    def join(self, timeout: float | None = None) -> bool:
        """See `HeldRun`."""
        return self.ended.wait(timeout)

    def join_workers(
        self, names: Collection[str], timeout: float | None = None, *, first: bool = False
    ) -> bool:
        """See `HeldRun`."""
        enough = any if first else all

        def have_ended() -> bool:
            over = {node.name for node in self._status.nodes if node.state in _OVER}
            return self.ended.is_set() or enough(name in over for name in names)

        with self._changed:
            return self._changed.wait_for(have_ended, timeout)

    def status(self) -> RunStatus:
        """See `HeldRun`."""
        viewer = self._viewer
        if viewer is not None and not self.ended.is_set():
            with contextlib.suppress(CallError):
                self._take(viewer.status())
        return self._status

    def metrics(self) -> RunMetrics:
        """See `HeldRun`."""
        self._reach.rendezvous()
        viewer = self._viewer
        if viewer is None:
            message = f"{self.run_id} has ended"
            raise Stopped(message)
        return viewer.metrics()

    def instance(self, label: str, index: int) -> futures.Future[Any]:
        """See `HeldRun`.

        Raises:
          UsageError: always: nodes are in other processes.
        """
        message = f"{label}/{index} is on another machine: call its methods with run.client()."
        raise UsageError(message)
