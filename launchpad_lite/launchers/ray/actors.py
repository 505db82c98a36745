"""The actors of a program: started where there is room for them, watched, and taken down."""

from __future__ import annotations

import collections
import contextlib
import functools
import pickle
import threading
from typing import TYPE_CHECKING, Any

from launchpad_lite.errors import UsageError
from launchpad_lite.launchers.ray.host import Charge, Host
from launchpad_lite.launchers.ray.machines import CPU, GPU, MEMORY
from launchpad_lite.launchers.ray.options import show_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from concurrent import futures

    from launchpad_lite.launchers.ray.cluster import Cluster
    from launchpad_lite.launchers.ray.layout import Bundle
    from launchpad_lite.launchers.ray.options import RayOptions
    from launchpad_lite.launchers.ray.placement import Placement, Room

END_S = 15.0
"""Seconds that actors have to end after their agents were hung up on."""

SHIP = (
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
        self._places = {bundle.agent: bundle for bundle in placement.bundles}
        self._rooms: dict[str, Room] = {}
        self._leaving: set[str] = set()
        self._ended = threading.Condition()
        self._running: set[str] = set()
        self._ending = False
        self._tries: collections.Counter[str] = collections.Counter()

    def start(
        self, charge: Callable[[str, Bundle], Charge], gone: Callable[[Iterable[str], str], object]
    ) -> None:
        """Start them.

        Args:
          charge: returns what the actor of an agent is to hold, by its name and place.
          gone: is told of each agent whose actor has ended, and why.

        Raises:
          UsageError: Ray does not take what is asked of it.
        """
        self._charge, self._gone = charge, gone
        for agent in list(self._places):
            self._start(agent)

    def replace(self, lost: str, agent: str) -> None:
        """Start another actor for one whose agent is lost, or leaves its machine.

        Ray moves the room of a machine that is gone elsewhere, once it knows and there is any.

        Args:
          lost: the agent.
          agent: that which takes its place.
        """
        bundle = self._places[lost]
        self._places = {**self._places, agent: bundle}
        if lost not in self._leaving:
            self._kill(lost)  # one that has only lost its agent still takes the room
            with contextlib.suppress(Exception):  # of Ray's: it is started where the lost one was
                self._placement.renew(bundle)
        self._try(agent)

    def bundles(self) -> Mapping[str, Bundle]:
        """Return what the actor of each agent asks for."""
        return self._places

    def leave(self, agents: Iterable[str]) -> None:
        """Take it that the room of some agents is not needed once these have ended."""
        with self._ended:
            self._leaving.update(agents)

    def _clear(self, agent: str) -> None:
        self._kill(agent)
        self._placement.vacate(self._rooms[agent], self._places[agent])

    def _try(self, agent: str) -> None:
        try:
            self._start(agent)
        except UsageError as error:
            self._gone([agent], str(error))

    def _start(self, agent: str) -> None:
        bundle = self._places[agent]
        self._rooms[agent] = self._placement.room(bundle)
        try:
            actor = self._make(agent, bundle)
        except (
            TypeError,
            ValueError,
            RuntimeError,
            self._cluster.ray.exceptions.RayError,
        ) as error:
            message = f"Ray refuses the actors of group {bundle.group!r}: {error}"
            env = show_environment(self._options.runtime_env_of(bundle.group))
            raise UsageError(f"{message} (runtime_env={env})" if env else message) from error
        with self._ended:
            self._actors[agent] = actor
            self._running.add(agent)
            late = self._ending
        if late:
            self._kill(agent)
        answer = actor.hold.remote(pickle.dumps(self._charge(agent, bundle))).future()
        answer.add_done_callback(functools.partial(self._note_end, agent))

    def _make(self, agent: str, bundle: Bundle) -> Any:
        self._tries[agent] += 1  # Ray keeps an actor's name for a while after its end
        again = f"#{self._tries[agent]}" if self._tries[agent] > 1 else ""
        counted = (CPU, GPU, MEMORY)  # which Ray has parameters for
        return (
            self._cluster.ray.remote(Host)
            .options(
                name=f"{self._run_id}:{agent}{again}",
                namespace=self._options.namespace,
                num_cpus=bundle.resources.get(CPU, 0),
                num_gpus=bundle.resources.get(GPU, 0),
                memory=bundle.resources.get(MEMORY) or None,
                resources={
                    name: amount for name, amount in bundle.resources.items() if name not in counted
                },
                scheduling_strategy=self._placement.strategy(bundle),
                runtime_env=self._options.runtime_env_of(bundle.group) or None,
            )
            .remote()
        )

    def _note_end(self, agent: str, answer: futures.Future[str]) -> None:
        error = answer.exception()
        with self._ended:
            self._running.discard(agent)
            self._ended.notify_all()
            again = not self._ending and error is not None and _was_too_early(error)
            left = not self._ending and agent in self._leaving
        if again or left:  # not in this thread, which is Ray's
            work = self._try if again else self._clear
            threading.Thread(target=work, args=(agent,), name="lp-actor", daemon=True).start()
        if again:
            return
        how = answer.result() if error is None else explain(error)
        self._gone([agent], f"its actor of Ray has ended{': ' if how else ''}{how}")

    def end(self, silent: Collection[str], absent: Collection[str]) -> None:
        """Wait for the end of all; end what does not end, and give their room back.

        Args:
          silent: agents whose machines are gone: nothing will be heard of them.
          absent: agents that have not come; their actors may wait for room.
        """
        with self._ended:
            self._ending = True
        for agent in absent:
            self._kill(agent)
        with self._ended:
            self._ended.wait_for(lambda: self._running <= {*silent, *absent}, END_S)
        for agent in self._actors:
            self._kill(agent)
        self._placement.remove()

    def _kill(self, agent: str) -> None:
        with contextlib.suppress(Exception):  # it, or the cluster, may be gone
            self._cluster.ray.kill(self._actors[agent])


def _was_too_early(error: BaseException) -> bool:
    """Whether an actor was to start on a machine of whose loss Ray did not know yet."""
    text = str(error)
    return "its node has died" in text and "The actor never ran" in text


def explain(error: BaseException) -> str:
    """Return why an actor has ended, for people."""
    text = str(error).strip()
    if "No module named 'launchpad_lite'" in text:
        return SHIP
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n  ".join(lines[-12:]) or repr(error)
