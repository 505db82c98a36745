"""The actors of a program: started where there is room for them, watched, and taken down."""

from __future__ import annotations

import contextlib
import functools
import importlib
import pickle
import threading
import time
from typing import TYPE_CHECKING, Any

from launchpad_lite.errors import UsageError
from launchpad_lite.launchers.ray.host import Charge, Host
from launchpad_lite.launchers.ray.layout import CPU, GPU, MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from concurrent import futures

    from launchpad_lite.launchers.ray.cluster import Cluster
    from launchpad_lite.launchers.ray.layout import Bundle
    from launchpad_lite.launchers.ray.options import RayOptions
    from launchpad_lite.launchers.ray.placement import Placement

END_S = 15.0
"""Seconds that actors have to end after their agents were hung up on."""

_SHIP = (
    "The cluster's machines have no launchpad_lite. Install it there, or ship it: "
    "lp.RayOptions(runtime_env={'pip': [...]}) with its wheel."
)


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
        how = answer.result() if error is None else explain(error)
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


def explain(error: BaseException) -> str:
    """Return why an actor has ended, for people."""
    text = str(error).strip()
    if "No module named 'launchpad_lite'" in text:
        return _SHIP
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n  ".join(lines[-12:]) or repr(error)
