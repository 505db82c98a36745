"""What the launching process leaves in the run directory for the jobs."""

from __future__ import annotations

import dataclasses
import pickle
from typing import TYPE_CHECKING

from launchpad_lite.errors import UsageError

if TYPE_CHECKING:
    import pathlib

    from launchpad_lite.credentials import Credentials
    from launchpad_lite.launchers.slurm.layout import Layout
    from launchpad_lite.launchers.slurm.options import SlurmOptions
    from launchpad_lite.launchers.slurm.script import Place
    from launchpad_lite.planning import LaunchPlan
    from launchpad_lite.runtime.rundir import RunDirectory

_NAME = "submission.pickle"


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
        plan = dataclasses.replace(self.plan, edges=(), names={}, nodes={})
        (directory.path / "slurm").mkdir(exist_ok=True)
        directory.write_private(_NAME, pickle.dumps(dataclasses.replace(self, plan=plan)))

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

    @staticmethod
    def path(directory: RunDirectory) -> pathlib.Path:
        """Return where it is."""
        return directory.path / _NAME

    @staticmethod
    def remove(directory: RunDirectory) -> None:
        """Remove it, and what else is secret: the run has ended."""
        Submission.path(directory).unlink(missing_ok=True)
        directory.remove_rendezvous()
