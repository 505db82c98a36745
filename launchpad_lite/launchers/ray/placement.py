"""Room in a cluster for the actors of a program: all of it, or none."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import itertools
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from launchpad_lite.errors import Stopped, UsageError
from launchpad_lite.launchers.ray.layout import by_pool
from launchpad_lite.launchers.ray.machines import amounts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launchpad_lite.launchers.ray.cluster import Cluster
    from launchpad_lite.launchers.ray.groups import Pool
    from launchpad_lite.launchers.ray.labels import Selector
    from launchpad_lite.launchers.ray.layout import Bundle
    from launchpad_lite.launchers.ray.options import RayOptions, Strategy

_log = logging.getLogger(__name__)

_AT_ONCE_S = 2.0  # for Ray to place what it has room for
_LOOK_S = 1  # Ray takes whole seconds; between two looks at whether the run is to end
_ADVICE = (
    "Ask for less with lp.Resources or another strategy, or wait for what others hold: "
    "--ray_wait=SECONDS."
)


@dataclasses.dataclass(eq=False)
class Room:
    """Room for some actors: a placement group of Ray.

    Attributes:
      bundles: what they ask for, in Ray's order.
      group: Ray's own.
      left: the names of those that have gone elsewhere.
    """

    bundles: Sequence[Bundle]
    group: Any
    left: set[str] = dataclasses.field(default_factory=set[str])

    @property
    def strategy(self) -> Strategy:
        """How Ray has placed them."""
        return self.bundles[0].pool.strategy


class Placement:
    """Room in the cluster for all actors of a program, which Ray keeps for it.

    Attributes:
      bundles: what each of the actors asks for.
    """

    def __init__(
        self, cluster: Cluster, bundles: Sequence[Bundle], options: RayOptions, run_id: str
    ) -> None:
        """Ask for it; `wait` waits until it is there.

        Raises:
          UsageError: Ray does not take what is asked of it.
        """
        self._cluster = cluster
        self._removed = False
        self.bundles = bundles
        self._options = options
        self._run_id = run_id
        self._module: Any = importlib.import_module("ray.util.placement_group")
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._rooms: list[Room] = []  # that there are
        self._room: dict[str, Room] = {}  # for each bundle
        try:
            for members in by_pool(bundles).values():  # all, before any: an autoscaler sees it
                self.move_to(self.ask(members))
        except BaseException:
            self.remove()
            raise

    def ask(self, bundles: Sequence[Bundle], labels: Selector | None = None) -> Room:
        """Ask for room for actors of one pool.

        Args:
          bundles: what they ask for.
          labels: what is asked of the labels of their machines, beyond that.

        Raises:
          UsageError: Ray does not take it.
          Stopped: the run has ended.
        """
        with self._lock:
            number = next(self._numbers)
        try:
            group = self._module.placement_group(
                [dict(bundle.resources) for bundle in bundles],
                strategy=bundles[0].pool.strategy,
                name=f"{self._run_id}:{bundles[0].pool.groups[0]}#{number}",
                bundle_label_selector=[{**(labels or {}), **bundle.labels} for bundle in bundles],
            )
        except (TypeError, ValueError) as error:
            message = f"Ray refuses to place {', '.join(map(str, bundles))}: {error}"
            raise UsageError(message) from error
        room = Room(tuple(bundles), group)
        with self._lock:
            self._rooms.append(room)
            late = self._removed
        if late:
            self.give_back(room)
            message = f"{self._run_id} has ended"
            raise Stopped(message)
        return room

    def move_to(self, room: Room) -> None:
        """Take it that actors are started there from now on."""
        self._room |= {bundle.agent: room for bundle in room.bundles}

    def renew(self, bundle: Bundle) -> None:
        """Ask for room for a lost actor alone, if others have left the room that it was in.

        Ray gives room of a lost machine elsewhere all at once, and would wait for theirs too.
        """
        room = self._room[bundle.agent]
        if room.left and room.strategy in ("PACK", "SPREAD"):
            self.move_to(self.ask([bundle]))
            self.vacate(room, bundle)

    def vacate(self, room: Room, bundle: Bundle) -> None:
        """Take it that an actor has ended; give its room back if all have left it."""
        if self._room[bundle.agent] is not room:
            room.left.add(bundle.agent)
            if len(room.left) == len(room.bundles):
                self.give_back(room)

    def room(self, bundle: Bundle) -> Room:
        """Return where an actor is to be started."""
        return self._room[bundle.agent]

    def strategy(self, bundle: Bundle) -> Any:
        """Return Ray's scheduling strategy for an actor."""
        strategies: Any = importlib.import_module("ray.util.scheduling_strategies")
        room = self.room(bundle)
        return strategies.PlacementGroupSchedulingStrategy(
            room.group, placement_group_bundle_index=room.bundles.index(bundle)
        )

    def wait(self, stopping: Callable[[], bool]) -> None:
        """Wait for all of it, as long as the user wants to.

        Args:
          stopping: tells whether the run is to end before it begins.

        Raises:
          UsageError: some does not come; nothing is asked for any more.
          Stopped: the run is to end.
        """
        try:
            self._await(stopping)
        except BaseException:
            self.remove()
            raise

    def _await(self, stopping: Callable[[], bool]) -> None:
        begun = time.monotonic()
        told = False
        for room in self._rooms:
            while not room.group.wait(_LOOK_S):
                waited = time.monotonic() - begun
                if stopping():
                    message = "stopped while it waited for room in the cluster"
                    raise Stopped(message)
                if waited > max(_AT_ONCE_S, self._options.wait_s):
                    raise UsageError(self._explain())
                if not told and waited > _AT_ONCE_S:
                    told = True
                    seconds = self._options.wait_s
                    _log.warning("the cluster has no room yet; waiting, up to %g s", seconds)

    def _explain(self) -> str:
        placed = [room for room in self._rooms if self.has_come(room)]
        missing = [
            f"  Asked for, with strategy {room.strategy}: {'; '.join(map(str, room.bundles))}."
            for room in self._rooms
            if room not in placed
        ]
        if placed:
            names = ", ".join(each.agent for room in placed for each in room.bundles)
            missing.append(f"  There would be room for {names}; but it is all or nothing.")
        there = "; ".join(
            f"{machine.name} {amounts(machine.free)} of {amounts(machine.total)}"
            for machine in self._cluster.machines()
        )
        waited = f" within {self._options.wait_s:g} s" if self._options.wait_s else " now"
        lines = [
            f"the cluster has no room for the program{waited}.",
            *missing,
            f"  Free{' beside that' if placed else ''}: {there}.",
            f"  {_ADVICE}",
        ]
        return "\n".join(lines)

    def has_come(self, room: Room) -> bool:
        """Whether there is room."""
        return bool(self._table(room)["state"] == "CREATED")

    def machines(self, pool: Pool) -> set[str]:
        """Return which machines, by Ray's names of them, have room for actors of a pool."""
        with self._lock:
            rooms = [room for room in self._rooms if room.bundles[0].pool == pool]
        found: set[str] = set()
        for room in rooms:
            places: dict[int, str] = self._table(room)["bundles_to_node_id"]
            for number, bundle in enumerate(room.bundles):
                if self._room.get(bundle.agent) is room and number in places:
                    found.add(places[number])
        return found

    def _table(self, room: Room) -> dict[str, Any]:
        table: dict[str, Any] = self._module.placement_group_table(room.group)
        return table

    def remove(self) -> None:
        """Give all of it back."""
        with self._lock:
            self._removed = True
            rooms = list(self._rooms)
        for room in rooms:
            self.give_back(room)

    def give_back(self, room: Room) -> None:
        """Give some of it back, once."""
        if room not in self._rooms or not self._cluster.is_joined:  # Ray would begin a new one
            return
        with contextlib.suppress(Exception):  # the cluster may be gone; the end tries again
            self._module.remove_placement_group(room.group)
            with self._lock:
                if room in self._rooms:
                    self._rooms.remove(room)


def remove_room(run_id: str) -> None:
    """Give back what a run has left of its room, if it could not do so itself."""
    module: Any = importlib.import_module("ray.util.placement_group")
    known: list[Any] = []
    with contextlib.suppress(Exception):  # the cluster is gone
        known = list(module.placement_group_table().values())
    for each in known:
        if each["name"].startswith(f"{run_id}:") and each["state"] != "REMOVED":
            with contextlib.suppress(Exception):  # the same, or it has been removed just now
                module.remove_placement_group(module.get_placement_group(each["name"]))
