"""Why there is no room for a program, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launchpad_lite.errors import nearest
from launchpad_lite.launchers.ray.groups import parts
from launchpad_lite.launchers.ray.labels import shortages, text
from launchpad_lite.launchers.ray.machines import CPU, GPU, MEMORY, amounts, internal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launchpad_lite.launchers.ray.groups import Group, Part
    from launchpad_lite.launchers.ray.machines import Machine

_COMMON = {CPU, GPU, MEMORY}
_WAIT = "--ray_wait=SECONDS"


def no_room(groups: Sequence[Group], machines: Sequence[Machine]) -> str:
    """Return what is asked for, what there is, and what is too much of it."""
    lines = [line for part in parts(groups) for line in _too_much(part, machines)]
    lines += _too_few(groups, machines)
    asked = "; ".join(_asked(group) for group in groups if group.each or group.labels)
    labelled = any(group.labels for group in groups)
    there = "; ".join(_there(machine, labelled=labelled) for machine in machines)
    lines += [
        f"Asked for: {asked or 'nothing'}.",
        f"There: {there or 'no machine'}.",
        f"Ask for less with lp.Resources, or for fewer nodes; or wait for machines: {_WAIT}.",
    ]
    return "the cluster has no room for the program.\n  " + "\n  ".join(dict.fromkeys(lines))


def _too_much(part: Part, machines: Sequence[Machine]) -> Iterator[str]:
    known = {name for machine in machines for name in machine.total if not internal(name)}
    for name in part.each:
        if name not in known | _COMMON:
            yield f"No machine has a resource {name!r}{nearest(name, known - _COMMON)}"
    known_labels = [machine.labels for machine in machines]
    lacking = [line for group in part.groups for line in shortages(group.labels, known_labels)]
    yield from lacking
    if lacking or any(part.room(machine.total, machine.labels) for machine in machines):
        return
    where = "no machine has"
    if any(group.labels for group in part.groups):
        where = "no machine with such labels has"
    if part.packed:
        names = ", ".join(repr(group.label) for group in part.groups)
        yield (
            f"All nodes of {names} are to be on one machine: they ask for {amounts(part.each)}, "
            f"which {where}."
        )
    else:
        yield (
            f"Each node of group {part.groups[0].label!r} asks for {amounts(part.each)}, which "
            f"{where}."
        )


def _too_few(groups: Sequence[Group], machines: Sequence[Machine]) -> Iterator[str]:
    """Say which pools need more machines than there are, each actor one for itself."""
    for pool in dict.fromkeys(group.pool for group in groups):
        members = [group for group in groups if group.pool == pool]
        actors = sum(max(group.nodes or 1, len(group.sizes)) for group in members)
        if pool.strategy == "STRICT_SPREAD" and actors > len(machines):
            names = ", ".join(repr(group.label) for group in members)
            yield (
                f"With strategy STRICT_SPREAD, {names} need {actors} machines; there are "
                f"{len(machines)}."
            )


def _asked(group: Group) -> str:
    where = f" where {text(group.labels)}" if group.labels else ""
    return f"{group.label!r} asks for {len(group.units)} x ({amounts(group.each)}){where}"


def _there(machine: Machine, *, labelled: bool) -> str:
    shown = {name: value for name, value in machine.labels.items() if name != "ray.io/node-id"}
    where = f" and {text(shown)}" if labelled and shown else ""
    return f"{machine.name} has {amounts(machine.total)}{where}"
