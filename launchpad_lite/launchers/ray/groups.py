"""What the groups of a program ask of Ray, and which of them are placed at once."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from launchpad_lite.errors import UsageError, nearest
from launchpad_lite.launchers.ray.labels import match
from launchpad_lite.launchers.ray.machines import CPU, GB, GPU, MEMORY, room

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from launchpad_lite.launchers.ray.labels import Selector
    from launchpad_lite.launchers.ray.options import RayOptions, Strategy
    from launchpad_lite.planning import WorkerSpec
    from launchpad_lite.resources import Resources

LEAST_CPU = 0.001
"""What is asked for where nothing is: Ray places no bundle that is empty."""


@dataclasses.dataclass(frozen=True)
class Pool:
    """What is one placement group of Ray.

    Attributes:
      groups: of which the actors are in it, in the program's order.
      strategy: how Ray places them.
    """

    groups: tuple[str, ...]
    strategy: Strategy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """A group's units, which all ask for the same; the members of a unit stay together.

    Attributes:
      label: its name.
      pool: with what it is placed.
      units: the names of each unit's workers.
      each: what a unit asks for, by Ray's names of resources; empty for nothing.
      labels: what is asked of the labels of its machines.
      most: units to an actor.
      nodes: over how many machines the user spreads it; None for any number.
    """

    label: str
    pool: Pool
    units: tuple[tuple[str, ...], ...]
    each: Mapping[str, float]
    labels: Selector
    most: int
    nodes: int | None

    @property
    def sizes(self) -> list[int]:
        """The numbers of units of its actors, if they are as few as they may be."""
        count = len(self.units)
        return [min(self.most, count - begin) for begin in range(0, count, self.most)]

    def asks(self, units: int) -> dict[str, float]:
        """Return what an actor of so many units asks for."""
        return {name: amount * units for name, amount in self.each.items()} or {CPU: LEAST_CPU}


@dataclasses.dataclass(frozen=True)
class Part:
    """What a layout cares for at once: a group, or all groups that share one machine.

    Attributes:
      groups: which.
      each: what a machine must have at least: all that they ask for, or what one unit asks for.
    """

    groups: tuple[Group, ...]
    each: Mapping[str, float]

    @property
    def pool(self) -> Pool:
        """With what it is placed."""
        return self.groups[0].pool

    @property
    def packed(self) -> bool:
        """Whether all of it is to be on one machine."""
        return self.pool.strategy == "STRICT_PACK"

    def room(self, space: Mapping[str, float], there: Mapping[str, str]) -> int:
        """Return how often a machine has room for `each`, if it has the labels."""
        if not all(match(group.labels, there) for group in self.groups):
            return 0
        return room(space, self.each)


def gather(workers: Iterable[WorkerSpec], options: RayOptions) -> list[Group]:
    """Return the groups of a program.

    Raises:
      UsageError: `options` name a group that there is not.
    """
    members: dict[str, dict[str, list[WorkerSpec]]] = {}
    for worker in workers:
        units = members.setdefault(group_of(worker), {})
        units.setdefault(worker.unit, []).append(worker)
    pools = _pools(tuple(members), options)
    groups: list[Group] = []
    for label, units in members.items():
        resources = next(iter(units.values()))[0].resources
        groups.append(
            Group(
                label=label,
                pool=pools[label],
                units=tuple(tuple(worker.name for worker in unit) for unit in units.values()),
                each=ray_resources(resources),
                labels=options.labels_of(label),
                most=options.most_per_actor(label) or len(units),
                nodes=resources.nodes,
            )
        )
    return groups


def group_of(worker: WorkerSpec) -> str:
    """Return the name of a worker's group."""
    return worker.unit.rpartition("/")[0]


def _pools(known: Sequence[str], options: RayOptions) -> dict[str, Pool]:
    """Return with what each of the groups is placed."""
    together = {label: {label} for label in known}
    for label, own in options.groups.items():
        _check(label, known, "RayOptions(groups=)")
        if own.beside is not None:
            _check(own.beside, known, f"RayGroup(beside=) of group {label!r}")
            joined = together[label] | together[own.beside]
            together |= dict.fromkeys(joined, joined)
    rest = {
        label
        for label in known
        if len(together[label]) == 1
        and (label not in options.groups or options.groups[label].strategy is None)
    }
    together |= dict.fromkeys(rest, rest)
    return {
        label: Pool(
            tuple(each for each in known if each in together[label]), options.strategy_of(label)
        )
        for label in known
    }


def _check(label: str, known: Iterable[str], where: str) -> None:
    if label not in known:
        message = f"{where}: the program has no group {label!r}{nearest(label, known)}"
        raise UsageError(message)


def ray_resources(asked: Resources) -> dict[str, float]:
    """Return what a unit asks for, by Ray's names of resources."""
    amounts = {
        CPU: asked.cpus or 0,
        GPU: asked.gpus or 0,
        MEMORY: math.ceil((asked.memory_gb or 0) * GB),
        **asked.custom,
    }
    return {name: amount for name, amount in amounts.items() if amount}


def parts(groups: Iterable[Group]) -> list[Part]:
    """Return what is placed at once, or on its own."""
    found: list[Part] = []
    packed: dict[Pool, list[Group]] = {}
    for group in groups:
        if group.pool.strategy == "STRICT_PACK":
            packed.setdefault(group.pool, []).append(group)
        else:
            found.append(Part((group,), group.asks(1)))
    return found + [Part(tuple(each), _sum(each)) for each in packed.values()]


def _sum(groups: Iterable[Group]) -> dict[str, float]:
    total: dict[str, float] = {}
    for group in groups:
        for size in group.sizes:
            for name, amount in group.asks(size).items():
                total[name] = total.get(name, 0) + amount
    return total
