"""A run that SLURM has told to end is queued again: with all of its jobs, or not at all."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING

from launchpad_lite.launchers.following import first_status
from launchpad_lite.launchers.slurm import commands
from launchpad_lite.launchers.slurm.commands import SlurmError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launchpad_lite.launchers.slurm.submission import Submission
    from launchpad_lite.owner import Owner
    from launchpad_lite.runtime.rundir import RunDirectory

_TRIES = 3
_AGAIN_S = 1.0
_END_S = 30.0
"""Seconds that the other jobs have to end by themselves: their agents were hung up on."""

_RUNS = ("CONFIGURING", "RUNNING", "COMPLETING")


def queue_again(directory: RunDirectory, submission: Submission, owner: Owner | None) -> bool:
    """Queue all jobs of a run again, the one of this process last: SLURM ends it.

    Return whether they are queued; not so if one of them was cancelled, or if SLURM refuses one.

    Args:
      directory: the run's.
      submission: what its jobs were made of.
      owner: who held the run together: as long as it waits other terminals know it by that.
    """
    job = int(os.environ["SLURM_JOB_ID"])
    others = submission.jobs(directory)[1:]
    try:
        cancelled = _is_cancelled(job) or any(_await_end(others))
        if not cancelled:
            for each in (*others, job):
                _requeue(each)
    except SlurmError as error:
        sys.stderr.write(f"the run is not queued again: {error}\n")
        return False
    if not cancelled:
        with contextlib.suppress(OSError):  # it is for people
            directory.write_status(first_status(submission.plan, directory.run_id))
            if owner is not None:
                directory.write_owner(owner)
    return not cancelled


def _is_cancelled(job: int) -> bool:
    """Whether somebody has cancelled the job of this process.

    Of the ways in which SLURM ends a job whose script still runs, this one leaves no trace.
    """
    facts = commands.job_facts(job)
    return (
        facts.get("JobState") in ("COMPLETING", "CANCELLED")
        and facts.get("Restarts") == os.environ.get("SLURM_RESTART_COUNT", "0")
        and facts.get("Reason") != "TimeLimit"
        and commands.moment(facts.get("PreemptTime", "")) is None
    )


def _await_end(jobs: Sequence[int]) -> list[int]:
    """Wait until jobs have ended that have begun; return those that were cancelled."""
    if not jobs:
        return []
    deadline = time.monotonic() + _END_S
    while True:
        states = commands.states(jobs)
        if not any(state.state in _RUNS for state in states.values()):
            break
        if time.monotonic() > deadline:
            break
        time.sleep(_AGAIN_S)
    return [job for job, state in states.items() if state.state == "CANCELLED"]


def _requeue(job: int) -> None:
    """Queue a job again; SLURM's answer may be lost where it is busy.

    Raises:
      SlurmError: SLURM refuses it.
    """
    for left in reversed(range(_TRIES)):
        try:
            commands.requeue(job)
        except SlurmError:
            if not left:
                raise
            time.sleep(_AGAIN_S)
        else:
            return
