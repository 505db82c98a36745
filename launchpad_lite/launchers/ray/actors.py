"""The actors of a program: placed together, or not at all; watched, and taken down."""

from __future__ import annotations

import contextlib
import functools
import importlib
import pickle
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from launchpad_lite.errors import Stopped, UsageError
from launchpad_lite.launchers.ray.host import Charge, Host
from launchpad_lite.launchers.ray.layout import CPU, GPU, MEMORY, amounts
from launchpad_lite.runtime.signals import signals

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from concurrent import futures

    from launchpad_lite.launchers.ray.cluster import Cluster
    from launchpad_lite.launchers.ray.layout import Bundle
    from launchpad_lite.launchers.ray.options import RayOptions

END_S = 15.0
"""Seconds that actors have to end after their agents were hung up on."""

_AT_ONCE_S = 2.0  # for Ray to place what it has room for
_LOOK_S = 1  # Ray takes whole seconds; between two looks at whether a signal has come
_SHIP = (
    "The cluster's machines have no launchpad_lite. Install it there, or ship it: "
    "lp.RayOptions(runtime_env={'pip': [...]}) with its wheel."
)


class Placement:
    """Room in the cluster for all actors of a program, which Ray keeps for it.

    Attributes:
      bundles: what each of the actors asks for.
      group: Ray's own.
    """

    def __init__(self, cluster: Cluster, bundles: Sequence[Bundle], options: RayOptions) -> None:
        """Ask for it; `wait` waits until it is there."""
        self._cluster = cluster
        self._removed = False
        self.bundles = bundles
        self._options = options
        self._module: Any = importlib.import_module("ray.util.placement_group")
        self.group: Any = self._module.placement_group(
            [dict(bundle.resources) for bundle in bundles], strategy=options.strategy
        )

    def wait(self) -> None:
        """Wait for it, as long as the user wants to.

        Raises:
          UsageError: it does not come; nothing is asked for any more.
          Stopped: a signal has come.
        """
        try:
            self._await()
        except BaseException:
            self.remove()
            raise

    def _await(self) -> None:
        begun = time.monotonic()
        told = False
        while not self.group.wait(_LOOK_S):
            waited = time.monotonic() - begun
            if signals.early:  # which is held until there is a run
                message = "stopped while it waited for room in the cluster"
                raise Stopped(message)
            if waited > max(_AT_ONCE_S, self._options.wait_s):
                raise UsageError(self._explain())
            if not told and waited > _AT_ONCE_S:
                told = True
                seconds = self._options.wait_s
                sys.stderr.write(f"the cluster has no room yet; waiting, up to {seconds:g} s\n")

    def _explain(self) -> str:
        asked = "; ".join(f"{each.agent} {amounts(each.resources)}" for each in self.bundles)
        there = "; ".join(
            f"{machine.name} {amounts(machine.free)} of {amounts(machine.total)}"
            for machine in self._cluster.machines()
        )
        waited = f" within {self._options.wait_s:g} s" if self._options.wait_s else " now"
        return (
            f"the cluster has no room for the program{waited}.\n"
            f"  Asked for, with strategy {self._options.strategy}: {asked}.\n"
            f"  Free: {there}.\n"
            "  Ask for less with lp.Resources or another strategy, or wait for what others hold: "
            "--ray_wait=SECONDS."
        )

    def remove(self) -> None:
        """Give it back, once."""
        if self._removed or not self._cluster.ray.is_initialized():  # Ray would begin a new cluster
            return
        self._removed = True
        with contextlib.suppress(Exception):  # the cluster may be gone
            self._module.remove_placement_group(self.group)


class Actors:
    """The actors, each of which holds one agent."""

    def __init__(
        self,
        cluster: Cluster,
        placement: Placement,
        options: RayOptions,
        run_id: str,
    ) -> None:
        """Prepare; `start` starts them."""
        self._cluster = cluster
        self._placement = placement
        self._options = options
        self._run_id = run_id
        self._actors: dict[str, Any] = {}
        self._ended = threading.Condition()
        self._running: set[str] = set()

    def start(
        self, charge: Callable[[str], Charge], gone: Callable[[Iterable[str], str], object]
    ) -> None:
        """Start them.

        Args:
          charge: returns what the actor of an agent is to hold.
          gone: is told of each agent whose actor has ended, and why.

        Raises:
          UsageError: Ray does not take what is asked of it.
        """
        for index, bundle in enumerate(self._placement.bundles):
            agent = bundle.agent
            try:
                actor = self._actors[agent] = self._make(bundle, index)
            except (TypeError, ValueError, RuntimeError) as error:
                message = f"Ray refuses the actors of group {bundle.group!r}: {error}"
                env = self._options.runtime_env_of(bundle.group)
                raise UsageError(f"{message} (runtime_env={env})" if env else message) from error
            self._running.add(agent)
            answer = actor.hold.remote(pickle.dumps(charge(agent))).future()
            answer.add_done_callback(functools.partial(self._note_end, agent, gone))

    def _make(self, bundle: Bundle, index: int) -> Any:
        strategies: Any = importlib.import_module("ray.util.scheduling_strategies")
        counted = (CPU, GPU, MEMORY)  # which Ray has parameters for
        return (
            self._cluster.ray.remote(Host)
            .options(
                name=f"{self._run_id}:{bundle.agent}",
                namespace=self._options.namespace,
                num_cpus=bundle.resources.get(CPU, 0),
                num_gpus=bundle.resources.get(GPU, 0),
                memory=bundle.resources.get(MEMORY) or None,
                resources={
                    name: amount for name, amount in bundle.resources.items() if name not in counted
                },
                scheduling_strategy=strategies.PlacementGroupSchedulingStrategy(
                    self._placement.group, placement_group_bundle_index=index
                ),
                runtime_env=self._options.runtime_env_of(bundle.group) or None,
            )
            .remote()
        )

    def _note_end(
        self,
        agent: str,
        gone: Callable[[Iterable[str], str], object],
        answer: futures.Future[str],
    ) -> None:
        error = answer.exception()
        how = answer.result() if error is None else _explain(error)
        gone([agent], f"its actor of Ray has ended{': ' if how else ''}{how}")
        with self._ended:
            self._running.discard(agent)
            self._ended.notify_all()

    def end(self, silent: Collection[str]) -> None:
        """Wait for the end of all; end what does not end, and give their room back.

        Args:
          silent: agents whose machines are gone: nothing will be heard of them.
        """
        deadline = time.monotonic() + END_S
        with self._ended:
            self._ended.wait_for(
                lambda: self._running <= set(silent), max(0.0, deadline - time.monotonic())
            )
        for actor in self._actors.values():
            with contextlib.suppress(Exception):  # it, or the cluster, may be gone
                self._cluster.ray.kill(actor)
        self._placement.remove()


def _explain(error: BaseException) -> str:
    text = str(error).strip()
    if "No module named 'launchpad_lite'" in text:
        return _SHIP
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n  ".join(lines[-12:]) or repr(error)
