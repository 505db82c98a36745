"""Nested structures of arrays: their leaves are columns, and each column has a name for messages.

Dicts, tuples, named tuples, lists and what is registered with optree are entered. None is a leaf.
Leaves come in optree's order: a dict's by sorted key.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import optree

from launchpad_lite.errors import UsageError, nearest

Structure: TypeAlias = optree.PyTreeSpec
"""What is left of a nest without its leaves. Can be hashed, compared, and pickled."""

ROOT = "data"
"""The name of the only column of a nest that is one array."""


def flatten(nest: Any) -> tuple[list[Any], Structure]:
    """Return the leaves of a nest, in order, and its structure."""
    return optree.tree_flatten(nest, none_is_leaf=True)


def unflatten(structure: Structure, leaves: list[Any]) -> Any:
    """Return the nest of a structure with these leaves, in order."""
    return optree.tree_unflatten(structure, leaves)


def column_names(structure: Structure) -> tuple[str, ...]:
    """Return the name of each leaf, as one would write it: `observation.image`, `[0].reward`."""
    paths = column_paths(structure)
    return tuple("".join(map(_step, path)).removeprefix(".") or ROOT for path in paths)


def column_paths(structure: Structure) -> tuple[tuple[Any, ...], ...]:
    """Return where each leaf is: the keys, names of fields and indices that lead to it."""
    accessors = optree.treespec_accessors(structure)
    return tuple(tuple(map(_key, accessor)) for accessor in accessors)


def is_flat(structure: Structure) -> bool:
    """Return whether it is one container of leaves."""
    return structure.num_nodes == structure.num_leaves + 1


def _key(entry: optree.PyTreeEntry) -> Any:
    return entry.field if isinstance(entry, optree.NamedTupleEntry) else entry.entry


def _step(name: Any) -> str:
    return f".{name}" if isinstance(name, str) and name.isidentifier() else f"[{name!r}]"


def check_structure(expected: Structure, actual: Structure, what: str) -> None:
    """Check that a nest has the structure it must have.

    Args:
      expected: the structure it must have.
      actual: the structure it has.
      what: what the nest is, to begin the message with.

    Raises:
      UsageError: it has another one. The message names the first column that is missing or new, or
        the kind of container that differs.
    """
    if expected == actual:
        return
    wanted, given = column_names(expected), column_names(actual)
    unknown = [name for name in given if name not in wanted]
    missing = [name for name in wanted if name not in given]
    if unknown:
        raise UsageError(f"{what}: there is no column {unknown[0]!r}{nearest(unknown[0], wanted)}")
    if missing:
        raise UsageError(
            f"{what}: column {missing[0]!r} is missing. Given: {', '.join(given) or 'none'}."
        )
    raise UsageError(
        f"{what}: the columns are the right ones, but in other containers: {_show(actual)} instead "
        f"of {_show(expected)}."
    )


def _show(structure: Structure) -> str:
    return str(unflatten(structure, list(column_names(structure))))
