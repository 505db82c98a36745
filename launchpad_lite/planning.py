"""The plan: a program compiled to what launchers need. Pure: nothing is started or written."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from typing import TYPE_CHECKING, Any

from launchpad_lite import payload
from launchpad_lite.config import RunConfig
from launchpad_lite.errors import ContextError, ProgramError, UsageError, nearest
from launchpad_lite.lint import lint_program
from launchpad_lite.program import Edge, Program, handles_in
from launchpad_lite.resources import Resources
from launchpad_lite.source import ProgramSource, capture

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from launchpad_lite.address import Address
    from launchpad_lite.context import HasName
    from launchpad_lite.node import Node

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
      label: its group.
      index: its place in the group.
      group_size: the number of nodes in the group.
      kind: the kind of node, for people.
      title: what it runs, for people.
      has_run: it does something of its own, so that it can end by itself.
      calls: the names of the nodes whose handles it holds.
      resources: what it asks of its machine.
      env: environment variables of its process.
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
    resources: Resources
    env: Mapping[str, str]
    start: str
    seed: int
    payload: bytes = dataclasses.field(repr=False)
    node: Node[Any] = dataclasses.field(repr=False)

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
      workers: one for each node.
      edges: who holds whose handle.
      warnings: what the author should know.
      source: where the user's code lives.
      config: the run's settings.
      names: what each address is called.
    """

    program: str
    launcher: str
    workers: tuple[WorkerSpec, ...]
    edges: tuple[Edge, ...]
    warnings: tuple[str, ...]
    source: ProgramSource
    config: RunConfig
    names: Mapping[HasName, str] = dataclasses.field(repr=False)

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
            calls = ", ".join(worker.calls) or "-"
            runs = f"{worker.title} ({worker.kind}{'' if worker.has_run else ', serves only'})"
            rows.append((worker.name, runs, calls, worker.start, str(worker.resources), size))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        lines.insert(1, "  ".join("-" * width for width in widths))
        head = f"program {self.program!r}, launcher {self.launcher}, {len(self.workers)} node(s)"
        warnings = [f"warning: {warning}" for warning in self.warnings]
        return "\n".join([head, "", *lines, *(["", *warnings] if warnings else [])])


def compile_program(
    program: Program,
    capabilities: Capabilities,
    *,
    config: RunConfig | None = None,
    resources: Mapping[str, Resources] | None = None,
    pickle_nodes: bool = False,
) -> LaunchPlan:
    """Check a program and make its plan.

    Args:
      program: the program.
      capabilities: of the launcher it will run under.
      config: the run's settings.
      resources: what the nodes of each group ask for, by label.
      pickle_nodes: check that every node can be pickled, where none has to be.

    Raises:
      ProgramError: the program has errors; the message lists all of them.
      UnpicklableError: a node cannot be sent to its worker.
      UsageError: `resources` names a group that is not there.
    """
    if not isinstance(program, Program):  # pyright: ignore[reportUnnecessaryIsInstance] - user input
        message = f"an lp.Program is needed, not {program!r}."
        raise UsageError(message)
    config = config or RunConfig()
    resources = resources or {}
    for label in resources:
        if label not in program.groups:
            message = f"resources for an unknown group {label!r}{nearest(label, program.groups)}"
            raise UsageError(message)
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
            name,
            node,
            len(program.groups[name.rpartition("/")[0]]),
            in_process=capabilities.in_process,
            resources=resources,
            pickle_node=pickle_nodes or not capabilities.in_process,
        )
        for name, node in program.named_nodes()
    )
    warnings = [*lint_program(program, edges, {w.name: len(w.payload) for w in workers})]
    if capabilities.in_process:
        warnings += [
            f"node {w.name}: its env has no effect, since launcher {capabilities.launcher!r} runs "
            "it in the launching process."
            for w in workers
            if w.env
        ]
    return dataclasses.replace(plan, workers=workers, warnings=tuple(warnings))


def _spec(
    plan: LaunchPlan,
    name: str,
    node: Node[Any],
    group_size: int,
    *,
    in_process: bool,
    resources: Mapping[str, Resources],
    pickle_node: bool,
) -> WorkerSpec:
    label, _, index = name.rpartition("/")
    pickled = b""
    start = "in process"
    if pickle_node:
        owner = f"node {name} ({node.title}, {node.place})"
        pickled = payload.dumps_named(node, node.arguments(), owner, plan)
    if not in_process:
        cold = sorted(key for key in node.env if COLD_VARIABLES.match(key))
        start = f"cold ({', '.join(cold)})" if cold else "warm"
    seed = hashlib.blake2b(f"{plan.config.seed}:{name}".encode(), digest_size=4).digest()
    return WorkerSpec(
        name=name,
        label=label,
        index=int(index),
        group_size=group_size,
        kind=node.kind,
        title=node.title,
        has_run=node.has_run,
        calls=tuple(sorted({edge.target for edge in plan.edges if edge.holder == name})),
        resources=resources.get(label, Resources()),
        env=node.env,
        start=start,
        seed=int.from_bytes(seed, "little"),
        payload=pickled,
        node=node,
    )


def _name_addresses(program: Program) -> dict[HasName, str]:
    """Name each node's first address like the node, others after what they are for."""
    return {
        address: name if position == 0 else f"{name}#{address.hint or position}"
        for name, node in program.named_nodes()
        for position, address in enumerate(node.addresses)
    }


def _node_errors(program: Program, names: Mapping[HasName, str]) -> Iterator[str]:
    """Yield what is wrong with each node."""
    first: dict[int, str] = {}
    owners: dict[Address, str] = {}
    for name, node in program.named_nodes():
        owner = f"node {name} ({node.title}, {node.place})"
        if id(node) in first:
            yield f"{owner}: the same node was added before, as {first[id(node)]}."
            continue
        first[id(node)] = name
        for address in node.addresses:
            if address in owners:
                yield f"{owner}: {address!r} is owned by {owners[address]} already."
            owners.setdefault(address, name)
        for path, handle in handles_in(node):
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
