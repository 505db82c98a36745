"""Room in a cluster for the actors of a program: all of it, or none."""

from __future__ import annotations

import contextlib
import importlib
import logging
import time
from typing import TYPE_CHECKING, Any

from launchpad_lite.errors import Stopped, UsageError
from launchpad_lite.launchers.ray.layout import by_pool
from launchpad_lite.launchers.ray.machines import amounts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launchpad_lite.launchers.ray.cluster import Cluster
    from launchpad_lite.launchers.ray.groups import Pool
    from launchpad_lite.launchers.ray.layout import Bundle
    from launchpad_lite.launchers.ray.options import RayOptions

_log = logging.getLogger(__name__)

_AT_ONCE_S = 2.0  # for Ray to place what it has room for
_LOOK_S = 1  # Ray takes whole seconds; between two looks at whether the run is to end
_ADVICE = (
    "Ask for less with lp.Resources or another strategy, or wait for what others hold: "
    "--ray_wait=SECONDS."
)


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
        self._module: Any = importlib.import_module("ray.util.placement_group")
        self._pools = by_pool(bundles)
        self._groups: dict[Pool, Any] = {}  # Ray's own
        for pool, members in self._pools.items():  # all, before any is there: an autoscaler sees it
            try:
                self._groups[pool] = self._module.placement_group(
                    [dict(bundle.resources) for bundle in members],
                    strategy=pool.strategy,
                    name=f"{run_id}:{pool.groups[0]}",
                    bundle_label_selector=[dict(bundle.labels) for bundle in members],
                )
            except (TypeError, ValueError) as error:
                self.remove()
                message = f"Ray refuses to place {', '.join(map(str, members))}: {error}"
                raise UsageError(message) from error

    def strategy(self, bundle: Bundle) -> Any:
        """Return Ray's scheduling strategy for an actor."""
        strategies: Any = importlib.import_module("ray.util.scheduling_strategies")
        return strategies.PlacementGroupSchedulingStrategy(
            self._groups[bundle.pool],
            placement_group_bundle_index=self._pools[bundle.pool].index(bundle),
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
        for group in self._groups.values():
            while not group.wait(_LOOK_S):
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
        placed = [pool for pool, group in self._groups.items() if self._is_placed(group)]
        missing = [
            f"  Asked for, with strategy {pool.strategy}: {'; '.join(map(str, members))}."
            for pool, members in self._pools.items()
            if pool not in placed
        ]
        if placed:
            names = ", ".join(each.agent for pool in placed for each in self._pools[pool])
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

    def _is_placed(self, group: Any) -> bool:
        return bool(self._module.placement_group_table(group)["state"] == "CREATED")

    def remove(self) -> None:
        """Give it back, once."""
        if self._removed or not self._cluster.is_joined:  # Ray would begin a new cluster
            return
        self._removed = True
        for group in self._groups.values():
            with contextlib.suppress(Exception):  # the cluster may be gone
                self._module.remove_placement_group(group)


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
