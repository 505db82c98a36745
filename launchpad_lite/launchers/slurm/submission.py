"""What the launching process leaves in the run directory for the jobs."""

from __future__ import annotations

import dataclasses
import json
import pickle
from typing import TYPE_CHECKING

from launchpad_lite.errors import UsageError

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Sequence

    from launchpad_lite.credentials import Credentials
    from launchpad_lite.launchers.slurm.layout import Layout
    from launchpad_lite.launchers.slurm.options import SlurmOptions
    from launchpad_lite.launchers.slurm.script import Place
    from launchpad_lite.planning import LaunchPlan
    from launchpad_lite.runtime.rundir import RunDirectory

_NAME = "submission.pickle"
_JOBS = "jobs.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Submission:
    """A program on its way to a cluster, in a file of mode 0600 that goes with the run.

    Attributes:
      plan: the plan, without the program's own classes.
      layout: which workers are where.
      options: the user's.
      place: of the run.
      credentials: what the run's servers and clients prove to each other.
    """

    plan: LaunchPlan
    layout: Layout
    options: SlurmOptions
    place: Place
    credentials: Credentials

    def write(self, directory: RunDirectory) -> None:
        """Write it.

        Raises:
          OSError: it cannot be written.
        """
        (directory.path / "slurm").mkdir(exist_ok=True)
        directory.write_private(
            _NAME, pickle.dumps(dataclasses.replace(self, plan=self.plan.portable()))
        )

    @classmethod
    def read(cls, directory: RunDirectory) -> Submission:
        """Read it, on a machine of the cluster.

        Raises:
          UsageError: it is not there.
        """
        try:
            submission: Submission = pickle.loads(cls.path(directory).read_bytes())
        except FileNotFoundError as error:
            message = (
                f"{directory.path} is not what the launching machine has written to: it is on no "
                "file system that they share, or the run has ended. Set XDG_STATE_HOME to one "
                "that all machines of the cluster share."
            )
            raise UsageError(message) from error
        return submission

    def titles(self, jobs: Sequence[int]) -> dict[int, str]:
        """Return what the run's jobs are called, by number."""
        if len(jobs) == 1:
            return {jobs[0]: f"job {jobs[0]}"}
        groups = [component.steps[0].group for (component,) in self.layout.jobs]
        return {
            job: f"job {job}, of group {group}," for job, group in zip(jobs, groups, strict=True)
        }

    @staticmethod
    def write_jobs(directory: RunDirectory, jobs: Sequence[int]) -> None:
        """Tell the first job which jobs the run has, once all are submitted.

        Raises:
          OSError: it cannot be written.
        """
        directory.write_private(_JOBS, json.dumps(jobs).encode())

    @staticmethod
    def jobs(directory: RunDirectory) -> tuple[int, ...]:
        """Return which jobs a run has; none as long as they are not all submitted."""
        try:
            return tuple(json.loads((directory.path / _JOBS).read_bytes()))
        except OSError:
            return ()

    @staticmethod
    def news(directory: RunDirectory) -> pathlib.Path:
        """Return the file of what the first job has to say to people."""
        return directory.path / "slurm" / "news.log"

    @staticmethod
    def log(directory: RunDirectory, job: int) -> pathlib.Path:
        """Return the file of what a job's script and its sruns print."""
        return directory.path / "slurm" / f"job-{job}.log"

    @staticmethod
    def path(directory: RunDirectory) -> pathlib.Path:
        """Return where it is."""
        return directory.path / _NAME

    @staticmethod
    def remove(directory: RunDirectory) -> None:
        """Remove it, and what else is secret, and who held the run together: it has ended."""
        Submission.remove_secrets(directory)
        directory.remove_rendezvous()

    @staticmethod
    def remove_secrets(directory: RunDirectory) -> None:
        """Remove it, and what else is secret: the run is lost."""
        Submission.path(directory).unlink(missing_ok=True)
        directory.rendezvous_file.unlink(missing_ok=True)
