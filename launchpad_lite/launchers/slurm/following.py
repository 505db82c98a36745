"""A run on a cluster, followed from the machine that has submitted it."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import queue
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from launchpad_lite.errors import CallError, ControllerLost, RunError, Stopped, UsageError
from launchpad_lite.launchers.slurm import commands
from launchpad_lite.launchers.slurm.network import check_reachable
from launchpad_lite.launchers.slurm.submission import Submission
from launchpad_lite.launchers.slurm.waiting import Waiting, first_status, is_alive, pauses
from launchpad_lite.runtime.control import RemoteControl, RunViewer
from launchpad_lite.runtime.rundir import tail
from launchpad_lite.runtime.supervisor import Phase, WorkerState

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Collection, Mapping
    from concurrent import futures

    from launchpad_lite.endpoint import EndpointRecord
    from launchpad_lite.errors import LaunchpadError
    from launchpad_lite.planning import LaunchPlan
    from launchpad_lite.runtime.directory import Directory
    from launchpad_lite.runtime.measuring import RunMetrics
    from launchpad_lite.runtime.rundir import Rendezvous, RunDirectory
    from launchpad_lite.runtime.status import RunStatus

_log = logging.getLogger(__name__)

_OUTCOME_S = 10.0  # for what the job has written to appear on a shared file system
_SOON_S = 2.0  # the same, of a job that may never have come so far
_OVER = (WorkerState.DONE.value, WorkerState.FAILED.value)
_TAIL_LINES = 20


def _ignore_notice(seconds: float, reason: str) -> None:
    """The launching process hears of the end of the run by its status."""


class Following:
    """Implements `HeldRun` for a run whose controller is in a job.

    One thread asks SLURM until the controller has come up, and then listens to that; another passes
    on requests to stop.
    """

    def __init__(
        self,
        plan: LaunchPlan,
        directory: RunDirectory,
        jobs: Mapping[int, str],
        services: Directory,
        *,
        at_begin: Callable[[], object],
        at_notice: Callable[[str], object],
        at_end: Callable[[], object],
    ) -> None:
        """Prepare; `start` begins.

        Args:
          plan: the plan.
          directory: the run's.
          jobs: the numbers of its jobs, and what they are called; the first has the controller.
          services: is told where services listen that are followed.
          at_begin: is called when its controller is up, once.
          at_notice: is called with the reason when the run begins to stop, and again later.
          at_end: is called before `ended` is set.
        """
        self.run_id = directory.run_id
        self.plan = plan
        self.ended = threading.Event()
        self.error: LaunchpadError | None = None
        self.detached = False
        self._directory = directory
        self._jobs, self._titles = tuple(jobs), dict(jobs)
        self._waiting = Waiting(directory, jobs, self._say)
        self._services = services
        self._at_begin: Callable[[], object] | None = at_begin
        self._at_end = at_end
        self._at_notice = at_notice
        self._over = False
        self._cancelled = False  # before it began
        self._changed = threading.Condition()
        self._rendezvous: Rendezvous | None = None
        self._remote: RemoteControl | None = None
        self._requests: queue.SimpleQueue[tuple[str, bool] | None] = queue.SimpleQueue()
        self._status = first_status(plan, self.run_id)

    def start(self) -> None:
        """Begin to follow."""
        for name, work in (("lp-slurm", self._run), ("lp-slurm-stop", self._pass_on_stops)):
            threading.Thread(target=work, name=name, daemon=True).start()

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
        with contextlib.suppress(Exception):
            self._at_end()
        self.ended.set()
        with self._changed:
            self._changed.notify_all()

    def detach(self) -> None:
        """Let the run go on without this process."""
        self._say(
            f"goes on without this process: lp-launch status {self.run_id}; it is stopped by "
            f"lp-launch stop {self.run_id}"
        )
        self._end(detached=True)

    def _follow(self) -> LaunchpadError | None:
        """Return what the run has failed of, at its end."""
        first, told = self._jobs[0], ""
        while (rendezvous := self._waiting.controller(lambda: self._over)) is not None:
            self._begin()
            with self._changed:
                self._rendezvous = rendezvous
                self._changed.notify_all()
            viewer = RunViewer(rendezvous.endpoint, rendezvous.credentials)
            with contextlib.suppress(CallError, Stopped):
                for status in viewer.changes():
                    self._take(status)
            self._await_outcome(_OUTCOME_S)
            with self._changed:
                self._rendezvous = self._remote = None
            state = self._waiting.ask().get(first)
            if state is None or not is_alive(state):
                break
            news = f"job {first} is {state.state.lower()} ({state.reason})"
            if news != told and self._directory.outcome() is None:
                told = news  # once: there may be no way to the controller from here
                self._say(news)
        else:
            if self._log(first).exists():
                self._await_outcome(_SOON_S)
        if self._over:
            return None
        outcome = self._directory.outcome()
        if outcome is not None:
            return outcome[0]
        Submission.remove(self._directory)
        error = self._explain()
        if self._at_begin is not None:  # there was no controller to write it
            reason = "" if error is not None else "stopped while it waited"
            ended = dataclasses.replace(
                self._status,
                phase=Phase.ENDED.value,
                reason=reason,
                error="" if error is None else str(error).splitlines()[0],
            )
            self._directory.write_status(ended)
        return error

    def _begin(self) -> None:
        """Do once what is to be done when the run has begun."""
        begin, self._at_begin = self._at_begin, None
        if begin is not None:
            begin()

    def _await_outcome(self, seconds: float) -> None:
        """Give what the job writes at its end time to appear on a shared file system."""
        deadline = time.monotonic() + seconds
        looks = pauses()
        while self._directory.outcome() is None and time.monotonic() < deadline:
            time.sleep(next(looks))

    def _explain(self) -> LaunchpadError | None:
        """Return why jobs are over whose controller has left no word."""
        hopeless, ended = self._waiting.hopeless(), self._waiting.ended()
        if hopeless is not None or self._jobs[1:]:
            with contextlib.suppress(commands.SlurmError):
                commands.cancel(self._jobs)
        if self._cancelled:
            return None
        if hopeless is not None:
            reason = self._waiting.states[hopeless].reason
            message = (
                f"{self.run_id}: {self._titles[hopeless]} would wait for ever ({reason}), and is "
                "cancelled. Ask for less with lp.SlurmOptions or lp.Resources; `sinfo` shows what "
                "the partition allows."
            )
            return UsageError(message)
        job = self._jobs[0] if ended is None else ended
        state = commands.last_words(job) or self._waiting.states.get(job)
        how = "is over" if state is None else f"ended as {state.state} ({state.reason})"
        log = self._log(job)
        last = "".join(f"\n  {line}" for line in tail(log).splitlines()[-_TAIL_LINES:])
        if state is not None and state.state == "CANCELLED" and not last:
            last = "\n  It was cancelled before it began."
        message = f"{self.run_id}: {self._titles[job]} {how}.{last}\n  Its log: {log}"
        if not log.exists():
            message += (
                ", which is not there. Is this directory on a file system that all machines of the "
                "cluster share? Set XDG_STATE_HOME to one that is."
            )
        return ControllerLost(message)

    def _log(self, job: int) -> pathlib.Path:
        return self._directory.path / "slurm" / f"job-{job}.log"

    def _take(self, status: RunStatus) -> None:
        with self._changed:
            self._status = status
            self._changed.notify_all()
        if status.phase != Phase.RUNNING.value:
            self._at_notice(status.reason)

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
            rendezvous = self._rendezvous
            try:
                if rendezvous is None:
                    self._cancelled = True
                    commands.cancel(self._jobs)
                    continue
                viewer = RunViewer(rendezvous.endpoint, rendezvous.credentials)
                viewer.stop(reason, immediately=immediately)
            except (CallError, commands.SlurmError) as error:
                self._say(f"the controller cannot be told to stop ({error}); cancelling its jobs")
                with contextlib.suppress(commands.SlurmError):
                    commands.cancel(self._jobs)

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
        if self._rendezvous is not None and not self.ended.is_set():
            with contextlib.suppress(CallError):
                viewer = RunViewer(self._rendezvous.endpoint, self._rendezvous.credentials)
                self._take(viewer.status())
        return self._status

    def metrics(self) -> RunMetrics:
        """See `HeldRun`."""
        rendezvous = self._reached()
        return RunViewer(rendezvous.endpoint, rendezvous.credentials).metrics()

    def leftovers(self, timeout: float) -> list[str]:
        """See `HeldRun`: the jobs that are still in the queue."""
        deadline = time.monotonic() + timeout
        while True:
            states = commands.states(self._jobs)
            left = [
                f"job {number} ({state.state})"
                for number, state in states.items()
                if is_alive(state)
            ]
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(1.0)

    def instance(self, label: str, index: int) -> futures.Future[Any]:
        """See `HeldRun`.

        Raises:
          UsageError: always: nodes are in other processes.
        """
        message = f"{label}/{index} is on another machine: call its methods with run.client()."
        raise UsageError(message)

    # --- for clients in the launching process ---

    def _reached(self) -> Rendezvous:
        """Wait for the controller; return how to reach it.

        Raises:
          Stopped: the run has ended.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._rendezvous or self.ended.is_set())
            if self._rendezvous is None or self.ended.is_set():
                message = f"{self.run_id} has ended"
                raise Stopped(message)
            return self._rendezvous

    def remote(self) -> RemoteControl:
        """Return the line to the controller, made when it is first needed.

        Raises:
          Unavailable: there is no way to it from here.
          Stopped: the run has ended.
        """
        rendezvous = self._reached()
        if self._remote is None:
            check_reachable(rendezvous)
        with self._changed:
            if self._remote is None:
                self._remote = RemoteControl(
                    rendezvous.endpoint,
                    rendezvous.credentials,
                    self.run_id,
                    "(launcher)",
                    self._services,
                )
                self._remote.attach(_ignore_notice)
            return self._remote

    def follow(self, name: str) -> None:
        """Make sure that the directory hears of a service."""
        self.remote().follow(name)

    def publish(self, record: EndpointRecord) -> None:
        """See `scope.Control`."""
        self.remote().publish(record)

    def retire(self, name: str, reason: str) -> None:
        """See `scope.Control`."""
        self.remote().retire(name, reason)

    def run_ended(self, worker: str) -> None:
        """See `scope.Control`: the launching process is no worker."""

    def note(self, worker: str, incarnation: int, text: str) -> None:
        """See `scope.Control`: the launching process is no worker."""
