"""Room in a cluster for the actors of a program: all of it, or none."""

from __future__ import annotations

import contextlib
import importlib
import logging
import time
from typing import TYPE_CHECKING, Any

from launchpad_lite.errors import Stopped, UsageError
from launchpad_lite.launchers.ray.layout import amounts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launchpad_lite.launchers.ray.cluster import Cluster
    from launchpad_lite.launchers.ray.layout import Bundle
    from launchpad_lite.launchers.ray.options import RayOptions

_log = logging.getLogger(__name__)

_AT_ONCE_S = 2.0  # for Ray to place what it has room for
_LOOK_S = 1  # Ray takes whole seconds; between two looks at whether the run is to end


class Placement:
    """Room in the cluster for all actors of a program, which Ray keeps for it.

    Attributes:
      bundles: what each of the actors asks for.
      group: Ray's own.
    """

    def __init__(
        self, cluster: Cluster, bundles: Sequence[Bundle], options: RayOptions, run_id: str
    ) -> None:
        """Ask for it; `wait` waits until it is there."""
        self._cluster = cluster
        self._removed = False
        self.bundles = bundles
        self._options = options
        self._module: Any = importlib.import_module("ray.util.placement_group")
        self.group: Any = self._module.placement_group(
            [dict(bundle.resources) for bundle in bundles],
            strategy=options.strategy,
            name=run_id,
        )

    def wait(self, stopping: Callable[[], bool]) -> None:
        """Wait for it, as long as the user wants to.

        Args:
          stopping: tells whether the run is to end before it begins.

        Raises:
          UsageError: it does not come; nothing is asked for any more.
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
        while not self.group.wait(_LOOK_S):
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


def remove_room(run_id: str) -> None:
    """Give back what a run has left of its room, if it could not do so itself."""
    module: Any = importlib.import_module("ray.util.placement_group")
    with contextlib.suppress(Exception):  # there is none, or the cluster is gone
        module.remove_placement_group(module.get_placement_group(run_id))
