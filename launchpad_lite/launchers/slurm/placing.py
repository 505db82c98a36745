"""How the groups of a program become steps inside an allocation that is there. Pure arithmetic.

Its machines may have unlike parts of it, so each is given what it can hold. The machines of a group
that hold equally many of its nodes share a step.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from launchpad_lite.errors import UsageError
from launchpad_lite.launchers.slurm.layout import (
    Ask,
    Component,
    Layout,
    Step,
    groups_of,
    times,
    total,
    wishes,
)
from launchpad_lite.launchers.slurm.options import SlurmGroup

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from launchpad_lite.launchers.slurm.allocation import Allocation, Part
    from launchpad_lite.planning import WorkerSpec
    from launchpad_lite.resources import Resources


def place(workers: Iterable[WorkerSpec], allocation: Allocation) -> Layout:
    """Return the layout of a program inside an allocation, over all of its machines.

    Args:
      workers: the program's.
      allocation: what there is.

    Raises:
      UsageError: the program does not fit.
    """
    groups = groups_of(workers)
    wants = {label: units[0][0].resources for label, units in groups.items()}
    free = [_Free(part) for part in allocation.parts]
    placed: dict[str, dict[str, list[list[WorkerSpec]]]] = {}
    for label in sorted(groups, key=lambda label: _size(wants[label]), reverse=True):
        spread = _spread(groups[label], wants[label], free)
        if spread is None:
            message = (
                f"{allocation.title}, which this process is inside of, cannot hold the program: it "
                f"asks for {wishes(groups)}; {allocation}. Ask for less with lp.Resources, get a "
                "larger allocation, or submit a job of its own with lp.SlurmOptions(submit=True) "
                "or --slurm_submit."
            )
            raise UsageError(message)
        placed[label] = spread
    if allocation.in_step and sum(bool(each.gpus) for each in wants.values()) > 1:
        message = (
            f"this process is in a step of {allocation.title}. Steps beside it share its GPUs, so "
            "that several groups would get the same ones. Launch from salloc, or from a batch "
            "script, or submit a job of its own with --slurm_submit."
        )
        raise UsageError(message)
    rest = {each.part.machine: each for each in free}
    steps = [step for label in groups for step in _steps(label, wants[label], placed[label], rest)]
    component = Component(ask=total(steps), where=SlurmGroup(), steps=tuple(steps))
    return Layout(name="inside", jobs=((component,),), overlap=allocation.in_step)


def _size(wants: Resources) -> tuple[float, float, float]:
    """Return what is placed first: what only few machines can hold."""
    return wants.gpus or 0, wants.memory_gb or 0.0, 1.0 if wants.cpus is None else wants.cpus


class _Free:
    """What is left of a machine's part."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.cpus = part.cpus
        self.gpus = part.gpus
        self.memory_mb = part.memory_mb
        self.sharing = 0
        """CPUs of the groups that ask for no memory, and share what is left."""

    def holds(self, ask: Ask) -> bool:
        counts = bool(self.part.memory_mb)
        return (
            ask.cpus <= self.cpus
            and ask.gpus <= self.gpus
            and (not counts or (ask.memory_mb or 0) <= self.memory_mb)
        )

    def take(self, ask: Ask) -> None:
        self.cpus -= ask.cpus
        self.gpus -= ask.gpus
        self.memory_mb -= ask.memory_mb or 0
        self.sharing += ask.cpus if ask.memory_mb is None else 0


def _spread(
    units: Sequence[list[WorkerSpec]], wants: Resources, free: Sequence[_Free]
) -> dict[str, list[list[WorkerSpec]]] | None:
    """Return the units of a group by machine, as even as may be; None if they do not fit."""
    nodes = min(wants.nodes or len(free), len(units))
    one = times(wants, 1, 1)
    chosen = sorted((each for each in free if each.holds(one)), key=_room)[:nodes]
    if len(chosen) < nodes and wants.nodes is not None:
        return None
    counts = dict.fromkeys(chosen, 0)
    for _ in units:
        can = [each for each, count in counts.items() if each.holds(times(wants, count + 1, 1))]
        if not can:
            return None
        counts[min(can, key=counts.__getitem__)] += 1
    rest = iter(units)
    spread: dict[str, list[list[WorkerSpec]]] = {}
    for each in free:
        if count := counts.get(each, 0):
            each.take(times(wants, count, 1))
            spread[each.part.machine] = [next(rest) for _ in range(count)]
    return spread


def _room(free: _Free) -> tuple[int, int]:
    return -free.cpus, free.gpus


def _steps(
    label: str,
    wants: Resources,
    placed: dict[str, list[list[WorkerSpec]]],
    free: dict[str, _Free],
) -> list[Step]:
    steps: list[Step] = []
    first = 0
    for count in sorted({len(units) for units in placed.values()}, reverse=True):
        here = {machine: units for machine, units in placed.items() if len(units) == count}
        ask = times(wants, count, len(here))
        if ask.memory_mb is None:
            share = min(_share(free[machine], ask.cpus) for machine in here)
            ask = dataclasses.replace(ask, memory_mb=share or None)
        step = Step(
            group=label,
            ask=ask,
            workers=tuple(
                tuple(worker.name for unit in units for worker in unit) for units in here.values()
            ),
            machines=tuple(here),
            first=first,
        )
        steps.append(step)
        first += len(here)
    return steps


def _share(free: _Free, cpus: int) -> int:
    """Return the memory of a group that asked for none, by CPUs; 0 where it is not counted."""
    if not free.part.memory_mb:
        return 0
    return max(1, math.floor(free.memory_mb * cpus / free.sharing))
