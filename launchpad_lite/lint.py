"""What the author of a program should know before it runs."""

from __future__ import annotations

import graphlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from launchpad_lite.program import Edge, Program

LARGE_PAYLOAD_BYTES = 100 * 10**6
"""Arguments above this are better loaded by the node itself."""

_MAX_CYCLES = 50


def lint_program(
    program: Program, edges: Sequence[Edge], payload_bytes: Mapping[str, int]
) -> Iterator[str]:
    """Yield warnings: cycles, nodes nobody reads, large arguments, what nodes say of themselves.

    Args:
      program: the program, free of errors.
      edges: who holds whose handle.
      payload_bytes: the size of each pickled node, by name.
    """
    for cycle in _cycles(edges):
        yield (
            f"{' -> '.join(cycle)}: these hold each other's handles. None of their constructors "
            "may wait for a call to another, or all of them wait for ever."
        )
    read = {edge.target for edge in edges}
    for name, node in program.named_nodes():
        owner = f"node {name} ({node.title}, {node.place})"
        if node.addresses and not node.has_run and name not in read:
            yield f"{owner}: no node holds its handle and it has no run method."
        if payload_bytes.get(name, 0) > LARGE_PAYLOAD_BYTES:
            yield (
                f"{owner}: its arguments take {payload_bytes[name] / 1e6:.0f} MB. Let the node "
                "load them, or wrap their construction in lp.Deferred."
            )
        for problem in (*node.check(), *node.lint()):
            if not problem.fatal:
                yield f"{owner}: {problem.text}"


def _cycles(edges: Sequence[Edge]) -> list[list[str]]:
    """Return cycles, holder before target, one for each combination of groups."""
    graph: dict[str, set[str]] = {}
    for edge in edges:
        graph.setdefault(edge.holder, set()).add(edge.target)
    cycles: dict[frozenset[str], list[str]] = {}
    for _ in range(_MAX_CYCLES):
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            cycle: list[str] = error.args[1][::-1]
            graph[cycle[0]].discard(cycle[1])
            cycles.setdefault(frozenset(name.rpartition("/")[0] for name in cycle), cycle)
        else:
            break
    return list(cycles.values())
