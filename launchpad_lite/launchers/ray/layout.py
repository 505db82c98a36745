"""Which actors a program needs of Ray, and what each asks for. Pure arithmetic."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from launchpad_lite.errors import UsageError
from launchpad_lite.launchers.ray.groups import gather, parts
from launchpad_lite.launchers.ray.labels import text
from launchpad_lite.launchers.ray.machines import amounts
from launchpad_lite.launchers.ray.shortage import no_room

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from launchpad_lite.launchers.ray.groups import Group, Part, Pool
    from launchpad_lite.launchers.ray.labels import Selector
    from launchpad_lite.launchers.ray.machines import Machine
    from launchpad_lite.launchers.ray.options import RayOptions
    from launchpad_lite.planning import WorkerSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bundle:
    """One actor: the agent of some workers of a group.

    Attributes:
      agent: its name.
      group: the group.
      pool: with what it is placed.
      workers: their names.
      resources: what it asks for, by Ray's names; memory in bytes.
      labels: what it asks of the labels of its machine.
    """

    agent: str
    group: str
    pool: Pool
    workers: tuple[str, ...]
    resources: Mapping[str, float]
    labels: Selector

    def __str__(self) -> str:
        """Return what it asks for, for people."""
        where = f" where {text(self.labels)}" if self.labels else ""
        return f"{self.agent} {amounts(self.resources)}{where}"


def lay_out(
    workers: Iterable[WorkerSpec], options: RayOptions, machines: Sequence[Machine]
) -> tuple[Bundle, ...]:
    """Return the actors of a program, as many workers to each as a machine has room for.

    Args:
      workers: the program's.
      options: the user's.
      machines: the cluster's, as they are now.

    Returns:
      The actors: first those for which there is the least choice.

    Raises:
      UsageError: `options` name a group that there is not, or the cluster has no room for the
        program, and nobody is willing to wait for it.
    """
    groups = gather(workers, options)
    for spaces in (
        [_Space(machine.free, machine.labels) for machine in machines],
        [_Space(machine.total, machine.labels) for machine in machines],
    ):
        if (bundles := _fit(groups, spaces)) is not None:
            return bundles
    if options.wait_s > 0:  # for machines that nobody knows yet
        return tuple(
            bundle
            for part in parts(groups)
            for group in part.groups
            # The smallest actors fit best, unless all need the same machine.
            for bundle in _bundles(group, group.sizes if part.packed else [1] * len(group.units))
        )
    raise UsageError(no_room(groups, machines))


def by_pool(bundles: Iterable[Bundle]) -> dict[Pool, list[Bundle]]:
    """Return actors by the placement groups that they are in."""
    found: dict[Pool, list[Bundle]] = {}
    for bundle in bundles:
        found.setdefault(bundle.pool, []).append(bundle)
    return found


def describe(bundles: Iterable[Bundle]) -> str:
    """Return which actors Ray would be asked for, for people."""
    blocks: list[str] = []
    for pool, members in by_pool(bundles).items():
        lines = [f"# {len(members)} actor(s) in a placement group, strategy {pool.strategy}:"]
        lines += [f"{each}: {', '.join(each.workers)}" for each in members]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


class _Space:
    """What is left of a machine."""

    def __init__(self, free: Mapping[str, float], there: Mapping[str, str]) -> None:
        self._left = dict(free)
        self._labels = there
        self._closed: set[Pool] = set()  # each of whose actors has a machine for itself

    def suits(self, part: Part) -> bool:
        """Return whether there is room, be it that the pool has an actor here already."""
        return part.room(self._left, self._labels) > 0

    def room(self, part: Part) -> int:
        """Return how often there is room for what a part needs at once."""
        return 0 if part.pool in self._closed else part.room(self._left, self._labels)

    def take(self, asked: Mapping[str, float], pool: Pool) -> None:
        """Take room."""
        for name, amount in asked.items():
            self._left[name] = self._left.get(name, 0) - amount
        if pool.strategy == "STRICT_SPREAD":
            self._closed.add(pool)


def _fit(groups: Sequence[Group], spaces: Sequence[_Space]) -> tuple[Bundle, ...] | None:
    """Return actors that the machines have room for, as they are; None if there is not enough."""

    def choice(part: Part) -> tuple[int, int]:
        rooms = [space.room(part) for space in spaces]
        return sum(room > 0 for room in rooms), max(rooms, default=0)

    bundles: list[Bundle] = []
    for part in sorted(parts(groups), key=choice):
        made = _pack(part, spaces) if part.packed else _distribute(part, spaces)
        if made is None:
            return None
        bundles += made
    return tuple(bundles)


def _pack(part: Part, spaces: Sequence[_Space]) -> list[Bundle] | None:
    """Put all of a part on one machine; return its actors, None if there is no such machine."""
    rooms = [space.room(part) for space in spaces]
    if max(rooms, default=0) == 0:
        return None
    spaces[rooms.index(max(rooms))].take(part.each, part.pool)
    return [bundle for group in part.groups for bundle in _bundles(group, group.sizes)]


def _distribute(part: Part, spaces: Sequence[_Space]) -> list[Bundle] | None:
    """Put the units of a group where there is room; return its actors, None if there is none."""
    (group,) = part.groups
    rest = len(group.units)
    spread = min(rest, _spread(part, spaces))
    limit = min(group.most, math.ceil(rest / spread))
    sizes: list[int] = []
    while rest:
        others = max(0, spread - len(sizes) - 1)  # actors that are still to be made
        most = max(1, min(limit, rest - others))
        rooms = [min(space.room(part), most) for space in spaces]
        size = max(rooms, default=0)
        if size == 0:
            return None
        spaces[rooms.index(size)].take(group.asks(size), group.pool)
        sizes.append(size)
        rest -= size
    return _bundles(group, sizes)


def _spread(part: Part, spaces: Sequence[_Space]) -> int:
    """Return how many actors a group is at least."""
    (group,) = part.groups
    if group.nodes is not None:
        return group.nodes
    if group.pool.strategy not in ("SPREAD", "STRICT_SPREAD"):
        return 1
    open_now = sum(space.room(part) > 0 for space in spaces)
    if group.pool.strategy == "STRICT_SPREAD":  # the others of the pool need machines too
        share = sum(space.suits(part) for space in spaces) // len(group.pool.groups)
        open_now = min(open_now, share)
    return max(1, open_now)


def _bundles(group: Group, sizes: Iterable[int]) -> list[Bundle]:
    """Return a group's actors, of so many units each."""
    units: Iterator[tuple[str, ...]] = iter(group.units)
    return [
        Bundle(
            agent=f"{group.label}@{number}",
            group=group.label,
            pool=group.pool,
            workers=tuple(name for _ in range(size) for name in next(units)),
            resources=group.asks(size),
            labels=group.labels,
        )
        for number, size in enumerate(sizes)
    ]
