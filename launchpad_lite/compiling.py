"""Compiles a program to its plan. Pure: nothing is started or written."""

from __future__ import annotations

import dataclasses
import pickle
import re
from typing import TYPE_CHECKING, Any

from launchpad_lite import payload
from launchpad_lite.config import RunConfig
from launchpad_lite.errors import ProgramError, UnpicklableError, UsageError, nearest
from launchpad_lite.flags import LAUNCH_TYPE
from launchpad_lite.lint import lint_program
from launchpad_lite.node import inside
from launchpad_lite.planning import Capabilities, LaunchPlan, WorkerSpec
from launchpad_lite.program import Program, handles_in
from launchpad_lite.python_process import PythonProcess, clean_env
from launchpad_lite.resources import Resources
from launchpad_lite.source import capture

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from launchpad_lite.address import Address
    from launchpad_lite.node import Node
    from launchpad_lite.scope import HasName
    from launchpad_lite.source import ProgramSource

    Named = tuple[str, Node[Any]]
    """A node with its name."""

COLD_VARIABLES = re.compile(r"PYTHON|LD_|MALLOC_|.*_NUM_THREADS$|.*CORETYPE$")
"""Environment variables that are read when a process starts (or a library is loaded)."""


def compile_program(
    program: Program,
    capabilities: Capabilities,
    *,
    config: RunConfig | None = None,
    resources: Mapping[str, Resources] | None = None,
    processes: Mapping[str, PythonProcess | None] | None = None,
    pickle_nodes: bool = False,
    launch_type: str | None = None,
) -> LaunchPlan:
    """Check a program and make its plan.

    Args:
      program: the program.
      capabilities: of the launcher it will run under.
      config: the run's settings.
      resources: what the nodes of each group ask for, by label.
      processes: how the processes of each group are started, by label.
      pickle_nodes: check that every node can be pickled, where none has to be.
      launch_type: the value of the launch type that was asked for, if one was; nodes of the
        original's programs may ask for it, or read its flag.

    Raises:
      ProgramError: the program has errors; the message lists all of them.
      UnpicklableError: a node, or the value of a flag, cannot be sent to its worker.
      UsageError: `resources` names an unknown group, or a setting cannot work.
    """
    if not isinstance(program, Program):  # pyright: ignore[reportUnnecessaryIsInstance] - user input
        message = f"an lp.Program is needed, not {program!r}."
        raise UsageError(message)
    config = config or RunConfig()
    config.check_transport(capabilities.launcher, in_process=capabilities.in_process)
    started = {label: each for label, each in (processes or {}).items() if each is not None}
    settings = _settings(program, resources or {}, started, capabilities)
    names = _name_addresses(program)
    errors = [*_node_errors(program, names), *_group_errors(program)]
    if errors:
        raise ProgramError("\n".join(errors))
    source = capture()
    if launch_type is not None:
        told = {**source.flags, LAUNCH_TYPE.name: launch_type}
        source = dataclasses.replace(source, flags=told)
    groups = {
        label: _Group.of(each, None if capabilities.in_process else source)
        for label, each in settings.items()
    }
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
        nodes={name: node for unit in program.named_nodes() for name, node in _workers(unit)},
        launch_type=launch_type,
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
        warnings += _without_effect(plan.nodes, settings, capabilities.launcher)
    return dataclasses.replace(plan, workers=workers, warnings=tuple(warnings))


@dataclasses.dataclass(frozen=True, slots=True)
class _Settings:
    """What was said of one group when the program was launched."""

    resources: Resources
    process: PythonProcess


@dataclasses.dataclass(frozen=True, slots=True)
class _Group:
    """What the workers of one group have in common."""

    settings: _Settings
    source: bytes  # pickled; empty in process

    @classmethod
    def of(cls, settings: _Settings, source: ProgramSource | None) -> _Group:
        pickled = b"" if source is None else pickle.dumps(source.for_worker(settings.process))
        return cls(settings, pickled)


def _settings(
    program: Program,
    resources: Mapping[str, Resources],
    processes: Mapping[str, PythonProcess],
    capabilities: Capabilities,
) -> dict[str, _Settings]:
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
        label: _Settings(
            resources.get(label, Resources()),
            process if capabilities.in_process else process.resolved(label),
        )
        for label in program.groups
        for process in [processes.get(label, PythonProcess())]
    }


def _without_effect(
    nodes: Mapping[str, Node[Any]], groups: Mapping[str, _Settings], launcher: str
) -> Iterator[str]:
    """Yield what was asked for and needs processes of its own."""
    why = f"since launcher {launcher!r} runs it in the launching process."
    for name, node in nodes.items():
        if node.env:
            yield f"node {name}: its env has no effect, {why}"
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
    process = group.settings.process
    env = {**clean_env(process.env), **unit[1].env, **node.env}
    pickled = b""
    start = "in process"
    if pickle_node:
        pickled = _pickle(plan, name, node)
    if not in_process:
        cold = sorted(key for key in env if COLD_VARIABLES.match(key))
        cold += ["another interpreter"] if process.interpreter else []
        start = f"cold ({', '.join(cold)})" if cold else "warm"
    label, _, index = name.rpartition("/")
    within = f"{name}/"
    every = [worker, *inside(name, node)]
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
        services=tuple(plan.names[address] for address in node.addresses),
        sizes={each: len(held.members) for each, held in every if held.members},
        unit=unit[0],
        max_restarts=unit[1].max_restarts,
        resources=group.settings.resources,
        env=env,
        preload=tuple(process.preload),
        interpreter=process.interpreter,
        start=start,
        seed=plan.config.seed_of(name),
        source=group.source,
        payload=pickled,
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
