"""Who is in which group of a plan: nodes by label and index, workers by label."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from launchpad_lite.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from launchpad_lite.planning import LaunchPlan, WorkerSpec

T = TypeVar("T")


def _group(label: str, groups: Mapping[str, T]) -> T:
    if label not in groups:
        message = f"the program has no group {label!r}{nearest(label, groups)}"
        raise UsageError(message)
    return groups[label]


def node_name(plan: LaunchPlan, label: str, index: int) -> str:
    """Return the name of a node that is there; a colocation is the group of its members.

    Raises:
      UsageError: there is none.
    """
    size = _group(label, _sizes(plan))
    if not 0 <= index < size:
        message = f"group {label!r} has {size} node(s), so no index {index}."
        raise UsageError(message)
    return f"{label}/{index}"


def _sizes(plan: LaunchPlan) -> dict[str, int]:
    sizes = {worker.label: worker.group_size for worker in plan.workers}
    for worker in plan.workers:
        sizes.update(worker.sizes)
    return sizes


def units(plan: LaunchPlan) -> dict[str, list[WorkerSpec]]:
    """Return the workers of each node that was added to the program, by that node's name."""
    found: dict[str, list[WorkerSpec]] = {}
    for worker in plan.workers:
        found.setdefault(worker.unit, []).append(worker)
    return found


def worker_names(plan: LaunchPlan, labels: Iterable[str] | None) -> list[str]:
    """Return the names of the workers of some groups, or of all.

    Raises:
      UsageError: there is no such group, or its nodes are no workers of their own.
    """
    groups: dict[str, list[str]] = {}
    for worker in plan.workers:
        for label in {worker.label, worker.unit.rpartition("/")[0]}:
            groups.setdefault(label, []).append(worker.name)
    wanted = groups if labels is None else labels
    return list(dict.fromkeys(name for label in wanted for name in _group(label, groups)))
