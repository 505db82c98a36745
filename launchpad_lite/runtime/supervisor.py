"""Decides what happens to a run's workers: events in, commands out, no I/O and no clock.

```
RUNNING ──lp.stop(), Ctrl-C, a node fails──▶ NOTICE ──nothing runs, or time──▶ TERMINATING
   └──every node has ended──▶ ENDED ◀──all ended── KILLING ◀────────── time ───────┘
```
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING

from launchpad_lite.runtime.events import (
    Command,
    Event,
    Failure,
    Finish,
    Hint,
    HostLeaving,
    HostLost,
    Kill,
    Notify,
    NotifyLeaving,
    Restart,
    Retire,
    RunEnded,
    StopRequested,
    Terminate,
    WorkerEnded,
    WorkerUp,
)
from launchpad_lite.runtime.leaving import Leaving

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from launchpad_lite.config import RunConfig

KILL_WAIT_S = 2.0
"""Seconds after which a worker that was killed and has not ended is given up."""


class Phase(enum.Enum):
    """Where the run is on its way to its end."""

    RUNNING = "running"
    NOTICE = "stopping"
    TERMINATING = "terminating"
    KILLING = "killing"
    ENDED = "ended"


class WorkerState(enum.Enum):
    """Where one worker is."""

    STARTING = "starting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True, slots=True)
class Restarts:
    """Workers that are started again when they fail.

    Attributes:
      title: what they are part of, for people.
      names: the workers.
      most: how often, all together.
    """

    title: str
    names: tuple[str, ...]
    most: int


class Supervisor:
    """The state of one run.

    Attributes:
      phase: where the run is.
      states: where each worker is.
      incarnations: how often each worker was started again.
      again_for: why workers that are not up yet are started again; for people.
      reason: why the run stops; empty while it does not.
      taken: the same reason, if what the run is on was taken from it while it went on.
      failed: the worker that failed first, and why.
    """

    def __init__(
        self,
        has_run: Mapping[str, bool],
        config: RunConfig,
        restarts: Iterable[Restarts] = (),
    ) -> None:
        """Begin with all workers starting.

        Args:
          has_run: for each worker, whether it does something of its own and so ends by itself.
          config: how long notice and grace are.
          restarts: which workers are started again when they fail; others are not.
        """
        self.phase = Phase.RUNNING
        self.states = dict.fromkeys(has_run, WorkerState.STARTING)
        self.reason = ""
        self.taken = ""
        self.failed: tuple[str, Failure] | None = None
        self.incarnations = dict.fromkeys(has_run, 0)
        self.again_for: dict[str, str] = {}
        self._has_run = dict(has_run)
        self._runs = dict(has_run)
        self._config = config
        self._left = {unit: unit.most for unit in restarts}
        self._units = {name: unit for unit in self._left for name in unit.names}
        self._hinted = False
        self._deadline: float | None = None
        self._notice_end = 0.0
        self._leaving = Leaving(self._runs, config)

    @property
    def deadline(self) -> float | None:
        """When `tick` must be called, in the seconds of `now`; None for never."""
        return self._leaving.deadline if self.phase is Phase.RUNNING else self._deadline

    def _alive(self) -> tuple[str, ...]:
        return tuple(name for name in self.states if not self.has_ended(name))

    def has_ended(self, name: str) -> bool:
        """Return whether a worker is gone."""
        return self.states[name] in (WorkerState.DONE, WorkerState.FAILED)

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take an event; return what to do."""
        if self.phase is Phase.ENDED:
            return []
        if isinstance(event, WorkerUp):
            if self.states[event.name] is WorkerState.STARTING:
                self.states[event.name] = WorkerState.RUNNING
                self.again_for.pop(event.name, None)
            return []
        if isinstance(event, StopRequested):
            if event.taken and self.phase is Phase.RUNNING:
                self.taken = event.reason
            return self._stop(event.reason, now, immediately=event.immediately)
        if isinstance(event, HostLeaving):
            return self._leave(event, now)
        if isinstance(event, RunEnded):
            self._runs[event.name] = False
            commands = self._look_who_runs(now)
        elif isinstance(event, HostLost):
            commands = self._lost(event, now)
        else:
            moved = event.failure is None or event.forced
            commands = self._move(event.name) if moved else []
            commands = commands or self._restart(event) or self._ended(event, now)
        return [*commands, *self._leaving.look(now)]

    def _lost(self, event: HostLost, now: float) -> list[Command]:
        lost = [name for name in event.names if name in self._alive()]
        commands: list[Command] = []
        for name in lost:
            ended = WorkerEnded(name, Failure(event.reason))
            again = self._move(name) or self._restart(ended) if event.replaceable else []
            commands += again or self._ended(ended, now)
        return commands

    def _leave(self, event: HostLeaving, now: float) -> list[Command]:
        alive = self._alive()
        names = tuple(name for name in event.names if name in alive and name not in self._leaving)
        if self.phase is not Phase.RUNNING or not names:
            return []
        if event.replaceable and all(name in self._units for name in names):
            hint = Hint(f"{event.reason}; to be started again elsewhere: {_some(names)}")
            return [hint, *self._leaving.begin(event, names, now)]
        return [
            Hint(f"{event.reason}; not to be started again elsewhere: {_some(names)}"),
            NotifyLeaving(names, event.seconds, event.reason, ends=False),
        ]

    def tick(self, now: float) -> list[Command]:
        """Act on a deadline that has passed."""
        if self.phase is Phase.RUNNING:
            return list(self._leaving.tick(now))
        if self._deadline is None or now < self._deadline:
            return []
        if self.phase is Phase.NOTICE:
            return self._terminate(now)
        if self.phase is Phase.TERMINATING:
            return self._kill(now)
        return self._finish(self._alive())

    def _restart(self, event: WorkerEnded) -> list[Command]:
        """Return what starts a worker again; nothing where it is not to be."""
        name, unit = event.name, self._units.get(event.name)
        if event.failure is None or unit is None or self._left[unit] == 0:
            return []
        if self.phase is not Phase.RUNNING or self.has_ended(name):
            return []
        self._left[unit] -= 1
        self._leaving.end(name)
        done = unit.most - self._left[unit]
        limit = f"restart {done} of {unit.most} of {unit.title}"
        reason = f"it failed ({event.failure.summary}), {limit}"
        return [self._again(name, reason, reason)]

    def _move(self, name: str) -> list[Command]:
        """Return what starts a worker elsewhere; nothing where it was not told to leave."""
        reason = self._leaving.end(name)
        return [self._again(name, "", f"it has left a machine: {reason}")] if reason else []

    def _again(self, name: str, failed: str, note: str) -> Restart:
        self.states[name] = WorkerState.STARTING
        self._runs[name] = self._has_run[name]
        self.incarnations[name] += 1
        self.again_for[name] = note
        return Restart(name, self.incarnations[name], failed)

    def _ended(self, event: WorkerEnded, now: float) -> list[Command]:
        if event.name not in self._alive():
            return []
        stopping = self.phase is not Phase.RUNNING
        failure = None if event.forced and stopping else event.failure
        self.states[event.name] = WorkerState.FAILED if failure else WorkerState.DONE
        self.again_for.pop(event.name, None)
        reason = f"it failed ({failure.summary})" if failure else "it has ended"
        commands: list[Command] = [Retire(event.name, reason)]
        if failure and self.failed is None:
            self.failed = (event.name, failure)
        alive = self._alive()
        if not alive:
            return commands + self._finish(())
        if failure and not stopping:
            return commands + self._stop(f"node {failure.node or event.name} failed", now)
        return commands + self._look_who_runs(now)

    def _look_who_runs(self, now: float) -> list[Command]:
        alive = self._alive()
        if self._running(alive):
            return []
        if self.phase is Phase.NOTICE:
            return self._terminate(now)
        if self.phase is not Phase.RUNNING or self._hinted:
            return []
        self._hinted = True
        text = (
            f"all nodes that run have ended; {_some(alive)} only serve(s), and will until "
            "lp.stop() or Ctrl-C"
        )
        return [Hint(text)]

    def _running(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if self._runs[name]]

    def _stop(self, reason: str, now: float, *, immediately: bool = False) -> list[Command]:
        first = self.phase is Phase.RUNNING
        self._leaving.forget()
        if first:
            self.reason = reason
        if immediately:
            notify: list[Command] = [Notify(0.0, reason)] if first else []
            return notify + (self._kill(now) if self.phase is not Phase.KILLING else [])
        if not first:
            return []
        self.phase = Phase.NOTICE
        self._deadline = self._notice_end = now + self._config.notice_s
        commands: list[Command] = [Notify(self._config.notice_s, reason)]
        if not self._running(self._alive()):
            commands += self._terminate(now)
        return commands

    def _terminate(self, now: float) -> list[Command]:
        self.phase = Phase.TERMINATING
        notice_end = max(now, self._notice_end)  # those that only serve have all of the notice too
        self._deadline = notice_end + self._config.grace_s
        return [Terminate(self._alive(), notice_end - now)]

    def _kill(self, now: float) -> list[Command]:
        self.phase = Phase.KILLING
        self._deadline = now + KILL_WAIT_S
        return [Kill(self._alive())]

    def _finish(self, stuck: tuple[str, ...]) -> list[Command]:
        self.phase = Phase.ENDED
        self._deadline = None
        return [Finish(stuck)]


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"  # noqa: PLR2004
