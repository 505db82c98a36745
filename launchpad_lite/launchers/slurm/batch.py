"""The batch script's process: the run's controller, which starts the steps."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

from launchpad_lite.errors import ExitCode, LaunchpadError, RunError, brief
from launchpad_lite.launchers.slurm import commands, ending, requeue
from launchpad_lite.launchers.slurm.network import address_of_name
from launchpad_lite.launchers.slurm.stepped import SteppedRun
from launchpad_lite.launchers.slurm.submission import Submission
from launchpad_lite.launchers.telling import Teller
from launchpad_lite.runtime import children
from launchpad_lite.runtime.rundir import RunDirectory

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Run the program whose run directory is the first argument, and end the process."""
    children.die_with_parent()
    directory = RunDirectory(pathlib.Path(sys.argv[1]))
    owner = directory.owner()
    code: int = ExitCode.OK
    error: LaunchpadError | None = None
    try:
        submission = Submission.read(directory)
        run = SteppedRun(directory, submission, _own_address())
        limit, notice_s = _limit(), submission.options.notice_s

        def why() -> str:
            return ending.told(limit, notice_s, time.time())

        with Teller(_tell(directory)).telling():
            try:
                _wait(run, why)
            except (RunError, SystemExit) as failure:
                told = run.taken or isinstance(failure, SystemExit)
                again = told and submission.options.requeue
                if again and requeue.queue_again(directory, submission, owner):
                    sys.exit(ExitCode.OK)
                if isinstance(failure, RunError):
                    raise
                message = f"{directory.run_id}: {why()}"
                raise RunError(message) from None
    except LaunchpadError as failure:
        code, error = failure.exit_code, failure
    if error is not None:
        _say(brief(error))
    Submission.remove(directory)
    if others := Submission.jobs(directory)[1:]:
        with contextlib.suppress(commands.SlurmError):
            commands.cancel_waiting(others)
    try:
        directory.write_outcome(error)
    except OSError as problem:  # the exit code tells it too
        _say(f"how it has ended cannot be written: {problem}")
    sys.exit(code)


def _wait(run: SteppedRun, why: Callable[[], str]) -> None:
    """Run to the end.

    Args:
      run: the run.
      why: returns what is said where SIGTERM has come.

    Raises:
      RunError: it has failed, or SIGTERM has ended it.
      SystemExit: SIGTERM came before it had begun.
    """
    started = run.start()
    signal.signal(signal.SIGTERM, lambda _, __: run.told_to_end(why()))
    started.wait()


def _tell(directory: RunDirectory) -> Callable[[str, int, str], None]:
    """Return what tells people something: those that have launched a run, and its job's log."""

    def tell(logger: str, level: int, text: str) -> None:
        del logger, level
        _say(text)
        with contextlib.suppress(OSError), Submission.news(directory).open("a") as log:
            log.write(f"{text}\n")

    return tell


def _say(text: str) -> None:
    """Write to the job's log, if its disk is not full."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{text}\n")


def _limit() -> ending.Limit | None:
    try:
        return ending.limit_of(commands.job_facts(int(os.environ["SLURM_JOB_ID"])))
    except commands.SlurmError:  # it is for people
        return None


def _own_address() -> str:
    machine = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
    return address_of_name(commands.address_of(machine))


if __name__ == "__main__":
    main()
