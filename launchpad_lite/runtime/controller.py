"""The controller, one per run: holds the directory, drives the supervisor, answers questions."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from launchpad_lite.endpoint import EndpointRecord
from launchpad_lite.errors import LaunchpadError, NodesStuck, RunError
from launchpad_lite.groups import node_name, units
from launchpad_lite.runtime import events as ev
from launchpad_lite.runtime import supervisor as sv
from launchpad_lite.runtime.followers import Followers
from launchpad_lite.runtime.measuring import Measuring
from launchpad_lite.runtime.outcome import node_failed
from launchpad_lite.runtime.status import NodeStatus, Notice, RunStatus
from launchpad_lite.runtime.watchers import Watchers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from concurrent import futures

    from launchpad_lite.planning import LaunchPlan
    from launchpad_lite.runtime.backend import Backend
    from launchpad_lite.runtime.measuring import RunMetrics
    from launchpad_lite.runtime.subscription import Subscription

_log = logging.getLogger(__name__)


def restarts_of(plan: LaunchPlan) -> list[sv.Restarts]:
    """Return which workers of a plan are started again when they fail."""
    return [
        sv.Restarts(unit, tuple(worker.name for worker in workers), workers[0].max_restarts)
        for unit, workers in units(plan).items()
        if workers[0].max_restarts
    ]


class Controller:
    """Everything that exists once per run; thread-safe."""

    def __init__(
        self,
        plan: LaunchPlan,
        run_id: str,
        backend: Backend,
        *,
        log_tail: Callable[[str], str] = lambda _: "",
        on_change: Callable[[RunStatus], object] = lambda _: None,
        shows_output: bool = False,
    ) -> None:
        """Make the controller of a run that has not started.

        Args:
          plan: the plan.
          run_id: the run.
          backend: the launcher's hands.
          log_tail: returns the last lines of a node's log.
          shows_output: whether the launching process shows the nodes' logs.
          on_change: is told of each change of phase, in the controller's thread.
        """
        self.run_id = run_id
        self.plan = plan
        self.followers = Followers(plan.services, [worker.name for worker in plan.workers])
        self.directory = self.followers.directory
        self.ended = threading.Event()
        self.error: LaunchpadError | None = None
        self.detached = False  # it never is: this process is what holds the run together
        self.begun = True
        self.causes: dict[str, BaseException] = {}
        self._backend = backend
        self._log_tail = log_tail
        self._on_change = on_change
        self._shows_output = shows_output
        self._started = time.time()
        has_run = {worker.name: worker.has_run for worker in plan.workers}
        self._supervisor = sv.Supervisor(has_run, plan.config, restarts_of(plan))
        self._events: queue.SimpleQueue[ev.Event] = queue.SimpleQueue()
        self._specs = {worker.name: worker for worker in plan.workers}
        self._workers = {
            service: worker.name for worker in plan.workers for service in worker.services
        }
        self._lock = threading.Lock()
        self._progress = threading.Condition()
        self.measuring = Measuring(run_id, self.followers.lines)
        self._notes: dict[str, tuple[int, str]] = {}
        self._watchers = Watchers()
        self._at_notice: list[Callable[[float, str], object]] = []
        self._at_end: list[Callable[[], object]] = []
        self._thread = threading.Thread(
            target=self._run, name=f"lp-controller {run_id}", daemon=True
        )

    # --- the run's life ---

    def start(self) -> None:
        """Bring up the workers.

        Raises:
          LaunchpadError: the launcher could not; nothing is left running.
        """
        self._changed()
        try:
            self._backend.start(self.plan.workers, self.post)
        except BaseException:
            self._clean_up()
            raise
        self._thread.start()  # now that there are workers to be told and ended

    def at_notice(self, function: Callable[[float, str], object]) -> None:
        """Call a function when the run begins to stop, with the seconds left and the reason."""
        self._at_notice.append(function)

    def at_end(self, function: Callable[[], object]) -> None:
        """Call a function after the run has ended, before `ended` is set."""
        self._at_end.append(function)

    def post(self, event: ev.Event) -> None:
        """Tell the supervisor what happened; never waits."""
        self._events.put(event)

    def request_stop(self, reason: str, *, immediately: bool = False) -> None:
        """Ask for the end of the run; never waits, and may be called from a signal handler."""
        self.post(ev.StopRequested(reason, immediately))

    def told_to_end(self, why: str) -> None:
        """Stop because what the run is on is taken from it, as `why` says: an error."""
        self.post(ev.StopRequested(why, taken=True))

    @property
    def taken(self) -> str:
        """Why the run was told to end, if it went on until then; empty if it ends otherwise."""
        return self._supervisor.taken

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end of the run; return whether it has ended."""
        return self.ended.wait(timeout)

    def join_workers(
        self, names: Collection[str], timeout: float | None = None, *, first: bool = False
    ) -> bool:
        """Wait for the end of some workers, or of the run; return whether it has come.

        Args:
          names: the workers.
          timeout: seconds; None for no limit.
          first: wait for one of them rather than for all.
        """
        enough = any if first else all

        def have_ended() -> bool:
            with self._lock:
                return enough(self._supervisor.has_ended(name) for name in names)

        with self._progress:
            return self._progress.wait_for(lambda: self.ended.is_set() or have_ended(), timeout)

    def _run(self) -> None:
        try:
            self._supervise()
        except BaseException as error:  # whatever it is, nobody must wait for ever
            message = f"the controller of {self.run_id} failed: {error!r}"
            self.error = RunError(message)
            self.error.__cause__ = error
            with contextlib.ExitStack() as ending:
                ending.callback(self._end)
                ending.callback(self._clean_up)
                _log.exception(message)  # who logs may fail, too

    def _supervise(self) -> None:
        shown = self._supervisor.phase
        while self._supervisor.phase is not sv.Phase.ENDED:
            deadline = self._supervisor.deadline
            wait = None if deadline is None else max(0.0, deadline - time.monotonic())
            event: ev.Event | None = None
            try:
                event = self._events.get(timeout=wait)
            except queue.Empty:
                commands = self._supervisor.tick(time.monotonic())
            else:
                commands = self._handle(event)
            if self._supervisor.phase is not shown:
                shown = self._supervisor.phase
                self._changed()
            elif isinstance(event, ev.WorkerEnded):
                self._watchers.tell(self.status())
            for command in commands:
                self._do(command)

    def _handle(self, event: ev.Event) -> list[ev.Command]:
        with self._lock:
            commands = self._supervisor.handle(event, time.monotonic())
        with self._progress:
            self._progress.notify_all()
        return commands

    def _do(self, command: ev.Command) -> None:
        if isinstance(command, ev.Notify):
            self.followers.notify(Notice(command.seconds, command.reason))
            self._backend.notify(command.seconds, command.reason)
            for function in self._at_notice:
                function(command.seconds, command.reason)
        elif isinstance(command, ev.NotifyLeaving):
            notice = Notice(command.seconds, command.reason, command.ends)
            self.followers.notify_leaving(command.names, notice)
        elif isinstance(command, ev.Retire):
            for service in self._specs[command.name].services:
                self.retire(service, command.reason)
        elif isinstance(command, ev.Restart):
            self._restart(command)
        elif isinstance(command, ev.Terminate):
            self._backend.terminate(command.names, command.seconds)
        elif isinstance(command, ev.Kill):
            _log.warning("%s: ending by force: %s", self.run_id, ", ".join(command.names))
            self._backend.kill(command.names)
        elif isinstance(command, ev.Hint):
            _log.warning("%s: %s", self.run_id, command.text)
        else:
            self._finish(command.stuck)

    def _restart(self, command: ev.Restart) -> None:
        if command.reason:
            cause = self.causes.get(command.name)  # other workers leave it in their logs
            text = "%s: starting %s again: %s"
            _log.warning(text, self.run_id, command.name, command.reason, exc_info=cause)
        self.followers.begin_again(command.name)
        self._backend.restart(self._specs[command.name], command.incarnation)

    def _finish(self, stuck: tuple[str, ...]) -> None:
        failed = self._supervisor.failed
        if failed is not None:
            name, failure = failed
            log = self._log_tail(name)
            self.error = node_failed(name, failure, log, shown=self._shows_output)
            self.error.__cause__ = self.causes.get(name)
        elif stuck:
            self.error = NodesStuck(stuck, self._backend.stacks(stuck))
        elif self.taken:
            self.error = RunError(f"{self.run_id}: {self.taken}")
        self._clean_up()
        self._end()

    def _end(self) -> None:
        self.ended.set()
        with self._progress:
            self._progress.notify_all()

    def _clean_up(self) -> None:
        self.followers.end()
        self._watchers.end()
        for function in (self._backend.close, *self._at_end):
            try:
                function()
            except Exception:
                _log.exception("%s: cleaning up after the run failed", self.run_id)

    def _changed(self) -> None:
        status = self.status()
        try:
            self._on_change(status)
        except Exception as error:
            _log.warning("%s: its status could not be kept: %s", self.run_id, error)
        self._watchers.tell(status)

    def metrics(self) -> RunMetrics:
        """Ask all nodes what they have counted of their calls."""
        return self.measuring.metrics()

    # --- what tests ask ---

    def leftovers(self, timeout: float) -> list[str]:
        """Return what is left of the workers; see `Backend.leftovers`."""
        return self._backend.leftovers(timeout)

    def instance(self, label: str, index: int) -> futures.Future[Any]:
        """Return the object that a node makes; see `Backend.instance`."""
        return self._backend.instance(node_name(self.plan, label, index))

    # --- what workers and viewers ask ---

    def publish(self, record: EndpointRecord) -> None:
        """Take a worker's word for where its service listens."""
        taken = self.followers.publish(record)
        if taken and record.name in self._workers:
            self.post(ev.WorkerUp(self._workers[record.name]))

    def retire(self, name: str, reason: str) -> None:
        """Tell everyone that a service will not come back."""
        self.followers.retire(name, reason)

    def run_ended(self, worker: str) -> None:
        """Take a worker's word that it has done what it runs, and only serves from now on."""
        self.post(ev.RunEnded(worker))

    def note(self, worker: str, incarnation: int, text: str) -> None:
        """Take a worker's word on what holds it up; empty when nothing does."""
        self._notes[worker] = (incarnation, text)

    def status(self) -> RunStatus:
        """Return where the run is."""
        with self._lock:
            states, again_for = dict(self._supervisor.states), dict(self._supervisor.again_for)
            restarts = dict(self._supervisor.incarnations)
            phase, reason = self._supervisor.phase, self._supervisor.reason
            failed, taken = self._supervisor.failed, self._supervisor.taken
        nodes: list[NodeStatus] = []
        for worker in self.plan.workers:
            records = [self.directory.get(service) for service in worker.services]
            again = restarts[worker.name]
            since, noted = self._notes.get(worker.name, (again, ""))
            up = [each for each in records if isinstance(each, EndpointRecord)]
            places = [place for each in up if each.incarnation == again for place in each.endpoints]
            nodes.append(
                NodeStatus(
                    name=worker.name,
                    title=worker.title,
                    state=states[worker.name].value,
                    endpoints=tuple(places),
                    restarts=again,
                    note=(noted if since == again else "") or again_for.get(worker.name, ""),
                )
            )
        return RunStatus(
            run_id=self.run_id,
            program=self.plan.program,
            launcher=self.plan.launcher,
            phase=phase.value,
            reason=reason,
            started=self._started,
            nodes=tuple(nodes),
            error=f"node {failed[1].node or failed[0]} failed: {failed[1].summary}"
            if failed
            else taken,
        )

    def watch(self) -> Subscription:
        """Return the stream of the run's status: now, at each phase, at the end of each worker."""
        return self._watchers.watch(self.status)
