"""Which actors a program needs of Ray, and what each asks for. Pure arithmetic."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from launchpad_lite.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from launchpad_lite.launchers.ray.options import RayOptions
    from launchpad_lite.planning import WorkerSpec
    from launchpad_lite.resources import Resources

CPU = "CPU"
GPU = "GPU"
MEMORY = "memory"

LEAST_CPU = 0.001
"""What is asked for where nothing is: Ray places no bundle that is empty."""

_COMMON = {CPU, GPU, MEMORY}
_SLACK = 1e-6  # Ray counts in units of 0.0001
_GB = 1e9
_WAIT = "--ray_wait=SECONDS"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """A node of the cluster.

    Attributes:
      name: for people.
      total: what it has, by Ray's names of resources; memory in bytes.
      free: what of it is not taken.
    """

    name: str
    total: Mapping[str, float]
    free: Mapping[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bundle:
    """One actor: the agent of some workers of a group.

    Attributes:
      agent: its name.
      group: the group.
      workers: their names.
      resources: what it asks for, by Ray's names; memory in bytes.
    """

    agent: str
    group: str
    workers: tuple[str, ...]
    resources: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class _Group:
    """A group's units, which all ask for the same; the members of a unit stay together."""

    label: str
    units: tuple[tuple[str, ...], ...]
    each: Mapping[str, float]
    most: int  # units to an actor
    spread: int  # at least so many actors


def lay_out(
    workers: Iterable[WorkerSpec], options: RayOptions, machines: Sequence[Machine]
) -> tuple[Bundle, ...]:
    """Return the actors of a program, as many workers to each as a machine has room for.

    Args:
      workers: the program's.
      options: the user's.
      machines: the cluster's, as they are now.

    Raises:
      UsageError: `options` name a group that there is not, or the cluster has no room for the
        program, and nobody is willing to wait for it.
    """
    groups = _groups(workers, options, len(machines))
    for label in options.groups:
        known = [group.label for group in groups]
        if label not in known:
            message = f"RayOptions(groups=): the program has no group {label!r}"
            raise UsageError(f"{message}{nearest(label, known)}")
    for spaces in ([machine.free for machine in machines], [machine.total for machine in machines]):
        if (bundles := _fit(groups, spaces)) is not None:
            return bundles
    if options.wait_s > 0:  # for machines that nobody knows yet: the smallest parts fit best
        return tuple(
            bundle
            for group in groups
            for bundle in _bundles(dataclasses.replace(group, most=1), None)
        )
    raise UsageError(no_room(groups, machines))


def _groups(workers: Iterable[WorkerSpec], options: RayOptions, machines: int) -> list[_Group]:
    units: dict[str, tuple[Resources, list[str]]] = {}
    for worker in workers:
        units.setdefault(worker.unit, (worker.resources, []))[1].append(worker.name)
    by_label: dict[str, list[tuple[Resources, tuple[str, ...]]]] = {}
    for unit, (resources, names) in units.items():
        by_label.setdefault(unit.rpartition("/")[0], []).append((resources, tuple(names)))
    groups: list[_Group] = []
    for label, members in by_label.items():
        asked = members[0][0]
        spread = asked.nodes or 1
        if options.strategy == "SPREAD" and asked.nodes is None:
            spread = max(1, machines)
        elif options.strategy == "STRICT_SPREAD" and asked.nodes is None:
            spread = max(1, machines // len(by_label))  # no two actors share a machine
        count = len(members)
        most = options.most_per_actor(label) or count
        groups.append(
            _Group(
                label,
                tuple(names for _, names in members),
                ray_resources(asked),
                min(most, math.ceil(count / min(spread, count))),
                spread,
            )
        )
    return groups


def ray_resources(asked: Resources) -> dict[str, float]:
    """Return what a unit asks for, by Ray's names of resources."""
    amounts = {
        CPU: asked.cpus or 0,
        GPU: asked.gpus or 0,
        MEMORY: math.ceil((asked.memory_gb or 0) * _GB),
        **asked.custom,
    }
    return {name: amount for name, amount in amounts.items() if amount}


def _fit(
    groups: Iterable[_Group], spaces: Iterable[Mapping[str, float]]
) -> tuple[Bundle, ...] | None:
    """Return actors that the machines have room for, as they are; None if there is not enough."""
    left = [dict(space) for space in spaces]
    bundles: list[Bundle] = []
    # What needs the greatest part of a machine is placed first, while there is choice.
    for group in sorted(groups, key=lambda group: _room_at_most(left, group)):
        sizes: list[int] = []
        rest = len(group.units)
        while rest:
            others = max(0, group.spread - len(sizes) - 1)  # actors that are still to be made
            most = max(1, min(group.most, rest - others))
            rooms = [min(_room(space, group.each), most) for space in left]
            size = max(rooms, default=0)
            if size == 0:
                return None
            space = left[rooms.index(size)]
            for name, amount in group.each.items():
                space[name] = space.get(name, 0) - size * amount
            sizes.append(size)
            rest -= size
        bundles += _bundles(group, sizes)
    return tuple(bundles)


def _room_at_most(spaces: Iterable[Mapping[str, float]], group: _Group) -> int:
    return max((_room(space, group.each) for space in spaces), default=0)


def _room(space: Mapping[str, float], each: Mapping[str, float]) -> int:
    """Return how many units a machine has room for."""
    asked = each or {CPU: LEAST_CPU}
    return min(math.floor(space.get(name, 0) / amount + _SLACK) for name, amount in asked.items())


def _bundles(group: _Group, sizes: Sequence[int] | None) -> list[Bundle]:
    """Return a group's actors, of so many units each; None for as many as they may have."""
    if sizes is None:
        count, most = len(group.units), group.most
        sizes = [min(most, count - begin) for begin in range(0, count, most)]
    bundles: list[Bundle] = []
    begin = 0
    for number, size in enumerate(sizes):
        units = group.units[begin : begin + size]
        begin += size
        amounts = {name: amount * size for name, amount in group.each.items()}
        bundles.append(
            Bundle(
                agent=f"{group.label}@{number}",
                group=group.label,
                workers=tuple(name for unit in units for name in unit),
                resources=amounts or {CPU: LEAST_CPU},
            )
        )
    return bundles


def no_room(groups: Sequence[_Group], machines: Sequence[Machine]) -> str:
    """Return what is asked for and what there is, for people."""
    known = {name for machine in machines for name in machine.total if not _internal(name)}
    lines: list[str] = []
    for group in groups:
        most = max((_room(machine.total, group.each) for machine in machines), default=0)
        lines += [
            f"No machine has a resource {name!r}{nearest(name, known - _COMMON)}"
            for name in group.each
            if name not in known | _COMMON
        ]
        if most == 0:
            lines.append(
                f"Each node of group {group.label!r} asks for {amounts(group.each)}, which no "
                "machine has."
            )
    asked = "; ".join(
        f"{group.label!r} asks for {len(group.units)} x ({amounts(group.each)})"
        for group in groups
        if group.each
    )
    there = "; ".join(f"{machine.name} has {amounts(machine.total)}" for machine in machines)
    lines += [
        f"Asked for: {asked or 'nothing'}.",
        f"There: {there or 'no machine'}.",
        f"Ask for less with lp.Resources, or for fewer nodes; or wait for machines: {_WAIT}.",
    ]
    return "the cluster has no room for the program.\n  " + "\n  ".join(lines)


def amounts(resources: Mapping[str, float]) -> str:
    """Return resources, for people."""
    shown = [
        f"{name} {value / _GB:.3g} GB" if name == MEMORY else f"{name} {value:g}"
        for name, value in resources.items()
        if not _internal(name)
    ]
    return ", ".join(shown) or "nothing"


def _internal(name: str) -> bool:
    return name.startswith("node:") or name == "object_store_memory"
