"""The batch script's process: the run's controller, which starts the steps."""

from __future__ import annotations

import os
import pathlib
import socket
import sys

from launchpad_lite.errors import ExitCode, LaunchpadError, RunError, brief
from launchpad_lite.launchers.slurm import commands
from launchpad_lite.launchers.slurm.network import address_of_name
from launchpad_lite.launchers.slurm.stepped import SteppedRun
from launchpad_lite.launchers.slurm.submission import Submission
from launchpad_lite.runtime import children
from launchpad_lite.runtime.rundir import RunDirectory


def main() -> None:
    """Run the program whose run directory is the first argument, and end the process."""
    children.die_with_parent()
    directory = RunDirectory(pathlib.Path(sys.argv[1]))
    code: int = ExitCode.OK
    error: LaunchpadError | None = None
    try:
        submission = Submission.read(directory)
        run = SteppedRun(directory, submission, _own_address())
        try:
            run.start().wait()
        except (SystemExit, RunError) as failure:  # SIGTERM came here, or to a task
            told = run.told or isinstance(failure, SystemExit)
            if told and submission.options.requeue and _queue_again():
                sys.exit(ExitCode.OK)
            if isinstance(failure, RunError):
                raise
            message = f"{directory.run_id}: SLURM told the job to end (SIGTERM)"
            raise RunError(message) from None
    except LaunchpadError as failure:
        code, error = failure.exit_code, failure
    if error is not None:
        sys.stderr.write(f"{brief(error)}\n")
    Submission.remove(directory)
    try:
        directory.write_outcome(error)
    except OSError as problem:  # the exit code tells it too
        sys.stderr.write(f"how it has ended cannot be written: {problem}\n")
    sys.exit(code)


def _queue_again() -> bool:
    """Queue the job again, unless SLURM does so or will not; return whether it is queued."""
    job = int(os.environ["SLURM_JOB_ID"])
    try:
        commands.requeue(job)
    except commands.SlurmError as error:
        state = commands.last_words(job)
        if state is None or state.state not in ("PREEMPTED", "REQUEUED", "PENDING"):
            sys.stderr.write(f"the job is not queued again: {error}\n")
            return False
    return True


def _own_address() -> str:
    machine = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
    return address_of_name(commands.address_of(machine))


if __name__ == "__main__":
    main()
