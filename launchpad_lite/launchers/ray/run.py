"""A run whose controller is this process, and whose workers are held by actors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launchpad_lite.launchers import gpus
from launchpad_lite.launchers.local import LocalRun
from launchpad_lite.launchers.ray.actors import Actors
from launchpad_lite.launchers.ray.host import THREADS, Charge
from launchpad_lite.launchers.ray.moves import Moves
from launchpad_lite.owner import Owner
from launchpad_lite.runtime import link
from launchpad_lite.runtime.fleet import Fleet, Place
from launchpad_lite.runtime.rundir import Rendezvous
from launchpad_lite.runtime.shipping import LogTaker

if TYPE_CHECKING:
    from collections.abc import Collection

    from launchpad_lite.launchers.ray.cluster import Cluster
    from launchpad_lite.launchers.ray.layout import Bundle
    from launchpad_lite.launchers.ray.messages import Submission
    from launchpad_lite.launchers.ray.placement import Placement
    from launchpad_lite.runtime.controller import Controller
    from launchpad_lite.runtime.run import Run
    from launchpad_lite.runtime.rundir import RunDirectory


class ActorsRun:
    """One run, inside of a cluster."""

    def __init__(
        self,
        submission: Submission,
        directory: RunDirectory,
        cluster: Cluster,
        placement: Placement,
    ) -> None:
        """Prepare the controller.

        Args:
          submission: what there is to run.
          directory: the run's.
          cluster: where it runs.
          placement: the room that there is for it.
        """
        plan = submission.plan
        self._submission = submission
        self._directory = str(directory.path)
        self._local = LocalRun(
            plan,
            submission.options,
            directory=directory,
            credentials=submission.credentials,
            host=cluster.address,
        )
        self._actors = Actors(cluster, placement, submission.options, directory.run_id)
        self._logs = LogTaker(directory.log(worker.name) for worker in plan.workers)
        specs = {worker.name: worker for worker in plan.workers}
        self._fleet = Fleet(
            {
                bundle.agent: [specs[name] for name in bundle.workers]
                for bundle in placement.bundles
            },
            boot=self._local.boot_at,
            log=self._local.log,
            share=gpus.share_at,
            bring_up=self._bring_up,
            take_down=self._take_down,
            replace=self._actors.replace,
            leavings=self._leavings,
        )

        self._moves = Moves(
            cluster,
            self._fleet,
            self._actors,
            placement,
            config=plan.config,
            told_to_end=self._told_to_end,
        )

    def start(self) -> Run:
        """Start everything.

        Raises:
          LaunchpadError: it could not be started; nothing is left but the placement.
        """
        return self._local.start(self._fleet, shows_output=self._submission.shows_output)

    @property
    def controller(self) -> Controller:
        """The run's, once it was started."""
        return self._local.controller

    @property
    def rendezvous(self) -> Rendezvous:
        """How to reach the controller, once it was started."""
        return Rendezvous(
            endpoint=self._endpoint,
            credentials=self._local.credentials,
            owner=Owner.this_process(),
        )

    def _bring_up(self) -> None:
        fleet = self._fleet
        self._endpoint = self._local.serve_controller(
            fleet.arrive,
            fleet.hear,
            fleet.beat,
            self._local.controller.told_to_end,
            self._logs.take_log,
        )
        self._actors.start(self._charge, fleet.give_up)
        self._moves.start()

    def _told_to_end(self, why: str) -> None:
        self._local.controller.told_to_end(why)

    def _take_down(self, silent: Collection[str], absent: Collection[str]) -> None:
        self._moves.close()
        self._actors.end(silent, absent)

    def _leavings(self, place: Place) -> link.Leavings:
        shared = [str(self._local.alive)]
        return link.Leavings([place.socket_dir], shared=shared, endpoint=self._endpoint)

    def _charge(self, agent: str, bundle: Bundle) -> Charge:
        given = self._submission
        runtime_env = given.options.runtime_env_of(bundle.group)
        return Charge(
            agent=agent,
            preload=given.plan.preload,
            endpoint=self._endpoint,
            credentials=self._local.credentials,
            directory=self._directory,
            workers=bundle.workers,
            path=given.path,
            environment=given.environment,
            sets_threads=THREADS in runtime_env.get("env_vars", {}),
        )
