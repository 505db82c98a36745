"""Nodes on the machines of a Ray cluster, as processes of its actors."""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from typing import TYPE_CHECKING, ClassVar

from launchpad_lite.launchers import terminals
from launchpad_lite.launchers.base import Launcher, LaunchOptions
from launchpad_lite.launchers.ray import addresses, client, inside
from launchpad_lite.launchers.ray import cluster as clusters
from launchpad_lite.launchers.ray.groups import group_of
from launchpad_lite.launchers.ray.jobs import launch as jobs
from launchpad_lite.launchers.ray.layout import describe, lay_out
from launchpad_lite.launchers.ray.options import RayOptions
from launchpad_lite.planning import Capabilities
from launchpad_lite.runtime.rundir import RunDirectory, new_run_id

if TYPE_CHECKING:
    from launchpad_lite.planning import LaunchPlan
    from launchpad_lite.runtime.run import Run


class RayLauncher(Launcher):
    """Runs each node in a process that an actor of Ray holds."""

    name: ClassVar[str] = "ray"
    summary: ClassVar[str] = "each node a process on the machines of a Ray cluster"

    def unavailable(self) -> str | None:
        """See the base class."""
        return None if clusters.installed() else clusters.MISSING

    def capabilities(self) -> Capabilities:
        """See the base class."""
        return Capabilities(launcher=self.name, in_process=False)

    def describe(self, plan: LaunchPlan, options: LaunchOptions) -> str:
        """See the base class: the plan, and the actors that Ray would be asked for now."""
        asked = _ray(options)
        outside = addresses.outside(asked.address)
        if outside is not None:
            way = client if outside.startswith(addresses.CLIENT) else jobs
            return f"{plan}\n\n{way.describe(plan, asked, outside)}"
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
        outside = addresses.outside(asked.address)
        if outside is not None and outside.startswith(addresses.CLIENT):
            return client.launch(plan, asked)
        if outside is not None:
            return jobs.launch(plan, asked, outside)
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
        run_id = new_run_id(plan.program)
        run = inside.begin(plan, asked, lambda: RunDirectory.create(run_id), table=str(plan))
        return run.start()


def _ray(options: LaunchOptions) -> RayOptions:
    return options if isinstance(options, RayOptions) else RayOptions.of_flags(options)


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
