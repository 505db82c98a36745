"""What a task does whose controller is gone without a word: it sees to the end of the job."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from launchpad_lite.errors import ControllerLost
from launchpad_lite.launchers.slurm import commands
from launchpad_lite.launchers.slurm.submission import Submission

if TYPE_CHECKING:
    from launchpad_lite.runtime.rundir import RunDirectory

_PATIENCE_S = 10.0
"""Seconds in which SLURM ends a job whose controller was killed: its batch script has ended.

If the script was lost with its machine, the job goes on without it, because of `--no-kill`: it
would hold its other machines, empty, until its time is over.
"""


def settle(directory: RunDirectory, submission: Submission, group: str) -> None:
    """End the job, or queue it again, if SLURM does not.

    Args:
      directory: the run's.
      submission: what ran.
      group: the task's.

    Raises:
      SlurmError: SLURM cannot be told.
      OSError: the run directory cannot be written to.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # nobody is there any more to be told
    requeue = submission.options.requeue
    if not requeue:
        Submission.remove(directory)
    first = [step.group for component in submission.layout.jobs[0] for step in component.steps]
    if submission.layout.name == "inside" or group not in first:
        return  # the allocation is not the run's; another job ends with its tasks
    job = int(os.environ.get("SLURM_HET_JOB_ID") or os.environ["SLURM_JOB_ID"])
    time.sleep(_PATIENCE_S)
    state = commands.states([job]).get(job)
    if state is None or state.state != "RUNNING":
        return
    if requeue:
        commands.requeue(job)
        return
    machine = commands.names(os.environ["SLURM_JOB_NODELIST"])[0]
    message = (
        f"{directory.run_id}: {machine} is gone, and with it the run's controller; job {job} is "
        "cancelled"
    )
    directory.write_outcome(ControllerLost(message))
    commands.cancel([job])
