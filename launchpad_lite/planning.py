"""The plan: a program compiled to what launchers need. Pure: nothing is started or written."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from launchpad_lite import payload, tables
from launchpad_lite.config import RunConfig
from launchpad_lite.errors import (
    ContextError,
    ProgramError,
    UnpicklableError,
    UsageError,
    nearest,
)
from launchpad_lite.lint import lint_program
from launchpad_lite.node import inside
from launchpad_lite.program import Edge, Program, handles_in
from launchpad_lite.python_process import PythonProcess, clean_env
from launchpad_lite.resources import Resources
from launchpad_lite.source import ProgramSource, capture

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from launchpad_lite.address import Address
    from launchpad_lite.node import Node
    from launchpad_lite.scope import HasName

    Named = tuple[str, Node[Any]]
    """A node with its name."""

COLD_VARIABLES = re.compile(r"PYTHON|LD_|MALLOC_|.*_NUM_THREADS$|.*CORETYPE$")
"""Environment variables that are read when a process starts (or a library is loaded)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What the plan must know of a launcher.

    Attributes:
      launcher: its name.
      in_process: nodes run in the launching process, so nothing is pickled.
    """

    launcher: str
    in_process: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerSpec:
    """One worker: all that a launcher knows of a node.

    Attributes:
      name: `label/index`.
      label: its group; the name of the colocation that it is a member of.
      index: its place in the group.
      group_size: the number of nodes in the group.
      kind: the kind of node, for people.
      title: what it runs, for people.
      has_run: it does something of its own, so that it can end by itself.
      calls: the names of the nodes whose handles it holds.
      unit: the node that was added to the program: itself, or the colocation it is a member of.
      max_restarts: how often the workers of its unit, all together, are started again after a
        failure.
      resources: what its unit asks of its machine.
      env: environment variables of its process.
      process: how its process is started otherwise.
      start: `in process`, `warm`, or `cold (why)`.
      seed: 32 bits.
      payload: the pickled node; empty when the launcher runs it in process.
      node: the node itself.
    """

    name: str
    label: str
    index: int
    group_size: int
    kind: str
    title: str
    has_run: bool
    calls: tuple[str, ...]
    unit: str
    max_restarts: int
    resources: Resources
    env: Mapping[str, str]
    start: str
    seed: int
    payload: bytes = dataclasses.field(repr=False)
    node: Node[Any] = dataclasses.field(repr=False)
    process: PythonProcess = dataclasses.field(default_factory=PythonProcess)

    @property
    def cold(self) -> bool:
        """Whether the worker needs a new interpreter."""
        return self.start.startswith("cold")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaunchPlan:
    """A program, ready to be launched.

    Attributes:
      program: its name.
      launcher: the launcher it was made for.
      workers: one for each node; for a colocation one, or one for each member.
      edges: who holds whose handle.
      warnings: what the author should know.
      source: where the user's code lives.
      config: the run's settings.
      names: what each address is called.
      launch_type: the value of the launch type that was asked for, if one was.
    """

    program: str
    launcher: str
    workers: tuple[WorkerSpec, ...]
    edges: tuple[Edge, ...]
    warnings: tuple[str, ...]
    source: ProgramSource
    config: RunConfig
    names: Mapping[HasName, str] = dataclasses.field(repr=False)
    launch_type: str | None = None

    @property
    def preload(self) -> list[str]:
        """The modules that are imported before workers are forked."""
        wanted = (module for worker in self.workers for module in worker.process.preload)
        return list(dict.fromkeys(wanted))

    def name_of(self, address: HasName) -> str:
        """Return an address's name.

        Raises:
          ContextError: the address belongs to another program.
        """
        name = address.name or self.names.get(address)
        if name is None:
            message = f"{address!r} belongs to no node of program {self.program!r}."
            raise ContextError(message)
        return name

    def __str__(self) -> str:
        """Return the plan as a table, for people."""
        rows = [("node", "runs", "calls", "start", "resources", "payload")]
        for worker in self.workers:
            size = f"{len(worker.payload):,} B" if worker.payload else "-"
            limits = [f"up to {worker.max_restarts} restarts of {worker.unit}"]
            row = self._row(worker.name, worker.node, limits if worker.max_restarts else [])
            rows.append((*row, worker.start, str(worker.resources), size))
            for name, node in inside(worker.name, worker.node):
                rows.append((*self._row(name, node, []), f"thread of {worker.name}", "-", "-"))
        head = f"program {self.program!r}, launcher {self.launcher}, {len(self.workers)} node(s)"
        warnings = [f"warning: {warning}" for warning in self.warnings]
        body = tables.table(rows, ruled=True)
        return "\n".join([head, "", body, *(["", *warnings] if warnings else [])])

    def _row(self, name: str, node: Node[Any], limits: list[str]) -> tuple[str, str, str]:
        notes = [node.kind, *([] if node.has_run else ["serves only"]), *limits]
        calls = {edge.target for edge in self.edges if edge.holder == name}
        return name, f"{node.title} ({', '.join(notes)})", ", ".join(sorted(calls)) or "-"


def compile_program(
    program: Program,
    capabilities: Capabilities,
    *,
    config: RunConfig | None = None,
    resources: Mapping[str, Resources] | None = None,
    processes: Mapping[str, PythonProcess | None] | None = None,
    pickle_nodes: bool = False,
) -> LaunchPlan:
    """Check a program and make its plan.

    Args:
      program: the program.
      capabilities: of the launcher it will run under.
      config: the run's settings.
      resources: what the nodes of each group ask for, by label.
      processes: how the processes of each group are started, by label.
      pickle_nodes: check that every node can be pickled, where none has to be.

    Raises:
      ProgramError: the program has errors; the message lists all of them.
      UnpicklableError: a node cannot be sent to its worker.
      UsageError: `resources` names an unknown group, or a setting cannot work.
    """
    if not isinstance(program, Program):  # pyright: ignore[reportUnnecessaryIsInstance] - user input
        message = f"an lp.Program is needed, not {program!r}."
        raise UsageError(message)
    config = config or RunConfig()
    config.check_transport(capabilities.launcher, in_process=capabilities.in_process)
    started = {label: each for label, each in (processes or {}).items() if each is not None}
    groups = _groups(program, resources or {}, started, capabilities)
    names = _name_addresses(program)
    errors = [*_node_errors(program, names), *_group_errors(program)]
    if errors:
        raise ProgramError("\n".join(errors))
    source = capture()
    edges = tuple(program.edges)
    plan = LaunchPlan(
        program=program.name,
        launcher=capabilities.launcher,
        workers=(),
        edges=edges,
        warnings=(),
        source=source,
        config=config,
        names=names,
    )
    workers = tuple(
        _spec(
            plan,
            unit,
            worker,
            len(program.groups[unit[0].rpartition("/")[0]]) if worker is unit else len(workers),
            groups[unit[0].rpartition("/")[0]],
            in_process=capabilities.in_process,
            pickle_node=pickle_nodes or not capabilities.in_process,
        )
        for unit in program.named_nodes()
        for workers in [_workers(unit)]
        for worker in workers
    )
    warnings = [*lint_program(program, edges, {w.name: len(w.payload) for w in workers})]
    warnings += [  # no error: programs for the original name groups that they have only at times
        f"local_resources for an unknown group {label!r}{nearest(label, program.groups)}"
        for label in started
        if label not in program.groups
    ]
    if capabilities.in_process:
        warnings += _without_effect(workers, groups, capabilities.launcher)
    return dataclasses.replace(plan, workers=workers, warnings=tuple(warnings))


@dataclasses.dataclass(frozen=True, slots=True)
class _Group:
    """What was said of one group when the program was launched."""

    resources: Resources
    process: PythonProcess


def _groups(
    program: Program,
    resources: Mapping[str, Resources],
    processes: Mapping[str, PythonProcess],
    capabilities: Capabilities,
) -> dict[str, _Group]:
    for label in resources:
        if label not in program.groups:
            known = nearest(label, program.groups)
            message = f"resources for an unknown group {label!r}{known}"
            raise UsageError(message)
        if not isinstance(resources[label], Resources):  # pyright: ignore[reportUnnecessaryIsInstance] - user input
            message = f"resources[{label!r}] must be lp.Resources, not {resources[label]!r}."
            raise UsageError(message)
    for label, process in processes.items():
        if not isinstance(process, PythonProcess):  # pyright: ignore[reportUnnecessaryIsInstance] - user input
            message = f"local_resources[{label!r}] must be an lp.PythonProcess, not {process!r}."
            raise UsageError(message)
    return {
        label: _Group(
            resources.get(label, Resources()),
            process if capabilities.in_process else process.resolved(label),
        )
        for label in program.groups
        for process in [processes.get(label, PythonProcess())]
    }


def _without_effect(
    workers: Iterable[WorkerSpec], groups: Mapping[str, _Group], launcher: str
) -> Iterator[str]:
    """Yield what was asked for and needs processes of its own."""
    why = f"since launcher {launcher!r} runs it in the launching process."
    for worker in workers:
        if worker.node.env:
            yield f"node {worker.name}: its env has no effect, {why}"
    for label, group in groups.items():
        wanted = group.process.settings
        if wanted:
            yield f"group {label}: its PythonProcess({', '.join(wanted)}) has no effect, {why}"
        if group.resources.gpus is not None:
            yield f"group {label}: no GPUs are handed out to it, {why}"


def _workers(unit: Named) -> list[Named]:
    """Return what gets workers of its own: a node, or its members."""
    name, node = unit
    if not node.members_are_workers:
        return [unit]
    return [(f"{name}/{index}", member) for index, member in enumerate(node.members)]


def _spec(
    plan: LaunchPlan,
    unit: Named,
    worker: Named,
    group_size: int,
    group: _Group,
    *,
    in_process: bool,
    pickle_node: bool,
) -> WorkerSpec:
    name, node = worker
    env = {**clean_env(group.process.env), **unit[1].env, **node.env}
    pickled = b""
    start = "in process"
    if pickle_node:
        pickled = _pickle(plan, name, node)
    if not in_process:
        cold = sorted(key for key in env if COLD_VARIABLES.match(key))
        cold += ["another interpreter"] if group.process.interpreter else []
        start = f"cold ({', '.join(cold)})" if cold else "warm"
    label, _, index = name.rpartition("/")
    within = f"{name}/"
    calls = {e.target for e in plan.edges if e.holder == name or e.holder.startswith(within)}
    return WorkerSpec(
        name=name,
        label=label,
        index=int(index),
        group_size=group_size,
        kind=node.kind,
        title=node.title,
        has_run=node.has_run,
        calls=tuple(sorted(calls)),
        unit=unit[0],
        max_restarts=unit[1].max_restarts,
        resources=group.resources,
        env=env,
        start=start,
        seed=plan.config.seed_of(name),
        payload=pickled,
        node=node,
        process=group.process,
    )


def _pickle(plan: LaunchPlan, name: str, node: Node[Any]) -> bytes:
    owner = f"node {name} ({node.title}, {node.place})"
    try:
        return payload.dumps_named(node, node.arguments(), owner, plan)
    except UnpicklableError:
        for inner, member in inside(name, node):
            _pickle(plan, inner, member)  # the one to blame says so itself
        raise


def _name_addresses(program: Program) -> dict[HasName, str]:
    """Name each node's first address like the node, others after what they are for."""
    return {
        address: name if position == 0 else f"{name}#{address.hint or position}"
        for name, node in program.every_node()
        if not node.members
        for position, address in enumerate(node.addresses)
    }


def _node_errors(program: Program, names: Mapping[HasName, str]) -> Iterator[str]:
    """Yield what is wrong with each node."""
    first: dict[int, str] = {}
    owners: dict[Address, str] = {}
    for name, node in program.every_node():
        owner = f"node {name} ({node.title}, {node.place})"
        if id(node) in first:
            before = f"the same node was added before, as {first[id(node)]}"
            yield f"{owner}: {before}. Make a node for each place."
            continue
        first[id(node)] = name
        for address in node.addresses if not node.members else ():  # its members own them
            if address in owners:
                yield f"{owner}: {address!r} is owned by {owners[address]} already."
            owners.setdefault(address, name)
        for path, handle in handles_in(node) if not node.members else ():
            if handle.address is not None and handle.address not in names:
                yield (
                    f"{owner}: argument {path} holds {handle!r}, a handle of a node that is not in "
                    "the program. Add that node with program.add_node and use what it returns."
                )
        yield from (f"{owner}: {problem.text}" for problem in node.check() if problem.fatal)


def _group_errors(program: Program) -> Iterator[str]:
    """Yield what is wrong with the groups."""
    if not program.get_all_nodes():
        yield f"program {program.name!r} has no nodes; add some with program.add_node."
    for label, group in program.groups.items():
        for index, node in enumerate(group):
            if node.kind != group[0].kind:
                yield (
                    f"node {label}/{index} ({node.title}, {node.place}): a {node.kind} in a group "
                    f"that begins with a {group[0].kind} ({group[0].title}, {group[0].place}). "
                    "Give each kind a label of its own."
                )
                break
        if not group:
            yield f"group {label!r} is empty."
