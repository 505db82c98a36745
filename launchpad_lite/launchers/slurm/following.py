"""A run on a cluster of SLURM, followed from the machine that has submitted it."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from launchpad_lite.errors import CallError, ControllerLost, Stopped, UsageError
from launchpad_lite.launchers.following import Following, last_status
from launchpad_lite.launchers.slurm import commands, script
from launchpad_lite.launchers.slurm.submission import Submission
from launchpad_lite.launchers.slurm.waiting import Waiting, is_alive
from launchpad_lite.runtime.control import RunViewer
from launchpad_lite.runtime.rundir import tail
from launchpad_lite.runtime.supervisor import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launchpad_lite.errors import LaunchpadError
    from launchpad_lite.runtime.rundir import RunDirectory

_OUTCOME_S = 10.0  # for what the job has written to appear on a shared file system
_SOON_S = 2.0  # the same, of a job that may never have come so far
_TAIL_LINES = 20


class FollowingJobs(Following):
    """A run whose controller is in a job.

    SLURM is asked until the controller has come up, and then that is listened to.
    """

    def __init__(
        self, directory: RunDirectory, submission: Submission, jobs: Sequence[int]
    ) -> None:
        """Prepare; `start` begins.

        Args:
          directory: the run's.
          submission: what was submitted.
          jobs: the numbers of its jobs; the first has the controller.
        """
        super().__init__(
            submission.plan,
            submission.options,
            directory,
            submission.credentials,
            waits=not submission.options.detach,
            asks=True,
            logs={"slurm": submission.news(directory)},
        )
        self._jobs = tuple(jobs)
        self._has_setup = bool(submission.options.setup)
        self._titles = submission.titles(jobs)
        self._waiting = Waiting(directory, self._titles, self._say)

    def _follow(self) -> LaunchpadError | None:
        first, told = self._jobs[0], ""
        while (rendezvous := self._waiting.controller(lambda: self._over)) is not None:
            viewer = RunViewer(rendezvous.endpoint, rendezvous.credentials)
            self._begin(viewer, rendezvous)
            self._waiting.heed_first()
            with contextlib.suppress(CallError, Stopped):
                for status in viewer.changes():
                    self._take(status)
            self._await_outcome(_OUTCOME_S, self._is_queued_again)
            self._lose()
            state = self._waiting.ask().get(first)
            if state is None or not is_alive(state):
                break
            news = f"job {first} is {state.state.lower()}{state.because}"
            if news != told and self._directory.outcome() is None:
                told = news  # once: there may be no way to the controller from here
                self._say(news)
        else:
            # Without a log nobody has written it, but lp-launch stop.
            if Submission.log(self._directory, first).exists() or not self._cancelled:
                self._await_outcome(_SOON_S, lambda: self._waiting.ended() is None)
        if self._over:
            return None
        outcome = self._directory.outcome()
        if outcome is not None:
            kept = self._directory.status()
            if kept is not None and not self.begun:  # lp-launch stop has written it
                self._take(kept)
            return outcome[0]
        Submission.remove(self._directory)
        error = self._explain()
        self._status = last_status(self._status, error, "stopped while it waited")
        with contextlib.suppress(OSError):  # it is for people
            self._directory.write_status(self._status)
        return error

    def _is_queued_again(self) -> bool:
        """Whether the controller has written that the run is to begin again."""
        status = self._directory.status()
        waits = status is not None and status.phase == Phase.RUNNING.value
        return waits and self._directory.rendezvous() is None

    def _explain(self) -> LaunchpadError | None:
        """Return why jobs are over whose controller has left no word."""
        hopeless, ended = self._waiting.hopeless(), self._waiting.ended()
        if hopeless is not None or self._jobs[1:]:
            self._cancel()
        if self._cancelled:
            return None
        if hopeless is not None:
            reason = self._waiting.states[hopeless].reason
            message = (
                f"{self.run_id}: {self._titles[hopeless]} would wait for ever ({reason}), and is "
                "cancelled. Ask for less with lp.SlurmOptions or lp.Resources, or for another "
                "partition or account; `sinfo` shows what the partition allows."
            )
            return UsageError(message)
        job = self._jobs[0] if ended is None else ended
        state = commands.last_words(job) or self._waiting.states.get(job)
        if state is not None and state.state == "CANCELLED" and not state.begun:
            message = f"{self.run_id}: {self._titles[job]} was cancelled before it began."
            return ControllerLost(message)
        how = "is over" if state is None else f"ended as {state.state}{state.because}"
        log = Submission.log(self._directory, job)
        last = "".join(f"\n  {line}" for line in tail(log).splitlines()[-_TAIL_LINES:])
        what = f"{self._titles[job]} {how}{self._left(job)}"
        lacks = "" if log.exists() else f", which is not there. {script.SHARE}"
        return ControllerLost(f"{self.run_id}: {what} Its log: {log}{lacks}{last}")

    def _left(self, job: int) -> str:
        """Return what the end of a job means for the run's controller."""
        if job != self._jobs[0]:
            return "."
        if self.begun:
            return ", and its controller is gone without a word: it was killed."
        setup = " Is it a line of `setup` that has ended its script?" if self._has_setup else ""
        return f" before the run's controller had started.{setup}"

    def _cancel(self) -> None:
        with contextlib.suppress(commands.SlurmError):
            commands.cancel(self._jobs)
            self._waiting.hurry()

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
