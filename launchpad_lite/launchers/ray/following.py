"""A run that an actor holds together, followed from the process that has launched it."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING

from launchpad_lite.errors import CallError, ControllerLost, RunError, Stopped
from launchpad_lite.launchers.following import Following, last_status
from launchpad_lite.launchers.ray.held import HeldByActor, tell
from launchpad_lite.launchers.ray.keeping import Keeper
from launchpad_lite.launchers.ray.messages import Begun, Over, Told
from launchpad_lite.runtime import children
from launchpad_lite.runtime.control import RunViewer
from launchpad_lite.runtime.supervisor import Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.errors import LaunchpadError
    from launchpad_lite.launchers.ray.messages import Submission
    from launchpad_lite.planning import LaunchPlan
    from launchpad_lite.runtime.rundir import Rendezvous, RunDirectory
    from launchpad_lite.runtime.status import RunStatus

_AGAIN_S = 2.0  # between two tries to hear of a run that is not over


class FollowingActor(Following):
    """A run whose controller is in an actor."""

    def __init__(
        self,
        plan: LaunchPlan,
        submission: Submission,
        directory: RunDirectory,
        held: HeldByActor,
        rendezvous: Rendezvous,
        *,
        heard: Callable[[RunStatus], object] | None = None,
    ) -> None:
        """Prepare; `start` begins.

        Args:
          plan: the plan, with the program's own classes.
          submission: what was submitted.
          directory: the run's.
          held: the actor, of a run that has begun.
          rendezvous: how to reach its controller.
          heard: is told where the run is, each time that it changes.
        """
        super().__init__(plan, submission.options, directory, submission.credentials, waits=True)
        self._held = held
        self._keeper = Keeper(directory)
        self._order = threading.Lock()  # of what is taken
        self._heard = heard
        self._begin(held, rendezvous)

    def _follow(self) -> LaunchpadError | None:
        try:
            for news in self._held.news():
                if isinstance(news, Told):
                    tell(news)
                elif isinstance(news, Over):
                    return news.error
                elif not isinstance(news, Begun):
                    self._take(news)
                    if self._heard is not None:
                        self._heard(news)
        except ControllerLost as error:
            return self._lost(error)
        raise AssertionError  # it hears without end, or raises

    def _lost(self, error: ControllerLost) -> ControllerLost:
        """Write down what the controller cannot write any more."""
        self._take(last_status(self._status, error, ""))
        with self._keeper.keeping():
            self._directory.write_status(self._status)
            self._directory.remove_rendezvous()
        return error

    def _take(self, status: RunStatus) -> None:
        """See the base class: an answer that was asked for before the end may come after it."""
        with self._order:
            if self._status.phase != Phase.ENDED.value:
                super()._take(status)
                self._took(status)

    def _took(self, status: RunStatus) -> None:
        """Do what is to be done with each status, in their order."""

    def _cancel(self) -> None:
        self._held.kill()

    def _let_go(self) -> None:
        try:
            self._held.end()
        finally:
            super()._let_go()


class FollowingDetached(Following):
    """A run that goes on without this process, which has left the cluster again."""

    def __init__(
        self,
        plan: LaunchPlan,
        submission: Submission,
        directory: RunDirectory,
        rendezvous: Rendezvous,
    ) -> None:
        """Prepare; `start` begins. See `FollowingActor`."""
        super().__init__(plan, submission.options, directory, submission.credentials, waits=False)
        self._line = RunViewer(rendezvous.endpoint, rendezvous.credentials)
        self._owner = rendezvous.owner
        self._begin(self._line, rendezvous)

    def _follow(self) -> LaunchpadError | None:
        while True:
            alive = self._owner.is_alive()
            with contextlib.suppress(CallError, Stopped):
                for status in self._line.changes():
                    self._take(status)
            outcome = self._directory.outcome()
            if outcome is not None:
                return outcome[0]
            if not alive:
                return self._without_outcome()
            time.sleep(_AGAIN_S)

    def _without_outcome(self) -> LaunchpadError | None:
        status = self._directory.status()
        if status is None or status.phase != Phase.ENDED.value:
            return ControllerLost(f"{self.run_id}: its controller, an actor of Ray, is gone")
        return RunError(f"{self.run_id}: {status.error}") if status.error else None

    def _cancel(self) -> None:
        if self._owner.is_alive():  # on this machine, or the run would not have begun
            children.signal_quietly(self._owner.pid, signal.SIGKILL)
