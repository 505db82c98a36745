"""The plan: what launchers need to know of a program. Pure data."""

from __future__ import annotations

import dataclasses
import pickle
from typing import TYPE_CHECKING, Any

from launchpad_lite import tables
from launchpad_lite.errors import ContextError
from launchpad_lite.node import inside

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Mapping

    from launchpad_lite.config import RunConfig
    from launchpad_lite.node import Node
    from launchpad_lite.program import Edge
    from launchpad_lite.resources import Resources
    from launchpad_lite.scope import HasName
    from launchpad_lite.source import ProgramSource


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
      services: the names under which it can be called.
      sizes: how many nodes each group inside it has, by the group's label.
      unit: the node that was added to the program: itself, or the colocation it is a member of.
      max_restarts: how often the workers of its unit, all together, are started again after a
        failure.
      resources: what its unit asks of its machine.
      env: environment variables of its process.
      preload: modules that are imported before its process is forked.
      interpreter: the Python that runs it, if it is another one than the launching process's.
      start: `in process`, `warm`, or `cold (why)`.
      seed: 32 bits.
      source: the pickled `ProgramSource` of its process; empty when the launcher runs it in
        process, as the next.
      payload: the pickled node.
    """

    name: str
    label: str
    index: int
    group_size: int
    kind: str
    title: str
    has_run: bool
    calls: tuple[str, ...]
    services: tuple[str, ...]
    sizes: Mapping[str, int]
    unit: str
    max_restarts: int
    resources: Resources
    env: Mapping[str, str]
    preload: tuple[str, ...]
    interpreter: str | None
    start: str
    seed: int
    source: bytes = dataclasses.field(repr=False)
    payload: bytes = dataclasses.field(repr=False)

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
      nodes: the workers' nodes, by name.
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
    nodes: Mapping[str, Node[Any]] = dataclasses.field(repr=False)
    launch_type: str | None = None

    @property
    def preload(self) -> list[str]:
        """The modules that are imported before workers are forked."""
        wanted = (module for worker in self.workers for module in worker.preload)
        return list(dict.fromkeys(wanted))

    def portable(self) -> LaunchPlan:
        """Return it without the program's own classes, for processes that cannot import those."""
        return dataclasses.replace(self, edges=(), names={}, nodes={})

    def below(self, root: pathlib.Path) -> LaunchPlan:
        """Return it for machines that have a directory elsewhere; see `ProgramSource.below`.

        Raises:
          UsageError: the program's file is not in it.
        """
        kinds = {worker.source for worker in self.workers}
        moved = {kind: pickle.dumps(pickle.loads(kind).below(root)) for kind in kinds}
        return dataclasses.replace(
            self,
            source=self.source.below(root),
            workers=tuple(
                dataclasses.replace(worker, source=moved[worker.source]) for worker in self.workers
            ),
        )

    @property
    def services(self) -> frozenset[str]:
        """The names under which something can be called."""
        return frozenset(name for worker in self.workers for name in worker.services)

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
            node = self.nodes[worker.name]
            row = self._row(worker.name, node, limits if worker.max_restarts else [])
            rows.append((*row, worker.start, str(worker.resources), size))
            for name, inner in inside(worker.name, node):
                rows.append((*self._row(name, inner, []), f"thread of {worker.name}", "-", "-"))
        head = f"program {self.program!r}, launcher {self.launcher}, {len(self.workers)} node(s)"
        warnings = [f"warning: {warning}" for warning in self.warnings]
        body = tables.table(rows, ruled=True)
        return "\n".join([head, "", body, *(["", *warnings] if warnings else [])])

    def _row(self, name: str, node: Node[Any], limits: list[str]) -> tuple[str, str, str]:
        notes = [node.kind, *([] if node.has_run else ["serves only"]), *limits]
        calls = {edge.target for edge in self.edges if edge.holder == name}
        return name, f"{node.title} ({', '.join(notes)})", ", ".join(sorted(calls)) or "-"
