"""Nodes on the machines of a Ray cluster, as processes of its actors."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import sys
from typing import TYPE_CHECKING, ClassVar

from launchpad_lite.credentials import Credentials
from launchpad_lite.launchers import terminals
from launchpad_lite.launchers.base import Launcher, LaunchOptions
from launchpad_lite.launchers.ray import cluster as clusters
from launchpad_lite.launchers.ray.following import FollowingActor, FollowingDetached
from launchpad_lite.launchers.ray.groups import group_of
from launchpad_lite.launchers.ray.held import HeldByActor
from launchpad_lite.launchers.ray.layout import describe, lay_out
from launchpad_lite.launchers.ray.messages import Submission
from launchpad_lite.launchers.ray.options import RayOptions
from launchpad_lite.planning import Capabilities
from launchpad_lite.runtime.rundir import RunDirectory, new_run_id

if TYPE_CHECKING:
    from launchpad_lite.launchers.ray.cluster import Cluster
    from launchpad_lite.planning import LaunchPlan
    from launchpad_lite.runtime.run import Run


class RayLauncher(Launcher):
    """Runs each node in a process that an actor of Ray holds."""

    name: ClassVar[str] = "ray"
    summary: ClassVar[str] = "each node a process on the machines of a Ray cluster"

    def unavailable(self) -> str | None:
        """See the base class."""
        if clusters.installed():
            return None
        return "Ray is not installed: pip install 'launchpad-lite[ray]'."

    def capabilities(self) -> Capabilities:
        """See the base class."""
        return Capabilities(launcher=self.name, in_process=False)

    def describe(self, plan: LaunchPlan, options: LaunchOptions) -> str:
        """See the base class: the plan, and the actors that Ray would be asked for now."""
        asked = _ray(options)
        cluster = clusters.Cluster.join(asked)
        try:
            bundles = lay_out(plan.workers, asked, cluster.machines())
        finally:
            cluster.leave()
        return f"{plan}\n\n{describe(bundles)}"

    def launch(self, plan: LaunchPlan, options: LaunchOptions) -> Run:
        """See the base class."""
        asked = _ray(options)
        terminals.check(asked.terminal, asked.tmux_session_name, attach=asked.tmux_open_window)
        for warning in _unheeded(plan, asked):
            sys.stderr.write(f"warning: {warning}\n")
        checkpoints = plan.config.checkpoint_dir
        config = dataclasses.replace(
            plan.config,
            pdb=False,
            # The controller is in another process, which has a working directory of its own.
            checkpoint_dir=None
            if checkpoints is None
            else str(pathlib.Path(checkpoints).absolute()),
        )
        plan = dataclasses.replace(plan, config=config)
        cluster = clusters.Cluster.join(asked)
        try:
            return _launch(plan, asked, cluster)
        except BaseException:
            cluster.leave()
            raise


def _ray(options: LaunchOptions) -> RayOptions:
    return options if isinstance(options, RayOptions) else RayOptions.of_flags(options)


def _launch(plan: LaunchPlan, options: RayOptions, cluster: Cluster) -> Run:
    directory = RunDirectory.create(new_run_id(plan.program))
    try:
        directory.write_plan(str(plan))
        submission = Submission(
            plan=plan.portable(),
            options=options,
            directory=str(directory.path),
            credentials=Credentials.create(),
            local=cluster.local,
            shows_output=options.show_output and options.terminal == terminals.CURRENT,
            path=sys.path,
            environment={
                name: value for name, value in os.environ.items() if not name.startswith("RAY_")
            },
        )
        held = HeldByActor(cluster, submission, directory.run_id)
        try:
            rendezvous = held.begin()
            if options.detach:
                run = FollowingDetached(plan, submission, directory, rendezvous).start()
                cluster.leave()
                return run
            return FollowingActor(plan, submission, directory, held, rendezvous).start()
        except BaseException:
            held.end()
            raise
    except BaseException:
        directory.remove()
        raise


def _unheeded(plan: LaunchPlan, options: RayOptions) -> list[str]:
    """Return what was asked for and is not done, for people."""
    texts: list[str] = []
    if plan.config.pdb:
        texts.append("pdb: nodes are processes of Ray, which have no terminal: none is debugged")
    if not options.keep_directory:
        texts.append("keep_directory=False: logs of all machines are kept in a run directory")
    if any(
        (worker.resources.nodes or 1) > 1
        and options.strategy_of(group_of(worker)) in ("PACK", "STRICT_PACK")
        for worker in plan.workers
    ):
        texts.append("Resources(nodes=): Ray may put the actors on fewer machines; see strategy")
    if any(worker.resources.exclusive for worker in plan.workers):
        texts.append("Resources(exclusive=): Ray gives no machine to one group alone")
    return texts
