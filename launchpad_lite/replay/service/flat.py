"""Nests that are one plain container of leaves, taken apart without the cost of a general nest."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeAlias

from launchpad_lite.replay.core.nest import flatten

Token: TypeAlias = Hashable
"""Equal for nests of the same structure; may differ for others that also have the same one."""

_MOST = 1000
_orders: dict[tuple[Any, ...], tuple[Any, ...]] = {}


def shallow(nest: Any) -> tuple[list[Any], Token] | None:
    """Return the values of a dict, in optree's order, or of a named tuple, list or tuple.

    They are the nest's leaves if none of them is a container, which the caller must find out.

    Args:
      nest: what to take apart.

    Returns:
      The values, and what identifies the structure; None if the nest is something else.
    """
    kind: Any = nest.__class__
    if kind is dict:
        keys = tuple(nest)
        order = _orders.get(keys)
        if order is None:
            if len(_orders) >= _MOST:
                _orders.clear()
            numbered = {key: index for index, key in enumerate(keys)}
            order = _orders[keys] = tuple(keys[index] for index in flatten(numbered)[0])
        return [nest[key] for key in order], keys
    if kind is list or kind is tuple:
        return list(nest), (kind, len(nest))
    if tuple in kind.__mro__ and hasattr(kind, "_fields"):
        return list(nest), kind
    return None


def like(nest: Any, values: list[Any]) -> Any:
    """Return a container like one that `shallow` took apart, with other values in its order."""
    kind: Any = nest.__class__
    if kind is list:
        return values
    if kind is dict:
        return dict(zip(_orders[tuple(nest)], values, strict=True))
    return kind(*values) if hasattr(kind, "_fields") else kind(values)
