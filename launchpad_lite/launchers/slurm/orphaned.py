"""What a task does whose controller is gone without a word: it sees to the end of the job."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from launchpad_lite.errors import ControllerLost
from launchpad_lite.launchers.following import last_status
from launchpad_lite.launchers.slurm import commands
from launchpad_lite.launchers.slurm.submission import Submission
from launchpad_lite.launchers.slurm.waiting import answers
from launchpad_lite.runtime.supervisor import Phase

if TYPE_CHECKING:
    from launchpad_lite.runtime.rundir import Rendezvous, RunDirectory

_PATIENCE_S = 10.0
"""Seconds in which SLURM ends a job whose controller was killed: its batch script has ended.

If the script was lost with its machine, the job goes on without it, because of `--no-kill`: it
would hold its other machines, empty, until its time is over.
"""

_LOOK_S = 0.5


def settle(directory: RunDirectory, submission: Submission, group: str, lost: Rendezvous) -> None:
    """End the job, or queue it again, if SLURM does not. Where there are several, each does.

    Args:
      directory: the run's.
      submission: what ran.
      group: the task's.
      lost: how the controller was reached.

    Raises:
      SlurmError: SLURM cannot be told.
      OSError: the run directory cannot be written to.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # nobody is there any more to be told
    requeue = submission.options.requeue
    if directory.rendezvous() == lost and answers(lost):
        return  # only the line to it is broken, and it sees what comes of that
    inside = submission.layout.name == "inside"
    if inside and (owner := directory.owner()) is not None:  # else another task was here
        _write_end(directory, f"{owner.title} which held the run together, is gone")
        Submission.remove(directory)
    elif not requeue:
        Submission.remove_secrets(directory)
    groups = [step.group for component in submission.layout.jobs[0] for step in component.steps]
    is_first = group in groups
    if inside or not (is_first or requeue):
        return  # the allocation is not the run's; another job ends with its tasks
    job = int(os.environ.get("SLURM_HET_JOB_ID") or os.environ["SLURM_JOB_ID"])
    first = job if is_first else submission.jobs(directory)[0]
    deadline = time.monotonic() + _PATIENCE_S
    while not (ended := _has_ended(directory)) and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    if ended:  # in order: its script waits for the tasks
        return
    state = commands.states([first]).get(first)
    # One that is queued again already comes back, and wants the others then.
    if state is None or state.state not in ("RUNNING", *(() if is_first else ("PENDING",))):
        return
    if requeue:
        commands.requeue(job)
        return
    machine = commands.names(os.environ["SLURM_JOB_NODELIST"])[0]
    _write_end(
        directory,
        f"{machine} is gone, and with it the run's controller; job {job} is cancelled",
    )
    commands.cancel([job])


def _write_end(directory: RunDirectory, why: str) -> None:
    """Write what the controller would have.

    Raises:
      OSError: it cannot be written.
    """
    error = ControllerLost(f"{directory.run_id}: {why}")
    status = directory.status()
    if status is not None:
        directory.write_status(last_status(status, error, ""))
    directory.write_outcome(error)


def _has_ended(directory: RunDirectory) -> bool:
    """Whether the controller has written that the run has ended."""
    status = directory.status()
    return status is not None and status.phase == Phase.ENDED.value
