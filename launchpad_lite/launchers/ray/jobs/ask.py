"""Asks after the job that holds a run, for terminals beside the launching one, or ends it.

`python -m launchpad_lite.launchers.ray.jobs.ask ADDRESS DIRECTORY state|update|end|end_now`
"""

from __future__ import annotations

import pathlib
import sys
import time
from typing import TYPE_CHECKING

import msgspec

from launchpad_lite.errors import LaunchpadError, Unavailable
from launchpad_lite.launchers.ray.jobs import letters
from launchpad_lite.launchers.ray.jobs.api import Dashboard
from launchpad_lite.launchers.ray.jobs.mirror import Mirror
from launchpad_lite.runtime.rundir import RunDirectory

if TYPE_CHECKING:
    from launchpad_lite.launchers.ray.jobs.api import JobState

_LOOK_S = 0.5
_HEEDED_S = 2.5 * letters.BEAT_S

_NOW = letters.Word(number=-1, stop="lp-launch stop --now", immediately=True)


def main() -> None:
    """Do as the arguments say; print something as long as the job is there."""
    address, path, what = sys.argv[1:]
    directory = RunDirectory(pathlib.Path(path))
    try:
        dashboard = Dashboard(address)
        state = dashboard.state(directory.run_id)
        if what == "update":
            _update(directory, dashboard, state)
        elif what == "end_now" and not state.is_over:
            _end_now(directory.run_id, dashboard)
        elif what == "end":
            dashboard.end(directory.run_id)
    except LaunchpadError as error:
        sys.exit(str(error))
    if not state.is_over:
        sys.stdout.write(f"{state.status}\n")


def _end_now(run_id: str, dashboard: Dashboard) -> None:
    """Tell a job to end its run at once, and then to end: SIGTERM alone would give notice.

    Raises:
      Unavailable: the dashboard does not answer.
    """
    dashboard.put(letters.last_word_name(run_id), msgspec.json.encode(_NOW))
    deadline = time.monotonic() + _HEEDED_S
    while not dashboard.state(run_id).is_over and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    dashboard.end(run_id)


def _update(directory: RunDirectory, dashboard: Dashboard, state: JobState) -> None:
    """Write into a run's directory what its job's log tells.

    Raises:
      Unavailable: the log cannot be had, and the job is not over.
    """
    status = directory.status()
    if status is None:
        return
    mirror = Mirror(directory, status)
    try:
        for _ in mirror.take(dashboard.log(directory.run_id)):
            pass
    except Unavailable:
        if not state.is_over:
            raise
    if state.is_over and mirror.end is None:  # the log may have gone with its machine
        mirror.ended(f"its job is over ({state.status}): {state.message}")


if __name__ == "__main__":
    main()
