"""Launching a program in a cluster that this process is a client of, from outside.

https://docs.ray.io/en/latest/cluster/running-applications/job-submission/ray-client.html
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from typing import TYPE_CHECKING

from launchpad_lite.credentials import Credentials
from launchpad_lite.errors import Unavailable, UsageError
from launchpad_lite.launchers.desk import Desk
from launchpad_lite.launchers.ray import beginning
from launchpad_lite.launchers.ray.following import FollowingActor
from launchpad_lite.launchers.ray.messages import Submission
from launchpad_lite.launchers.ray.shipment import WORKING_DIR, Shipment, ship
from launchpad_lite.runtime.rundir import RunDirectory, new_run_id
from launchpad_lite.runtime.supervisor import Phase

if TYPE_CHECKING:
    from collections.abc import Collection

    from launchpad_lite.launchers.ray.cluster import Cluster
    from launchpad_lite.launchers.ray.held import HeldByActor
    from launchpad_lite.launchers.ray.keeping import Keeper
    from launchpad_lite.launchers.ray.options import RayOptions
    from launchpad_lite.planning import LaunchPlan
    from launchpad_lite.runtime.run import Run
    from launchpad_lite.runtime.status import RunStatus

_log = logging.getLogger(__name__)

_REST_S = 20.0
_AGAIN_S = 2.0

_BOUND = (
    "detach: what Ray Client has started ends with its connection. Name the cluster's dashboard "
    "instead, --ray_address=http://host:8265, or leave detach out."
)
_BARE = (
    "this process has joined the cluster (ray.init) without the program's files. Ship them, "
    "ray.init('ray://...', runtime_env={'working_dir': '.'}), or leave that to lp.launch: call "
    "ray.shutdown() first."
)


def launch(plan: LaunchPlan, options: RayOptions) -> Run:
    """Have an actor in the cluster hold a run, and follow it.

    Args:
      plan: the plan.
      options: the user's.

    Raises:
      LaunchpadError: it cannot begin; nothing is left.
    """
    shipment = _ship(plan, options)
    run_id, table = new_run_id(plan.program), str(plan)
    with beginning.joined(
        options,
        lambda: RunDirectory.create(run_id),
        table=table,
        runtime_env=shipment.runtime_env,
    ) as (cluster, directory):
        submission = Submission(
            run_id=run_id,
            plan=shipment.plan,
            table=table,
            options=_options(cluster, shipment, options),
            directory=None,
            credentials=Credentials.create(),
            local=False,
            shows_output=beginning.shows_output(options),
            path=shipment.plan.source.sys_path,
            environment={},
        )
        with beginning.begun(cluster, submission) as (held, rendezvous):
            return FollowingClient(plan, submission, directory, held, rendezvous).start()


def describe(plan: LaunchPlan, options: RayOptions, address: str) -> str:
    """Return what would be launched, for people.

    Raises:
      UsageError: it cannot be.
    """
    return _ship(plan, options).describe("actors", f"of a client of {address}")


def _ship(plan: LaunchPlan, options: RayOptions) -> Shipment:
    if options.detach:
        raise UsageError(_BOUND)
    return ship(plan, options)


def _options(cluster: Cluster, shipment: Shipment, options: RayOptions) -> RayOptions:
    """Return what the actors are told beside what Ray makes for all of them.

    Raises:
      UsageError: the cluster has not been sent the program, and cannot be any more.
    """
    if not cluster.is_users:
        return shipment.options
    if shipment.plan.source.main_file is not None and not cluster.runtime_env.get(WORKING_DIR):
        raise UsageError(_BARE)
    return dataclasses.replace(options, address=None)


class FollowingClient(FollowingActor):
    """A run whose controller is in an actor, on a machine that shares no files with this one."""

    def start(self) -> Run:
        """See the base class."""
        names = [worker.name for worker in self.plan.workers]
        self._logs = _Logs(self._held, self._directory, names, self._keeper)
        self._logs.start()
        self._desk = Desk(self, self._scope, self._directory)
        self._desk.open()
        return super().start()

    def _take(self, status: RunStatus) -> None:
        if status.phase == Phase.ENDED.value:
            self._logs.finish()  # before anybody hears of the end, and reads them
        super()._take(status)

    def _took(self, status: RunStatus) -> None:
        with self._keeper.keeping():
            self._directory.write_status(status)
        self._desk.tell(status)

    def _let_go(self) -> None:
        try:
            with self._keeper.keeping():
                self._desk.close()
        finally:
            super()._let_go()


class _Logs:
    """Copies the nodes' logs, as they grow, into the run's directory on this machine."""

    def __init__(
        self,
        held: HeldByActor,
        directory: RunDirectory,
        names: Collection[str],
        keeper: Keeper,
    ) -> None:
        self._held = held
        self._directory = directory
        self._keeper = keeper
        self._seen = dict.fromkeys(names, 0)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._copy, name="lp-ray-logs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Wait for the rest of them: the run has ended."""
        self._ended.set()
        self._thread.join(_REST_S)

    def _copy(self) -> None:
        over = False
        while not over:
            try:
                over = self._held.is_over()
                while self._take():
                    pass
            except Unavailable as error:  # for a moment, or for good
                if self._ended.wait(_AGAIN_S):
                    what = "not all that its nodes printed has come here"
                    _log.warning("%s: %s: %s", self._directory.run_id, what, error)
                    return
                over = False

    def _take(self) -> bool:
        news = self._held.logs(self._seen)
        for name, data in news.items():
            self._seen[name] += len(data)  # what cannot be written is missing, not asked for again
            with self._keeper.keeping(), self._directory.log(name).open("ab") as file:
                file.write(data)
        return bool(news)
