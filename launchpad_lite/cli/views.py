"""A run seen from another terminal, through its controller while it lives."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from launchpad_lite.errors import CallError, ControllerLost, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launchpad_lite.cli.seen import SeenRun
    from launchpad_lite.launchers.ray.jobs.viewer import JobViewer
    from launchpad_lite.runtime.control import RunViewer
    from launchpad_lite.runtime.status import RunStatus

ENDED = "ended"
FAILED = "failed"
LOST = "lost"
STARTING = "starting"
SILENT = "silent"

_START_S = 5.0
_INTERVAL_S = 0.05


@dataclasses.dataclass(frozen=True, kw_only=True)
class View:
    """Where a run is.

    Attributes:
      run: the run.
      phase: that of its status; or `failed` if it ended with an error, `lost` if its process is
        gone, `silent` if its controller does not answer, `starting` if it has none yet.
      status: from its controller, or what it wrote last; None if it has written nothing.
    """

    run: SeenRun
    phase: str
    status: RunStatus | None

    @property
    def has_ended(self) -> bool:
        """Whether the run has ended in an orderly way."""
        return self.phase in (ENDED, FAILED)


def connect(run: SeenRun) -> RunViewer | JobViewer:
    """Return a line to what tells of a run that has not ended.

    Args:
      run: the run.

    Raises:
      ControllerLost: the run's process is gone.
      UsageError: it has no controller yet.
    """
    viewer = _await_viewer(run)
    if viewer is not None:
        return viewer
    if not run.is_alive():
        raise lost(run)
    message = f"{run.run_id} is only starting, and cannot be reached yet. Try again."
    raise UsageError(message)


def _await_viewer(run: SeenRun) -> RunViewer | JobViewer | None:
    """Return a line to what tells of a run; give one that is only starting some time."""
    deadline = time.monotonic() + _START_S
    while (viewer := run.viewer()) is None and run.is_alive():
        if time.monotonic() > deadline:
            break
        time.sleep(_INTERVAL_S)
    return viewer


def look(run: SeenRun, *, patiently: bool = False) -> View:
    """Ask where a run is.

    Args:
      run: the run.
      patiently: give one that is only starting some time to come up.
    """
    viewer = _await_viewer(run) if patiently else run.viewer()
    if viewer is not None:
        try:
            status = viewer.status()
        except CallError:  # it may be ending just now
            return _from_file(run, SILENT)
        return View(run=run, phase=_phase(status), status=status)
    return _from_file(run, STARTING)


def _from_file(run: SeenRun, if_alive: str) -> View:
    holder = run.holder()  # before the status, which is written first when a run ends
    is_alive = run.is_alive()
    status = run.status()
    if status is not None and status.phase == ENDED:
        phase = _phase(status)
    elif holder is None:  # it could not be launched
        phase = FAILED
    else:
        phase = if_alive if is_alive else LOST
    return View(run=run, phase=phase, status=status)


def _phase(status: RunStatus) -> str:
    return FAILED if status.phase == ENDED and status.error else status.phase


def watch(run: SeenRun, line: RunViewer | JobViewer) -> Iterator[RunStatus]:
    """Yield a run's status now, at each phase, and at the end of each worker and its own.

    Args:
      run: the run.
      line: to what tells of it.

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


def lost(run: SeenRun) -> ControllerLost:
    """Return the error of a run whose process is gone."""
    holder = run.holder()
    process = holder.title if holder is not None else "the process"
    fate = run.fate()
    message = (
        f"{run.run_id} is lost: {process}, which held it together, is gone or does not answer"
        f"{f' ({fate})' if fate else ''}. What is left of it: {run.place}"
    )
    return ControllerLost(message)
