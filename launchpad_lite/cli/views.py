"""A run seen from another terminal: through its directory, and its controller while it lives."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from launchpad_lite.errors import CallError, ControllerLost
from launchpad_lite.runtime import rundir
from launchpad_lite.runtime.control import RunViewer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launchpad_lite.runtime.controller import RunStatus
    from launchpad_lite.runtime.rundir import Rendezvous, RunDirectory

ENDED = "ended"
FAILED = "failed"
LOST = "lost"
STARTING = "starting"
SILENT = "silent"

_START_S = 60.0
"""A run that has left no way to reach its controller for so long was killed while it started."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class View:
    """Where a run is.

    Attributes:
      run: its directory.
      phase: that of its status; or `failed` if it ended with an error, `lost` if its process is
        gone, `silent` if its controller does not answer, `starting` if it has none yet.
      status: from its controller, or what it wrote last; None if it has written nothing.
    """

    run: RunDirectory
    phase: str
    status: RunStatus | None

    @property
    def has_ended(self) -> bool:
        """Whether the run has ended in an orderly way."""
        return self.phase in (ENDED, FAILED)


def viewer(rendezvous: Rendezvous) -> RunViewer:
    """Return a line to a run's controller.

    Args:
      rendezvous: how to reach it.
    """
    return RunViewer(rendezvous.endpoint, bytes.fromhex(rendezvous.token))


def look(run: RunDirectory) -> View:
    """Ask where a run is.

    Args:
      run: its directory.
    """
    rendezvous = run.rendezvous()
    if rendezvous is not None and rendezvous.is_alive():
        try:
            status = viewer(rendezvous).status()
        except CallError:
            rendezvous = run.rendezvous()  # it may be ending just now
            silent = rendezvous is not None and rendezvous.is_alive()
            return _from_file(run, SILENT if silent else LOST)
        return View(run=run, phase=_phase(status), status=status)
    if rendezvous is not None:
        return _from_file(run, LOST)
    young = time.time() - run.path.stat().st_mtime < _START_S
    return _from_file(run, STARTING if young else LOST)


def _from_file(run: RunDirectory, otherwise: str) -> View:
    status = run.status()
    ended = status is not None and status.phase == ENDED
    return View(
        run=run, phase=_phase(status) if status is not None and ended else otherwise, status=status
    )


def _phase(status: RunStatus) -> str:
    return FAILED if status.phase == ENDED and status.error else status.phase


def find(word: str) -> RunDirectory:
    """Return the run that a word means: its name, or the beginning of it.

    If several runs begin with it and only one of them lives, it is that one.

    Args:
      word: as on the command line.

    Raises:
      UsageError: there is no such run, or more than one.
    """
    begin = [run for run in rundir.list_runs() if run.run_id.startswith(word)]
    living = [run for run in begin if run.is_alive()]
    if len(living) == 1 and all(run.run_id != word for run in begin):
        return living[0]
    return rundir.find_run(word)


def watch(run: RunDirectory, line: RunViewer) -> Iterator[RunStatus]:
    """Yield a run's status now, at each change, and at its end.

    Args:
      run: its directory.
      line: to its controller.

    Raises:
      ControllerLost: the run's process is gone, or does not answer any more.
    """
    try:
        for status in line.changes():
            yield status
            if status.phase == ENDED:
                return
    except CallError:
        pass
    view = look(run)
    if not view.has_ended or view.status is None:
        raise lost(run)
    yield view.status


def lost(run: RunDirectory) -> ControllerLost:
    """Return the error for a run whose controller is gone.

    Args:
      run: its directory.
    """
    rendezvous = run.rendezvous()
    process = f"process {rendezvous.pid}" if rendezvous is not None else "the process"
    message = (
        f"{run.run_id} is lost: {process}, which held it together, is gone or does not answer. "
        f"What is left of it: {run.path}"
    )
    return ControllerLost(message)
