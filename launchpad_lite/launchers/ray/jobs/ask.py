"""Asks after the job that holds a run, for terminals beside the launching one, or ends it.

`python -m launchpad_lite.launchers.ray.jobs.ask ADDRESS DIRECTORY state|end`
"""

from __future__ import annotations

import pathlib
import sys

from launchpad_lite.errors import LaunchpadError
from launchpad_lite.launchers.ray.jobs.api import Dashboard
from launchpad_lite.launchers.ray.jobs.mirror import Mirror
from launchpad_lite.runtime.rundir import RunDirectory


def main() -> None:
    """Do as the arguments say; print something as long as the job is there."""
    address, path, what = sys.argv[1:]
    directory = RunDirectory(pathlib.Path(path))
    try:
        dashboard = Dashboard(address)
        if what == "end":
            dashboard.end(directory.run_id)
            return
        state = dashboard.state(directory.run_id)
        status = directory.status()
        if status is not None:
            mirror = Mirror(directory, status)
            for _ in mirror.take(dashboard.log(directory.run_id)):
                pass
            if state.is_over and mirror.end is None:
                mirror.ended(f"its job is over ({state.status}): {state.message}")
    except LaunchpadError as error:
        sys.exit(str(error))
    if not state.is_over:
        sys.stdout.write(f"{state.status}\n")


if __name__ == "__main__":
    main()
