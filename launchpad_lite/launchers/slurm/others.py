"""The jobs of a run that has several, as the first of them watches them: the controller's."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from launchpad_lite.launchers.slurm import commands, script
from launchpad_lite.launchers.slurm.ended_tasks import ended_tasks
from launchpad_lite.launchers.slurm.lost_tasks import lost_tasks
from launchpad_lite.launchers.slurm.waiting import Queue, is_alive, pauses, waits_for_ever
from launchpad_lite.runtime.rundir import tail

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launchpad_lite.launchers.slurm.layout import Step
    from launchpad_lite.launchers.slurm.submission import Submission
    from launchpad_lite.runtime.fleet import Fleet
    from launchpad_lite.runtime.rundir import RunDirectory

_TAIL_LINES = 10

_log = logging.getLogger(__name__)


class OtherJobs:
    """Watches jobs until their agents have come; what becomes of them then, their lines tell."""

    def __init__(self, directory: RunDirectory, submission: Submission, fleet: Fleet) -> None:
        """Prepare.

        Args:
          directory: the run's.
          submission: what its jobs were made of.
          fleet: hears of agents that will not come.
        """
        self._directory = directory
        self._submission = submission
        self._fleet = fleet
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to watch, if there are any."""
        if len(self._submission.layout.jobs) > 1:
            threading.Thread(target=self._run, name="lp-slurm-jobs", daemon=True).start()

    def end(self) -> None:
        """Watch no more: the run has ended."""
        self._ended.set()

    def _run(self) -> None:
        jobs = self._await_jobs()
        if not jobs:
            return
        titles = self._submission.titles(jobs)
        steps = dict(zip(jobs, self._submission.layout.steps, strict=True))
        queue = Queue({job: titles[job] for job in jobs[1:]})
        while not self._ended.wait(queue.pause):
            missing = {job: steps[job] for job in jobs[1:] if self._fleet.awaits(steps[job].agents)}
            if not missing:
                return
            try:
                states = commands.states(missing)
            except commands.SlurmError as error:  # it may be restarted
                _log.warning("SLURM cannot be asked: %s", error)
                continue
            for text in queue.news(states, time.time()):
                _log.warning("%s", text)
            self._give_up(states, missing)

    def _await_jobs(self) -> tuple[int, ...]:
        """Return the run's jobs, once all are submitted; none if the run has ended before."""
        for pause in pauses():
            jobs = self._submission.jobs(self._directory)
            if jobs or self._ended.wait(pause):
                return jobs
        return ()

    def _give_up(
        self, states: Mapping[int, commands.JobState], missing: Mapping[int, Step]
    ) -> None:
        for job, step in missing.items():
            state, agents = states.get(job), step.agents
            if state is not None and waits_for_ever(state):
                self._fleet.give_up(agents, f"its job {job} would wait for ever ({state.reason})")
            elif is_alive(state):
                self._give_up_tasks(job, step)
            else:
                state = commands.last_words(job) or state
                how = "is over" if state is None else f"ended as {state.state}{state.because}"
                log = tail(self._submission.log(self._directory, job)).splitlines()
                said = "".join(f"\n  {line}" for line in log[-_TAIL_LINES:])
                self._fleet.give_up(agents, f"its job {job} {how}{said}")

    def _give_up_tasks(self, job: int, step: Step) -> None:
        """Give up those of a job's tasks of which srun says that they have ended.

        It goes on itself for the others. Once one of them has come, all in the log is of this life.
        """
        if all(self._fleet.awaits([agent]) for agent in step.agents):
            return
        log = tail(self._submission.log(self._directory, job)).rpartition(script.BEGINS)[2]
        for ended in filter(None, map(ended_tasks, log.splitlines())):
            lost, why = lost_tasks(step, self._submission.place, ended, [str(job)])
            self._fleet.give_up([agent for agent in lost if self._fleet.awaits([agent])], why)
