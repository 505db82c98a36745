"""Machines that Ray drains: their nodes are told, and moved while there is time."""

from __future__ import annotations

import dataclasses
import logging
import math
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from launchpad_lite.runtime.pulse import BEAT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from launchpad_lite.config import RunConfig
    from launchpad_lite.launchers.ray.actors import Actors
    from launchpad_lite.launchers.ray.cluster import Cluster
    from launchpad_lite.launchers.ray.groups import Pool
    from launchpad_lite.launchers.ray.layout import Bundle
    from launchpad_lite.launchers.ray.placement import Placement, Room
    from launchpad_lite.planning import WorkerSpec
    from launchpad_lite.runtime.fleet import Fleet, Place

    Occupied = Mapping[str, tuple[Place, tuple[WorkerSpec, ...]]]

T = TypeVar("T")

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


def elsewhere(pool: Pool, taken: Collection[str]) -> dict[str, str]:
    """Return what is asked of the labels of the machines that actors of a pool are to move to.

    Args:
      pool: theirs.
      taken: the machines that have room for it.
    """
    if pool.strategy != "STRICT_SPREAD":
        return {}
    return {_MACHINE: f"!in({','.join(sorted(taken))})"}


def latest(deadline: float, config: RunConfig) -> float:
    """Return when nodes must be told of a deadline at the latest, to have all of their time."""
    return deadline - config.notice_s - config.grace_s - 2 * BEAT_S


@dataclasses.dataclass(eq=False)
class _Leave:
    """Agents that are to leave, and have not been told.

    Attributes:
      departure: which, and from where.
      pool: theirs.
      deadline: when the machine goes.
      room: what Ray was asked for elsewhere.
    """

    departure: Departure
    pool: Pool
    deadline: float
    room: Room | None = None


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
        self._leaves: list[_Leave] = []
        self._said = ""
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
        while not self._closed.wait(BEAT_S):
            self._attempt(self._look)

    def _attempt(self, work: Callable[[], T]) -> T | None:
        """Do what Ray may refuse, with errors of many types, or not answer while its head is away.

        Return what comes of it; None if nothing does, which is tried again at the next look.
        """
        try:
            return work()
        except Exception as error:
            text = f"nodes cannot be moved from a machine that Ray drains: {error!r}"
            if text != self._said:
                self._said = text
                _log.warning("%s", text)
            return None

    def _look(self) -> None:
        drained = self._cluster.drained()
        own = drained.pop(self._cluster.machine, None)
        if own is not None and (math.isinf(own) or time.time() >= latest(own, self._config)):
            self._told_to_end("Ray drains the machine that has the run's controller")
        occupied = self._fleet.occupied()
        self._note(drained, occupied)
        if any([self._ask(leave) for leave in self._leaves]):  # noqa: C419 - each of them
            self._closed.wait(_AT_ONCE_S)
            occupied = self._fleet.occupied()
        for leave in list(self._leaves):
            if self._is_done(leave, occupied):
                self._leaves.remove(leave)

    def _note(self, drained: Mapping[str, float], occupied: Occupied) -> None:
        """Note which agents are to leave that were not known to."""
        for leave in self._leaves:
            leave.deadline = drained.get(leave.departure.machine, leave.deadline)
        bundles = self._actors.bundles()
        for departure in departures(occupied, bundles, drained):
            deadline = drained[departure.machine]
            pool = bundles[departure.agents[0]].pool
            beside = [agent for agent, bundle in bundles.items() if bundle.pool == pool]
            incomplete = pool.strategy == "STRICT_PACK" and self._fleet.awaits(beside)
            if departure.agents[0] in self._known or (incomplete and not self._is_late(deadline)):
                continue
            self._known.update(departure.agents)
            self._leaves.append(_Leave(departure, pool, deadline))
            if not departure.movable:
                names = [spec.name for agent in departure.agents for spec in occupied[agent][1]]
                _log.warning(
                    "%s, and what is not to be started again elsewhere will be lost with it: %s",
                    _reason(departure, deadline),
                    ", ".join(names),
                )

    def _ask(self, leave: _Leave) -> bool:
        """Ask for room elsewhere if it is wanted now; return whether that is done."""
        if leave.room is not None or not leave.departure.movable:
            return False
        pool = leave.pool
        taken: set[str] = set()
        if pool.strategy == "STRICT_SPREAD":
            if any(other.room is not None and other.pool == pool for other in self._leaves):
                return False  # where that will be, this one must not come to
            found = self._attempt(lambda: self._placement.machines(pool))
            if found is None:
                return False
            taken = found
        bundles = self._actors.bundles()
        asked = [bundles[agent] for agent in leave.departure.agents]
        leave.room = self._attempt(lambda: self._placement.ask(asked, elsewhere(pool, taken)))
        return leave.room is not None

    def _is_done(self, leave: _Leave, occupied: Occupied) -> bool:
        """Let agents go if there is room or it is time; return whether they need no more looks."""
        room = leave.room
        if not any(agent in occupied for agent in leave.departure.agents):  # ended, or lost
            self._abandon(room)
            return True
        if room is not None and self._attempt(lambda: self._placement.has_come(room)):
            self._placement.move_to(room)
            self._tell(leave)
            return True
        if not self._is_late(leave.deadline):
            return False
        # Ray gives the room of a machine that is gone elsewhere, and must not find both asked for.
        self._abandon(room)
        self._tell(leave, ", with no room elsewhere yet" if leave.departure.movable else "")
        return True

    def _abandon(self, room: Room | None) -> None:
        if room is not None:
            self._placement.give_back(room)

    def _is_late(self, deadline: float) -> bool:
        return time.time() >= latest(deadline, self._config)

    def _tell(self, leave: _Leave, but: str = "") -> None:
        departure = leave.departure
        if departure.movable:
            self._actors.leave(departure.agents)
        seconds = max(0.0, leave.deadline - time.time())
        reason = f"{_reason(departure, leave.deadline)}{but}"
        self._fleet.leave(departure.agents, seconds, reason, moves=departure.movable)


def _reason(departure: Departure, deadline: float) -> str:
    seconds = max(0.0, deadline - time.time())
    goes = "" if math.isinf(seconds) else f" and goes in {seconds:.0f} s"
    return f"{departure.host} is drained by Ray{goes}"
