"""The batch script's process: the run's controller, which starts the steps."""

from __future__ import annotations

import functools
import os
import pathlib
import socket
import sys
from typing import TYPE_CHECKING

from launchpad_lite.errors import ExitCode, LaunchpadError, RunError, brief
from launchpad_lite.launchers import gpus
from launchpad_lite.launchers.local import LocalRun
from launchpad_lite.launchers.slurm import commands
from launchpad_lite.launchers.slurm.steps import Steps
from launchpad_lite.launchers.slurm.submission import Submission
from launchpad_lite.runtime.fleet import Fleet, Place
from launchpad_lite.runtime.rundir import RunDirectory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launchpad_lite.planning import WorkerSpec


def main() -> None:
    """Run the program whose run directory is the first argument, and end the process."""
    directory = RunDirectory(pathlib.Path(sys.argv[1]))
    code: int = ExitCode.OK
    error: LaunchpadError | None = None
    try:
        submission = Submission.read(directory)
        try:
            Batch(directory, submission).run()
        except SystemExit:  # by SIGTERM
            if submission.options.requeue and _queue_again():
                sys.exit(ExitCode.OK)
            message = f"{directory.run_id}: SLURM told the job to end (SIGTERM)"
            raise RunError(message) from None
    except LaunchpadError as failure:
        code, error = failure.exit_code, failure
    if error is not None:
        sys.stderr.write(f"{brief(error)}\n")
    Submission.remove(directory)
    directory.write_outcome(error)
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


class Batch:
    """One run inside its allocation."""

    def __init__(self, directory: RunDirectory, submission: Submission) -> None:
        """Prepare the controller."""
        self._submission = submission
        self._directory = directory
        self._local = LocalRun(
            submission.plan,
            submission.options,
            directory=directory,
            credentials=submission.credentials,
            host=_own_address(),
        )
        specs = {worker.name: worker for worker in submission.plan.workers}
        self._steps = Steps(submission.layout, submission.place, submission.options)
        self._fleet = Fleet(
            {
                agent: [specs[name] for name in names]
                for step in submission.layout.steps
                for agent, names in zip(step.agents, step.workers, strict=True)
            },
            boot=self._boot,
            log=self._local.log,
            share=_share,
            bring_up=self._bring_up,
            take_down=self._steps.end,
        )

    def run(self) -> None:
        """Start everything, and wait for the end.

        Raises:
          LaunchpadError: a node failed, or could not be ended or started.
          SystemExit: SLURM has told the job to end.
        """
        self._local.start(self._fleet).wait()

    def _bring_up(self) -> None:
        self._endpoint = self._local.serve_controller(self._fleet.arrive, self._fleet.hear)
        self._steps.start(self._fleet.give_up)

    @functools.cached_property
    def _schemes(self) -> tuple[str, ...]:
        return self._local.schemes("inproc", "unix", "tcp")

    def _boot(self, spec: WorkerSpec, incarnation: int, place: Place) -> bytes:
        return self._local.boot(
            spec,
            incarnation,
            controller=self._endpoint,
            schemes=self._schemes,
            host=place.address,
            socket_dir=place.socket_dir,
            hears_term=False,
        )


def _share(specs: tuple[WorkerSpec, ...], place: Place) -> Iterable[WorkerSpec]:
    return gpus.share(specs, place.gpus, place.host)


def _own_address() -> str:
    machine = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
    return socket.gethostbyname(commands.address_of(machine))


if __name__ == "__main__":
    main()
