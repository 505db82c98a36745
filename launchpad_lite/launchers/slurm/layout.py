"""How the groups of a program become steps and allocations. Pure arithmetic.

A group's workers run under agents, one on each of its machines; a step has one task for each.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from launchpad_lite.errors import UsageError, nearest
from launchpad_lite.launchers.slurm.options import SlurmGroup

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from launchpad_lite.launchers.slurm.options import SlurmOptions
    from launchpad_lite.planning import WorkerSpec
    from launchpad_lite.resources import Resources

MB_PER_GB = 1000**3 / 1024**2
"""SLURM counts memory in units of 2^20 bytes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """What one kind of machine of the cluster has.

    Attributes:
      cpus: as SLURM counts them.
      memory_mb: in 2^20 bytes.
      gpus: how many.
      count: how many such machines there are.
    """

    cpus: int
    memory_mb: int
    gpus: int
    count: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Partition:
    """Machines that are chosen together, and what a job gets there that asks for no memory.

    Attributes:
      machines: the kinds of machines.
      counts_memory: whether SLURM hands out memory; else who asks for it is only sent where it is.
      mb_per_cpu: what each CPU brings; None if that is not settled.
      mb_per_node: what a job gets of each machine; None if that is not settled.
    """

    machines: tuple[Machine, ...]
    counts_memory: bool = False
    mb_per_cpu: int | None = None
    mb_per_node: int | None = None

    def memory_by_default(self, cpus: int) -> int | None:
        """Return what a job gets that has some CPUs of a machine; None where it is not counted.

        Where nothing is settled, SLURM gives it the machine's whole memory, which groups cannot
        share: here it is a part by CPUs.
        """
        if not self.counts_memory:
            return None
        if self.mb_per_node is not None:
            return self.mb_per_node
        if self.mb_per_cpu is not None:
            return cpus * self.mb_per_cpu
        return max(1, min(cpus * each.memory_mb // each.cpus for each in self.machines))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ask:
    """What is asked of each machine of a step, or of an allocation.

    Attributes:
      nodes: how many machines.
      cpus: of each.
      gpus: of each.
      memory_mb: of each, in 2^20 bytes; None for what the cluster gives.
      exclusive: nothing else runs there.
    """

    nodes: int
    cpus: int
    gpus: int = 0
    memory_mb: int | None = None
    exclusive: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One group: a task for each of its machines.

    Attributes:
      group: its label.
      ask: what each task gets.
      workers: their names, task by task.
      machines: where it must be; empty where SLURM may choose.
      first: how many tasks of the group are in steps before this one.
    """

    group: str
    ask: Ask
    workers: tuple[tuple[str, ...], ...]
    machines: tuple[str, ...] = ()
    first: int = 0

    @property
    def agents(self) -> tuple[str, ...]:
        """The names of its agents, task by task."""
        return tuple(agent_name(self.group, self.first + task) for task in range(self.ask.nodes))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Component:
    """Machines that are alike: a job, or a component of a heterogeneous one.

    Attributes:
      ask: what the machines must have.
      where: which machines, if not the program's.
      steps: what runs there.
    """

    ask: Ask
    where: SlurmGroup
    steps: tuple[Step, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """All of a program. Each job has its components; the first runs the controller.

    Attributes:
      name: `steps`, `het` or `jobs`; `inside` where the program gets no job of its own.
      jobs: the components of each.
      overlap: its steps share what they have with the step that the launching process is in.
    """

    name: str
    jobs: tuple[tuple[Component, ...], ...]
    overlap: bool = False

    @property
    def steps(self) -> list[Step]:
        """All steps."""
        return [step for job in self.jobs for component in job for step in component.steps]


def agent_name(group: str, task: int) -> str:
    """Return what the agent of a group's task is called."""
    return f"{group}@{task}"


def lay_out(
    workers: Iterable[WorkerSpec], options: SlurmOptions, partitions: Mapping[str, Partition]
) -> Layout:
    """Return the layout of a program.

    Args:
      workers: its workers.
      options: the user's.
      partitions: by name; `""` is the default one.

    Raises:
      UsageError: a group asks for more than its machines have, or options name no group or no
        partition.
    """
    groups = groups_of(workers)
    for label in options.groups:
        if label not in groups:
            message = f"SlurmOptions.groups has no group {label!r}{nearest(label, groups)}"
            raise UsageError(message)
    where = {label: options.groups.get(label, SlurmGroup()) for label in groups}
    name = options.layout if options.layout != "auto" else _choose(groups, where)

    def partition_of(label: str) -> Partition:
        partition = where[label].partition or options.partition or ""
        if partition not in partitions:
            known = nearest(partition, [each for each in partitions if each])
            message = f"SLURM has no partition {partition!r}{known}"
            raise UsageError(message)
        return partitions[partition]

    if name == "steps":
        if len(set(where.values())) > 1:
            message = (
                "layout 'steps' is one allocation of machines that are alike, and SlurmOptions."
                "groups asks for different ones. Use layout 'het' or 'jobs', or 'auto'."
            )
            raise UsageError(message)
        first = next(iter(groups))
        component = _together(groups, where[first], partition_of(first))
        return Layout(name=name, jobs=((component,),))
    parts = tuple(
        _together({label: units}, where[label], partition_of(label))
        for label, units in groups.items()
    )
    return Layout(name=name, jobs=(parts,) if name == "het" else tuple((part,) for part in parts))


def groups_of(workers: Iterable[WorkerSpec]) -> dict[str, list[list[WorkerSpec]]]:
    """Return the workers of each unit, by groups; those of one unit share a machine."""
    units: dict[str, list[WorkerSpec]] = {}
    for worker in workers:
        units.setdefault(worker.unit, []).append(worker)
    groups: dict[str, list[list[WorkerSpec]]] = {}
    for unit, members in units.items():
        groups.setdefault(unit.rpartition("/")[0], []).append(members)
    return groups


def _choose(groups: Mapping[str, list[list[WorkerSpec]]], where: Mapping[str, SlurmGroup]) -> str:
    kinds = {(where[label], units[0][0].resources.exclusive) for label, units in groups.items()}
    return "steps" if len(kinds) == 1 else "het"


def _together(
    groups: Mapping[str, list[list[WorkerSpec]]], where: SlurmGroup, partition: Partition
) -> Component:
    """Return the smallest allocation of like machines that holds some groups."""
    steps = _fitting(groups, partition)
    if steps is None:
        raise _too_big(groups, partition)
    return Component(ask=total(steps), where=where, steps=tuple(steps))


def _fitting(
    groups: Mapping[str, list[list[WorkerSpec]]], partition: Partition
) -> list[Step] | None:
    """Return the steps of groups on the fewest machines that hold them; None if too few do."""
    for nodes in range(1, sum(machine.count for machine in partition.machines) + 1):
        steps = _with_memory(
            [_step(label, units, nodes) for label, units in groups.items()], partition
        )
        if _fits(total(steps), partition.machines):
            return steps
    return None


def _with_memory(steps: list[Step], partition: Partition) -> list[Step]:
    """Return steps of which all say what memory they need, if one does.

    SLURM is told one sum: a step that says nothing is counted with what it would get by itself.
    """
    if all(step.ask.memory_mb is None for step in steps):
        return steps
    return [
        dataclasses.replace(
            step,
            ask=dataclasses.replace(step.ask, memory_mb=partition.memory_by_default(step.ask.cpus)),
        )
        if step.ask.memory_mb is None
        else step
        for step in steps
    ]


def _step(label: str, units: list[list[WorkerSpec]], nodes: int) -> Step:
    """Return the step of a group, spread evenly over its own number of machines or a given one."""
    wants = units[0][0].resources
    nodes = min(wants.nodes or nodes, len(units))
    sizes = [len(units) // nodes + (task < len(units) % nodes) for task in range(nodes)]
    workers: list[tuple[str, ...]] = []
    rest = iter(units)
    for size in sizes:
        here = [next(rest) for _ in range(size)]
        workers.append(tuple(worker.name for unit in here for worker in unit))
    return Step(group=label, ask=times(wants, max(sizes), nodes), workers=tuple(workers))


def times(wants: Resources, count: int, nodes: int) -> Ask:
    """Return what each of some machines must have for a number of units."""
    memory = wants.memory_gb
    return Ask(
        nodes=nodes,
        cpus=max(1, math.ceil(count * (1 if wants.cpus is None else wants.cpus))),
        gpus=count * (wants.gpus or 0),
        memory_mb=None if memory is None else math.ceil(count * memory * MB_PER_GB),
        exclusive=wants.exclusive,
    )


def total(steps: Iterable[Step]) -> Ask:
    """Return what a machine must have on which each of the steps has a task."""
    asks = [step.ask for step in steps]
    known = [ask.memory_mb for ask in asks if ask.memory_mb is not None]
    return Ask(
        nodes=max(ask.nodes for ask in asks),
        cpus=sum(ask.cpus for ask in asks),
        gpus=sum(ask.gpus for ask in asks),
        memory_mb=sum(known) if known else None,
        exclusive=any(ask.exclusive for ask in asks),
    )


def _fits(ask: Ask, machines: Iterable[Machine]) -> bool:
    large = [
        machine.count
        for machine in machines
        if ask.cpus <= machine.cpus
        and ask.gpus <= machine.gpus
        and (ask.memory_mb or 0) <= machine.memory_mb
    ]
    return ask.nodes <= sum(large)


def wishes(groups: Mapping[str, list[list[WorkerSpec]]]) -> str:
    """Return what groups ask for, for people."""
    wants = {label: units[0][0].resources for label, units in groups.items()}
    said = {
        label: dataclasses.replace(each, cpus=1 if each.cpus is None else each.cpus)
        for label, each in wants.items()
    }
    return ", ".join(f"{label}: {len(groups[label])} x ({each})" for label, each in said.items())


def _too_big(groups: Mapping[str, list[list[WorkerSpec]]], partition: Partition) -> UsageError:
    has = ", ".join(
        f"{machine.count} machines with {machine.cpus} CPUs, {machine.gpus} GPUs and "
        f"{machine.memory_mb / MB_PER_GB:.0f} GB"
        for machine in partition.machines
    )
    hint = ""
    if _fitting(groups, dataclasses.replace(partition, counts_memory=False)) is not None:
        silent = [
            label for label, units in groups.items() if units[0][0].resources.memory_gb is None
        ]
        hint = f" Say memory_gb for {', '.join(silent)} too: SLURM's default is too much."
    message = (
        f"the cluster cannot hold the program: it asks for {wishes(groups)}; the "
        f"partition has {has}. Ask for less with lp.Resources, or choose another partition."
        f"{hint}"
    )
    return UsageError(message)
