"""Machines that Ray drains: their nodes are told, and moved while there is time."""

from __future__ import annotations

import dataclasses
import logging
import math
import threading
import time
from typing import TYPE_CHECKING

from launchpad_lite.runtime.pulse import BEAT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from launchpad_lite.config import RunConfig
    from launchpad_lite.launchers.ray.actors import Actors
    from launchpad_lite.launchers.ray.cluster import Cluster
    from launchpad_lite.launchers.ray.layout import Bundle
    from launchpad_lite.launchers.ray.placement import Placement, Room
    from launchpad_lite.planning import WorkerSpec
    from launchpad_lite.runtime.fleet import Fleet, Place

    Occupied = Mapping[str, tuple[Place, tuple[WorkerSpec, ...]]]

_log = logging.getLogger(__name__)

_AT_ONCE_S = 1.0  # for Ray to place what it has room for
_END_S = 5.0
_MACHINE = "ray.io/node-id"
"""Ray's own label that tells one machine from the others."""


@dataclasses.dataclass(frozen=True)
class Departure:
    """Agents that leave a machine together, or not at all.

    Attributes:
      machine: Ray's name of it.
      host: its name for people.
      agents: their names.
      movable: whether all of their workers may be started again.
    """

    machine: str
    host: str
    agents: tuple[str, ...]
    movable: bool


def departures(
    occupied: Occupied, bundles: Mapping[str, Bundle], drained: Collection[str]
) -> list[Departure]:
    """Return which agents leave machines.

    Args:
      occupied: the agents that have workers: where they are, and which.
      bundles: what is asked for each of them.
      drained: the machines.
    """
    found: dict[object, list[str]] = {}
    for agent, (place, _) in occupied.items():
        if place.machine in drained:
            pool = bundles[agent].pool
            together = pool if pool.strategy == "STRICT_PACK" else agent
            found.setdefault((place.machine, together), []).append(agent)
    return [
        Departure(
            machine=occupied[agents[0]][0].machine,
            host=occupied[agents[0]][0].host,
            agents=tuple(agents),
            movable=all(spec.max_restarts for agent in agents for spec in occupied[agent][1]),
        )
        for agents in found.values()
    ]


def elsewhere(
    departure: Departure, occupied: Occupied, bundles: Mapping[str, Bundle]
) -> dict[str, str]:
    """Return what is asked of the labels of the machines that agents are to move to."""
    pool = bundles[departure.agents[0]].pool
    if pool.strategy != "STRICT_SPREAD":
        return {}
    taken = {place.machine for agent, (place, _) in occupied.items() if bundles[agent].pool == pool}
    return {_MACHINE: f"!in({','.join(sorted(taken))})"}


def latest(deadline: float, config: RunConfig) -> float:
    """Return when nodes must be told of a deadline at the latest, to have all of their time."""
    return deadline - config.notice_s - config.grace_s - 2 * BEAT_S


@dataclasses.dataclass(eq=False)
class _Move:
    """Agents that are to move.

    Attributes:
      departure: which, and from where.
      deadline: when the machine goes.
      room: what Ray was asked for.
    """

    departure: Departure
    deadline: float
    room: Room


class Moves:
    """Looks again and again for machines that are drained, and moves agents away from them.

    Nodes work on until there is room for them elsewhere, or only just the time to end them.
    """

    def __init__(
        self,
        cluster: Cluster,
        fleet: Fleet,
        actors: Actors,
        placement: Placement,
        *,
        config: RunConfig,
        told_to_end: Callable[[str], object],
    ) -> None:
        """Prepare; `start` begins to look.

        Args:
          cluster: the machines.
          fleet: the agents.
          actors: what holds them.
          placement: the room for these.
          config: how long notice and grace are.
          told_to_end: ends the run, as the machine of its controller will be gone; is told why.
        """
        self._cluster = cluster
        self._fleet = fleet
        self._actors = actors
        self._placement = placement
        self._config = config
        self._told_to_end = told_to_end
        self._known: set[str] = set()
        self._moves: list[_Move] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lp-moves", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(_END_S)

    def _run(self) -> None:
        said = ""
        while not self._closed.wait(BEAT_S):
            try:
                self._look(self._cluster.drained())
            except Exception as error:  # Ray's own, of many types, while its head is away
                text = f"nodes cannot be moved from a machine that Ray drains: {error!r}"
                if text != said:
                    said = text
                    _log.warning("%s", text)

    def _look(self, drained: dict[str, float]) -> None:
        own = drained.pop(self._cluster.machine, None)
        if own is not None and (math.isinf(own) or time.time() >= latest(own, self._config)):
            self._told_to_end("Ray drains the machine that has the run's controller")
        if self._begin(drained):
            self._closed.wait(_AT_ONCE_S)
        occupied = self._fleet.occupied()
        self._moves = [move for move in self._moves if not self._has_gone(move, occupied)]

    def _begin(self, drained: dict[str, float]) -> bool:
        """Ask for room for agents that were not known to leave; return whether there are any."""
        occupied, bundles = self._fleet.occupied(), self._actors.bundles()
        before = len(self._moves)
        for departure in departures(occupied, bundles, drained):
            pool = bundles[departure.agents[0]].pool
            beside = [agent for agent, bundle in bundles.items() if bundle.pool == pool]
            together = pool.strategy == "STRICT_PACK"
            if departure.agents[0] in self._known or (together and self._fleet.awaits(beside)):
                continue
            self._known.update(departure.agents)
            deadline = drained[departure.machine]
            if not departure.movable:
                self._tell(departure, deadline, moves=False)
                continue
            asked = [bundles[agent] for agent in departure.agents]
            room = self._placement.ask(asked, elsewhere(departure, occupied, bundles))
            self._moves.append(_Move(departure, deadline, room))
        return len(self._moves) > before

    def _has_gone(self, move: _Move, occupied: Occupied) -> bool:
        """Let agents go if there is room or it is time; return whether that is done."""
        departure = move.departure
        if not any(agent in occupied for agent in departure.agents):  # they have ended, or are lost
            self._placement.give_back(move.room)
            return True
        if self._placement.has_come(move.room):
            self._placement.move_to(move.room)
            self._tell(departure, move.deadline)
            return True
        if time.time() < latest(move.deadline, self._config):
            return False
        # Ray gives the room of a machine that is gone elsewhere, and must not find both asked for.
        self._placement.give_back(move.room)
        self._tell(departure, move.deadline, ", with no room elsewhere yet")
        return True

    def _tell(
        self, departure: Departure, deadline: float, but: str = "", *, moves: bool = True
    ) -> None:
        seconds = max(0.0, deadline - time.time())
        goes = "" if math.isinf(seconds) else f" and goes in {seconds:.0f} s"
        if moves:
            self._actors.leave(departure.agents)
        reason = f"{departure.host} is drained by Ray{goes}{but}"
        self._fleet.leave(departure.agents, seconds, reason, moves=moves)
