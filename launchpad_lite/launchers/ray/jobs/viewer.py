"""A run that a job of a Ray cluster holds, as other terminals outside of the cluster see it."""

from __future__ import annotations

import contextlib
import functools
import time
from typing import TYPE_CHECKING

import msgspec

from launchpad_lite.errors import ControllerLost, LaunchpadError, Unavailable, UsageError
from launchpad_lite.launchers.ray.jobs import letters
from launchpad_lite.launchers.ray.jobs.api import Dashboard
from launchpad_lite.launchers.ray.jobs.mirror import Mirror
from launchpad_lite.runtime.supervisor import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launchpad_lite.runtime.measuring import RunMetrics
    from launchpad_lite.runtime.rundir import RunDirectory
    from launchpad_lite.runtime.status import RunStatus

_LOOK_S = 0.5
_HEEDED_S = 2.5 * letters.BEAT_S
_WORD_S = 10.0


class JobViewer:
    """Asks the cluster's dashboard, and writes into the run's directory what it tells.

    It is for such a run what `RunViewer` is for others.
    """

    def __init__(self, directory: RunDirectory, address: str) -> None:
        """Name the run's directory, and the dashboard's URL; nothing is asked yet."""
        self._directory = directory
        self._job = directory.run_id
        self._address = address

    @property
    def _dashboard(self) -> Dashboard:
        if isinstance(self._found, str):
            raise Unavailable(self._found, maybe_executed=False)
        return self._found

    @functools.cached_property
    def _found(self) -> Dashboard | str:
        """The dashboard, or why there is none: it takes long to miss one, and is done once."""
        try:
            return Dashboard(self._address)
        except LaunchpadError as error:
            return str(error)

    def is_alive(self) -> bool:
        """Whether the job is there; so it is taken to be if the dashboard does not answer."""
        with contextlib.suppress(Unavailable):
            return not self._dashboard.state(self._job).is_over
        return True

    def status(self) -> RunStatus:
        """Return where the run is.

        The log, which may be long, is left where it is while the run is known to run.

        Raises:
          Unavailable: the dashboard does not answer, or nothing is known.
        """
        status = self._mirror().status
        runs = status.phase == Phase.RUNNING.value
        return status if runs and not self._dashboard.state(self._job).is_over else self.update()

    def update(self) -> RunStatus:
        """Return where the run is and each of its nodes, and bring their logs, too.

        Raises:
          Unavailable: the dashboard does not answer, or nothing is known.
        """
        mirror = self._mirror()
        is_over = self._dashboard.state(self._job).is_over  # if so, the log is all there
        try:
            for _ in mirror.take(self._dashboard.log(self._job)):
                pass
        except Unavailable:
            if not is_over:  # or it may have gone with its machine
                raise
        return self._ended(mirror) if is_over else mirror.status

    def changes(self) -> Iterator[RunStatus]:
        """Yield the status now and at the end; bring the nodes' logs meanwhile.

        Raises:
          Unavailable: the dashboard does not answer, or nothing is known.
          ControllerLost: the dashboard does not answer any more.
        """
        mirror = self._mirror()
        yield mirror.status
        for lines in self._dashboard.follow(self._job):
            for _ in mirror.take(lines):
                pass
            if mirror.end is not None:
                break
        yield self._ended(mirror)

    def metrics(self) -> RunMetrics:
        """See `RunViewer`.

        Raises:
          UsageError: always.
        """
        message = (
            f"{self._job} is in a cluster that this machine is outside of: its controller cannot "
            "be asked from here."
        )
        raise UsageError(message)

    def stop(self, reason: str, *, immediately: bool = False) -> None:
        """Have the job end its run, and then end.

        Args:
          reason: said only if it is to be at once: a signal carries none.
          immediately: without notice and grace.

        Raises:
          ControllerLost: the dashboard does not answer.
        """
        try:
            if immediately and not self._dashboard.state(self._job).is_over:
                self._hurry(reason)
            self._dashboard.end(self._job)
        except Unavailable as error:
            message = f"{self._job}: its job cannot be told to end: {error}"
            raise ControllerLost(message) from error

    def _hurry(self, reason: str) -> None:
        """Say that the run is to end at once, and wait for that: SIGTERM alone gives notice."""
        word = letters.Word(number=-1, stop=reason, immediately=True)
        self._dashboard.put(letters.last_word_name(self._job), msgspec.json.encode(word), _WORD_S)
        deadline = time.monotonic() + _HEEDED_S
        while not self._dashboard.state(self._job).is_over and time.monotonic() < deadline:
            time.sleep(_LOOK_S)

    def _mirror(self) -> Mirror:
        status = self._directory.status()
        if status is None:
            message = f"{self._directory.path} does not tell any more what was submitted"
            raise Unavailable(message, maybe_executed=False)
        return Mirror(self._directory, status)

    def _ended(self, mirror: Mirror) -> RunStatus:
        """Return the last status of a run whose job is over; another process may know a better."""
        if mirror.end is None:
            state = self._dashboard.state(self._job)
            mirror.ended(f"its job is over ({state.status}): {state.message}")
        kept = self._directory.status()
        return kept if kept is not None and kept.phase == Phase.ENDED.value else mirror.status
