"""Until a run's controller has come up: its jobs wait in SLURM's queue."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

from launchpad_lite.errors import CallError, DeadlineExceeded, Unavailable
from launchpad_lite.launchers.slurm import commands
from launchpad_lite.runtime.control import RunViewer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from launchpad_lite.launchers.slurm.commands import JobState
    from launchpad_lite.runtime.rundir import Rendezvous, RunDirectory

ASK_S = 5.0
"""Seconds between two questions to SLURM, at least."""

_FOR_EVER = (
    *("PartitionTimeLimit", "PartitionNodeLimit", "BadConstraints", "InvalidAccount", "InvalidQOS"),
    *("AccountNotAllowed", "Job's account ", "Job's QOS "),
)
"""What reasons to wait begin with that do not go away by themselves; SLURM takes such jobs."""

_PATIENT_S = 30.0  # between two of them while a job waits for long
_ALIVE = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "REQUEUED", "SUSPENDED", "STOPPED")
_FIRST_LOOK_S, _LAST_LOOK_S, _SLOWER = 0.1, 2.0, 1.05
_MOVED_S = 60.0
_MOVED = 0.1
"""An expected start is told again when it has moved by so much of the time until then."""


def pauses() -> Iterator[float]:
    """Yield seconds between looks at a shared directory.

    What comes soon is seen soon; what takes long is looked for ever more rarely.
    """
    pause = _FIRST_LOOK_S
    while True:
        yield pause
        pause = min(_SLOWER * pause, _LAST_LOOK_S)


def is_alive(state: JobState | None) -> bool:
    """Whether a job has not ended; SLURM forgets those that have ended long ago."""
    return state is not None and state.state in _ALIVE


def waits_for_ever(state: JobState | None) -> bool:
    """Whether a job waits for what never comes."""
    return state is not None and state.state == "PENDING" and state.reason.startswith(_FOR_EVER)


def answers(rendezvous: Rendezvous) -> bool:
    """Whether a controller is there; one that was lost with its machine may have left its word."""
    try:
        RunViewer(rendezvous.endpoint, rendezvous.credentials).status()
    except (Unavailable, DeadlineExceeded):
        return False
    except CallError:  # who goes on to call it will hear why
        pass
    return True


class Queue:
    """What is told of jobs that wait, and when SLURM is asked again. Without I/O.

    Attributes:
      pause: seconds until the next question.
    """

    def __init__(self, titles: Mapping[int, str]) -> None:
        """Begin.

        Args:
          titles: what the jobs are called, by number.
        """
        self.pause = ASK_S
        self._titles = dict(titles)
        self._told: dict[int, tuple[str, float | None]] = {}

    def news(self, states: Mapping[int, JobState], now: float) -> list[str]:
        """Return what is new of jobs that wait.

        Args:
          states: where the jobs are.
          now: in seconds since 1970.
        """
        new: list[str] = []
        for job, title in self._titles.items():
            state = states.get(job)
            if state is None or state.state != "PENDING":
                self._told.pop(job, None)
            elif self._is_new(job, state, now):
                self._told[job] = (state.reason, state.start)
                new.append(f"{title} is pending{state.because}{_expected(state.start, now)}")
        self.pause = ASK_S if new else min(2 * self.pause, _PATIENT_S)
        return new

    def _is_new(self, job: int, state: JobState, now: float) -> bool:
        reason, start = self._told.get(job, ("", None))
        if reason != state.reason or state.start is None or state.start < now:
            return reason != state.reason
        moved = state.start - now if start is None else abs(state.start - start)
        return moved > max(_MOVED_S, _MOVED * (state.start - now))


def _expected(start: float | None, now: float) -> str:
    if start is None or start <= now:
        return ""
    when, today = time.localtime(start), time.localtime(now)
    shown = "%H:%M" if when[:3] == today[:3] else "%Y-%m-%d %H:%M"
    return f"; SLURM expects it to start at {time.strftime(shown, when)}"


class Waiting:
    """Waits for the controller of a run, and asks SLURM where its jobs are.

    Attributes:
      states: where they were when SLURM was asked last.
    """

    def __init__(
        self, directory: RunDirectory, titles: Mapping[int, str], say: Callable[[str], object]
    ) -> None:
        """Prepare.

        Args:
          directory: the run's.
          titles: what its jobs are called, by number.
          say: tells the user something.
        """
        self.states: dict[int, JobState] = {}
        self._directory = directory
        self._titles = dict(titles)
        self._say = say
        self._hurried = threading.Event()

    def hurry(self) -> None:
        """Look at once, and ask SLURM as soon as may be: the jobs were cancelled."""
        self._hurried.set()

    def heed_first(self) -> None:
        """Ask for the first job alone from now on: its controller watches the others."""
        first, title = next(iter(self._titles.items()))
        self._titles = {first: title}

    def ask(self) -> dict[int, JobState]:
        """Return where the jobs are, in one question; that SLURM is away is waited out."""
        while True:
            try:
                self.states = commands.states(self._titles)
            except commands.SlurmError as error:  # it may be restarted
                self._say(f"SLURM cannot be asked: {error}")
                time.sleep(ASK_S)
            else:
                return self.states

    def controller(self, is_over: Callable[[], bool]) -> Rendezvous | None:
        """Wait until the controller can be reached; None if there is no more to wait for.

        That is so when the run has ended, or one of its jobs, or one waits for what never comes.

        Args:
          is_over: tells whether nobody wants to know any more.
        """
        queue, looks = Queue(self._titles), pauses()
        first, waits, hurried = next(iter(self._titles)), False, False
        asked, due = -math.inf, time.monotonic() + queue.pause
        while self._directory.outcome() is None and not is_over():
            rendezvous = self._directory.rendezvous()
            if rendezvous is not None:
                return rendezvous
            if time.monotonic() >= due:
                states = self.ask()
                for text in queue.news(states, time.time()):
                    self._say(text)
                asked = time.monotonic()
                due = asked + (ASK_S if hurried else queue.pause)
                if self.ended() is not None or self.hopeless() is not None:
                    break
                waited, waits = waits, states[first].state == "PENDING"
                looks = pauses() if waited and not waits else looks
            if self._hurried.wait(next(looks)):
                self._hurried.clear()
                hurried, looks, due = True, pauses(), asked + ASK_S
        return None

    def ended(self) -> int | None:
        """Return the first job that is over, if one is."""
        return next((job for job in self._titles if not is_alive(self.states.get(job))), None)

    def hopeless(self) -> int | None:
        """Return the first job that waits for what never comes, if one does."""
        return next((job for job, state in self.states.items() if waits_for_ever(state)), None)
