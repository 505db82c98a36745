"""Nodes on the machines of a Ray cluster, as processes of its actors."""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
from typing import TYPE_CHECKING, ClassVar

from launchpad_lite.credentials import Credentials
from launchpad_lite.launchers import gpus, terminals
from launchpad_lite.launchers.base import Launcher, LaunchOptions
from launchpad_lite.launchers.local import LocalRun
from launchpad_lite.launchers.output import Output
from launchpad_lite.launchers.ray import cluster as clusters
from launchpad_lite.launchers.ray.actors import Actors
from launchpad_lite.launchers.ray.host import THREADS, Charge
from launchpad_lite.launchers.ray.layout import amounts, lay_out
from launchpad_lite.launchers.ray.options import RayOptions
from launchpad_lite.launchers.ray.placement import Placement
from launchpad_lite.planning import Capabilities
from launchpad_lite.runtime.fleet import Fleet, Place
from launchpad_lite.runtime.rundir import RunDirectory, new_run_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launchpad_lite.launchers.ray.cluster import Cluster
    from launchpad_lite.planning import LaunchPlan, WorkerSpec
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
        lines = [f"# {len(bundles)} actor(s) in a placement group, strategy {asked.strategy}:"]
        lines += [
            f"{each.agent}: {amounts(each.resources)}: {', '.join(each.workers)}"
            for each in bundles
        ]
        return "\n\n".join([str(plan), "\n".join(lines)])

    def launch(self, plan: LaunchPlan, options: LaunchOptions) -> Run:
        """See the base class."""
        asked = _ray(options)
        terminals.check(asked.terminal, asked.tmux_session_name, attach=asked.tmux_open_window)
        for warning in _unheeded(plan, asked):
            sys.stderr.write(f"warning: {warning}\n")
        plan = dataclasses.replace(plan, config=dataclasses.replace(plan.config, pdb=False))
        cluster = clusters.Cluster.join(asked)
        try:
            bundles = lay_out(plan.workers, asked, cluster.machines())
            placement = Placement(cluster, bundles, asked)
            placement.wait()
            directory = RunDirectory.create(new_run_id(plan.program))
            try:
                directory.write_plan(str(plan))
                return _RayRun(plan, asked, directory, cluster, placement).start()
            except BaseException:
                placement.remove()
                directory.remove()
                raise
        except BaseException:
            cluster.leave()
            raise


def _ray(options: LaunchOptions) -> RayOptions:
    return options if isinstance(options, RayOptions) else RayOptions.of_flags(options)


def _unheeded(plan: LaunchPlan, options: RayOptions) -> list[str]:
    """Return what was asked for and is not done, for people."""
    texts: list[str] = []
    if plan.config.pdb:
        texts.append("pdb: nodes are processes of Ray, which have no terminal: none is debugged")
    if not options.keep_directory:
        texts.append("keep_directory=False: logs of all machines are kept in a run directory")
    if options.strategy in ("PACK", "STRICT_PACK") and any(
        (worker.resources.nodes or 1) > 1 for worker in plan.workers
    ):
        texts.append("Resources(nodes=): Ray may put the actors on fewer machines; see strategy")
    if any(worker.resources.exclusive for worker in plan.workers):
        texts.append("Resources(exclusive=): Ray gives no machine to one group alone")
    return texts


class _RayRun:
    """A run whose controller is this process, and whose workers are held by actors."""

    def __init__(
        self,
        plan: LaunchPlan,
        options: RayOptions,
        directory: RunDirectory,
        cluster: Cluster,
        placement: Placement,
    ) -> None:
        self._plan = plan
        self._options = options
        self._cluster = cluster
        self._local = LocalRun(
            plan,
            options,
            directory=directory,
            credentials=Credentials.create(),
            host=cluster.address,
        )
        self._output = Output(plan, options, directory)
        self._actors = Actors(cluster, placement, options, directory.run_id)
        specs = {worker.name: worker for worker in plan.workers}
        self._fleet = Fleet(
            {
                bundle.agent: [specs[name] for name in bundle.workers]
                for bundle in placement.bundles
            },
            boot=self._boot,
            log=self._local.log,
            share=_share,
            bring_up=self._bring_up,
            take_down=self._actors.end,
            leavings=[str(directory.rendezvous_file)],
        )

    def start(self) -> Run:
        run = self._local.start(self._fleet, shows_output=self._output.in_process)
        self._output.start()
        return run

    def _bring_up(self) -> None:
        self._local.controller.at_end(self._cluster.leave)
        self._local.controller.at_end(self._output.stop)
        fleet = self._fleet
        self._endpoint = self._local.serve_controller(
            fleet.arrive, fleet.hear, fleet.beat, self._local.controller.told_to_end
        )
        self._actors.start(self._charge, fleet.give_up)

    def _charge(self, agent: str) -> Charge:
        runtime_env = self._options.runtime_env_of(agent.rpartition("@")[0])
        return Charge(
            agent=agent,
            preload=self._plan.preload,
            endpoint=self._endpoint,
            credentials=self._local.credentials,
            logs=str(self._local.log("any").parent),
            path=sys.path,
            environment={
                name: value for name, value in os.environ.items() if not name.startswith("RAY_")
            },
            sets_threads=THREADS in runtime_env.get("env_vars", {}),
        )

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
