"""A run whose controller is this process, and whose workers are in steps of SLURM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launchpad_lite.launchers import gpus
from launchpad_lite.launchers.local import LocalRun
from launchpad_lite.launchers.slurm.others import OtherJobs
from launchpad_lite.launchers.slurm.steps import Steps
from launchpad_lite.runtime.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.launchers.slurm.submission import Submission
    from launchpad_lite.runtime.run import Run
    from launchpad_lite.runtime.rundir import RunDirectory


class SteppedRun:
    """One run inside its allocation."""

    def __init__(
        self,
        directory: RunDirectory,
        submission: Submission,
        host: str,
        at_end: Callable[[], object] = lambda: None,
    ) -> None:
        """Prepare the controller.

        Args:
          directory: the run's.
          submission: what there is to run.
          host: the address of this machine that the others reach it by.
          at_end: is called after the run has ended, before anybody hears of it.
        """
        self._at_end = at_end
        self._local = LocalRun(
            submission.plan,
            submission.options,
            directory=directory,
            credentials=submission.credentials,
            host=host,
        )
        specs = {worker.name: worker for worker in submission.plan.workers}
        self._steps = Steps(submission.layout, submission.place, submission.options)
        self._fleet = Fleet(
            {
                agent: [specs[name] for name in names]
                for step in submission.layout.steps
                for agent, names in zip(step.agents, step.workers, strict=True)
            },
            boot=self._local.boot_at,
            log=self._local.log,
            share=gpus.share_at,
            bring_up=self._bring_up,
            take_down=lambda silent, _: self._steps.end(silent),
        )
        self._others = OtherJobs(directory, submission, self._fleet)

    def start(self, *, shows_output: bool = False) -> Run:
        """Start everything.

        Args:
          shows_output: whether this process shows the nodes' output.

        Raises:
          LaunchpadError: it could not be started; nothing is left.
        """
        return self._local.start(self._fleet, shows_output=shows_output)

    def told_to_end(self, why: str) -> None:
        """End the run because SLURM does, or is about to.

        Args:
          why: for people.
        """
        self._local.controller.told_to_end(why)

    @property
    def taken(self) -> str:
        """Why it was told to end, if it went on until then; empty if it ends otherwise."""
        return self._local.controller.taken

    def has_ended(self, timeout: float) -> bool:
        """Wait for the end of the run; return whether it has come."""
        return self._local.controller.join(timeout)

    def _bring_up(self) -> None:
        self._local.controller.at_end(self._others.end)
        self._local.controller.at_end(self._at_end)
        fleet = self._fleet
        self._local.serve_controller(fleet.arrive, fleet.hear, fleet.beat, self.told_to_end)
        self._steps.start(self._fleet.give_up)
        self._others.start()
