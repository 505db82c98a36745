"""What the author of a program should know before it runs."""

from __future__ import annotations

import graphlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from launchpad_lite.node import Node
    from launchpad_lite.program import Edge, Program

LARGE_PAYLOAD_BYTES = 100 * 10**6
"""Arguments above this are better loaded by the node itself."""


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
    alike: dict[tuple[str, str], list[str]] = {}  # nodes of a group that the same is said of
    for name, node in program.every_node():
        for text in _of_node(node, payload_bytes.get(name, 0), is_read=name in read):
            what = f"({node.title}, {node.place}): {text}"
            alike.setdefault((_group(name), what), []).append(name)
    for (_, what), (first, *others) in alike.items():
        more = f" and {len(others)} more of its group" if others else ""
        yield f"node {first}{more} {what}"


def _of_node(node: Node[Any], payload_bytes: int, *, is_read: bool) -> Iterator[str]:
    """Yield warnings that take a look at one node alone."""
    if node.addresses and not node.members and not node.has_run and not is_read:
        yield "no node holds its handle and it has no run method."
    if payload_bytes > LARGE_PAYLOAD_BYTES:
        yield (
            f"its arguments take {payload_bytes / 1e6:.0f} MB. Let the node load them, or wrap "
            "their construction in lp.Deferred."
        )
    yield from (problem.text for problem in (*node.check(), *node.lint()) if not problem.fatal)


def _cycles(edges: Sequence[Edge]) -> list[list[str]]:
    """Return cycles, holder before target: enough that none is left when these are broken.

    Of the cycles that pass from one group to another, only one is returned.
    """
    graph: dict[str, set[str]] = {}
    for edge in edges:
        graph.setdefault(edge.holder, set()).add(edge.target)
    cycles: list[list[str]] = []
    while True:
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            cycle: list[str] = error.args[1][::-1]
            cycles.append(cycle)
            holders, targets = _group(cycle[0]), _group(cycle[1])
            for holder, held in graph.items():
                if _group(holder) == holders:
                    graph[holder] = {target for target in held if _group(target) != targets}
        else:
            return cycles


def _group(name: str) -> str:
    return name.rpartition("/")[0]
