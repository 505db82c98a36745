"""A run that a job of a Ray cluster holds, followed from outside of the cluster."""

from __future__ import annotations

import collections
import contextlib
import re
import sys
import threading
from typing import TYPE_CHECKING

import msgspec

from launchpad_lite.credentials import Credentials
from launchpad_lite.errors import (
    ControllerLost,
    LauncherUnavailableError,
    NodeFailed,
    RunError,
    Unavailable,
    UsageError,
)
from launchpad_lite.launchers.following import Following, first_status
from launchpad_lite.launchers.ray.actors import SHIP
from launchpad_lite.launchers.ray.jobs import letters
from launchpad_lite.launchers.ray.jobs.mirror import Mirror
from launchpad_lite.runtime.status import RunStatus

if TYPE_CHECKING:
    from launchpad_lite.errors import LaunchpadError
    from launchpad_lite.launchers.ray.jobs.api import Dashboard, JobState
    from launchpad_lite.launchers.ray.options import RayOptions
    from launchpad_lite.planning import LaunchPlan
    from launchpad_lite.runtime.measuring import RunMetrics
    from launchpad_lite.runtime.run import Run
    from launchpad_lite.runtime.rundir import RunDirectory

_KEPT_LINES = 20
_WORD_S = 4.0  # one that hangs is followed by others within the job's patience
_JOIN_S = 2 * _WORD_S + 1  # to connect, and to be answered
_NO_WAY = (
    "{} is in a Ray cluster that this process is outside of: only its output and its status come "
    "here. Make calls in a node of the program, or in the cluster with lp.connect."
)


class Words:
    """Tells the job that this process is there, or what it wants.

    Implements `Viewer`, as far as can be.
    """

    def __init__(self, dashboard: Dashboard, run_id: str) -> None:
        """Prepare; `start` begins."""
        self._dashboard = dashboard
        self._run_id = run_id
        self._word = letters.Word(number=0)
        self._thread: threading.Thread | None = None
        self._changed = threading.Event()
        self._ended = threading.Event()
        self.known: RunStatus | None = None

    def start(self) -> None:
        """Begin to tell it that this process is there."""
        self._thread = threading.Thread(target=self._beat, name="lp-ray-words", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Say no more."""
        self._ended.set()
        self._changed.set()
        if self._thread is not None:
            self._thread.join(_JOIN_S)  # or its last word would come after what removes them

    def _beat(self) -> None:
        name, number = letters.word_name(self._run_id), 0
        while not self._ended.is_set():
            self._changed.clear()
            number += 1
            word = msgspec.structs.replace(self._word, number=number)
            with contextlib.suppress(Unavailable):
                self._dashboard.put(name, msgspec.json.encode(word), _WORD_S)
            self._changed.wait(letters.BEAT_S)

    def stop(self, reason: str, *, immediately: bool = False) -> None:
        """See `Viewer`: it is said until it is heard, or the job misses all words."""
        self._word = letters.Word(number=0, stop=reason, immediately=immediately)
        self._changed.set()
        if self._thread is None:
            self.start()

    def status(self) -> RunStatus:
        """See `Viewer`: what was heard last."""
        if self.known is None:
            message = f"{self._run_id} has not begun"
            raise Unavailable(message, maybe_executed=False)
        return self.known

    def metrics(self) -> RunMetrics:
        """See `Viewer`.

        Raises:
          Unavailable: always.
        """
        raise Unavailable(_NO_WAY.format(self._run_id), maybe_executed=False)


class FollowingJob(Following):
    """A run whose controller is in the cluster of a job; its log tells of the run."""

    def __init__(
        self, plan: LaunchPlan, options: RayOptions, directory: RunDirectory, dashboard: Dashboard
    ) -> None:
        """Prepare; `start` begins.

        Args:
          plan: the plan, with the program's own classes.
          options: the user's.
          directory: the run's on this machine.
          dashboard: of the cluster, which has the job.
        """
        waits = not options.detach
        super().__init__(plan, options, directory, Credentials.create(), waits=waits)
        self._dashboard = dashboard
        self._mirror = Mirror(directory, first_status(plan, self.run_id))
        self._words = Words(dashboard, self.run_id)
        self._last: collections.deque[str] = collections.deque(maxlen=_KEPT_LINES)
        self._reach.refuse(_NO_WAY.format(self.run_id))

    def start(self) -> Run:
        """See the base class."""
        if self._waits:
            self._words.start()
        return super().start()

    def _follow(self) -> LaunchpadError | None:
        try:
            for lines in self._dashboard.follow(self.run_id):
                for news in self._mirror.take(lines):
                    self._hear(news)
                if self._mirror.end is not None:
                    return self._judge(self._mirror.end.error)
            error = self._explain()
        except (ControllerLost, Unavailable) as lost:  # the run may go on, and be asked after
            return ControllerLost(f"{self.run_id} is lost: {lost}")
        self._mirror.ended("" if error is None else str(error).splitlines()[0])
        return error

    def _hear(self, news: RunStatus | str) -> None:
        if isinstance(news, RunStatus):
            self._words.known = news
            if not self.begun:
                self._begin(self._words, None)
            self._take(news)
            return
        self._last.append(news)
        if self.begun and self._waits:  # before that they are Ray's
            with contextlib.suppress(OSError):
                sys.stderr.write(f"{news}\n")
                sys.stderr.flush()

    def _judge(self, error: LaunchpadError | None) -> LaunchpadError | None:
        self._take(self._mirror.status)
        if isinstance(error, NodeFailed):
            error.shown = self._waits and self._output.in_process
        return None if self._cancelled else error

    def _explain(self) -> LaunchpadError | None:
        """Return why a job is over that has not said how its run has ended.

        Raises:
          Unavailable: the dashboard does not answer.
        """
        if self._cancelled:
            return None
        state = self._dashboard.state(self.run_id)
        last = "\n".join(self._last)
        if self.begun:
            message = (
                f"{self.run_id}: its job, which held it together, is over ({state.status}) and has "
                f"not said how it has ended. {state.message}\n{last}"
            )
            return ControllerLost(message.strip())
        return _never_begun(f"{self.run_id}: its job", state, last)

    def _cancel(self) -> None:
        with contextlib.suppress(Unavailable):  # without words it ends by itself
            self._dashboard.end(self.run_id)

    def _let_go(self) -> None:
        self._words.end()
        for name in letters.names(self.run_id):
            with contextlib.suppress(Unavailable):
                self._dashboard.let_go(name)
        super()._let_go()


def _never_begun(job: str, state: JobState, last: str) -> LaunchpadError:
    """Return why a job has ended before its run began.

    Args:
      job: what it is called.
      state: where it is.
      last: what it has printed last.
    """
    if "No module named 'launchpad_lite'" in last:
        return LauncherUnavailableError(SHIP)
    if re.search("No module named '?launchpad_lite[.]launchers[.]ray[.]jobs", last):
        return LauncherUnavailableError(
            "The cluster's machines have an older launchpad_lite, which cannot be launched from "
            "outside: install the same version as here, or ship it with runtime_env."
        )
    if "python: not found" in last:
        return LauncherUnavailableError(
            "The cluster's machines have no `python` on their PATH, which is what starts the job "
            "of a run: start Ray in an environment that has it."
        )
    kind = RunError if state.status == "STOPPED" else UsageError
    return kind(f"{job} has {state.status.lower()}: {state.message}\n{last}".strip())
