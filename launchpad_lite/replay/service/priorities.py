"""Priorities, and keys of items, as users give them."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from launchpad_lite.validation import number, refuse, text

if TYPE_CHECKING:
    from launchpad_lite.replay.core.types import FloatArray, KeyArray


def by_table(given: object) -> dict[str, float]:
    """Return an item's priority in each of some tables, by their names.

    Raises:
      UsageError: these are none.
    """
    if not isinstance(given, Mapping):
        refuse("priorities", given, "the priority in each table, as in {'my_table': 1.0}")
    items: list[tuple[Any, Any]] = list(given.items())  # pyright: ignore[reportUnknownArgumentType] - of whatever they are
    return {
        text("a table's name", table): number(f"priorities[{table!r}]", priority)
        for table, priority in items
    }


def by_key(given: object) -> tuple[KeyArray, FloatArray]:
    """Return the keys of items, `uint64[n]`, and their priorities, `float64[n]`.

    Raises:
      UsageError: these are none. What a table's selectors refuse is left to the table.
    """
    if not isinstance(given, Mapping):
        refuse("updates", given, "the new priority of each item, by its key")
    items: dict[Any, Any] = dict(given)  # pyright: ignore[reportUnknownArgumentType] - of whatever they are
    keys = as_keys("the keys of updates", list(items))
    try:
        return keys, np.fromiter(items.values(), np.float64, len(items))
    except (TypeError, ValueError, OverflowError):
        return keys, np.array([number(f"updates[{key}]", items[key]) for key in items])


def as_keys(name: str, given: Any) -> KeyArray:
    """Return keys of items, `uint64[n]`.

    Numbers with a fraction are none, not even whole ones: a float does not hold every key.

    Raises:
      UsageError: these are none.
    """
    found: KeyArray | None = None
    if hasattr(given, "dtype"):
        array = np.asarray(given)
        whole = array.dtype.kind == "u" or (array.dtype.kind == "i" and not (array < 0).any())
        if array.ndim == 1 and (whole or not array.size):
            found = array.astype(np.uint64, copy=False)
    else:
        with contextlib.suppress(TypeError, OverflowError):
            found = np.fromiter(map(operator.index, given), np.uint64)
    if found is None:
        refuse(name, given, "keys of items, whole numbers of 0 or more, as SampleInfo.key has them")
    return found


def as_numbers(name: str, given: Any) -> FloatArray:
    """Return priorities, `float64[n]`.

    Raises:
      UsageError: these are no numbers.
    """
    try:
        return np.asarray(given, np.float64)
    except (TypeError, ValueError, OverflowError):
        refuse(name, given, "numbers")
