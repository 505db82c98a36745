"""What tells one call's arguments from another's, in the same place."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

_BY_IDENTITY = (type, types.FunctionType, types.BuiltinFunctionType, types.NoneType)
"""What is the same object wherever it was sent, so that identity tells it apart."""


def key_of(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Hashable:
    """Return a key that equal arguments share, and no others.

    Lists, tuples, dicts and sets are equal when what they hold is. All else is told apart by its
    type and `==`, so that 1, 1.0 and True are three.

    Raises:
      TypeError: an argument cannot be told apart by its value; with its name.
    """
    named = {**{f"argument {place}": arg for place, arg in enumerate(args)}, **kwargs}
    keys = ((name, _freeze(value, name)) for name, value in named.items())
    return frozenset(keys)


def _freeze(value: object, where: str) -> Hashable:
    kind = type(value)
    if isinstance(value, (list, tuple)):
        items = cast("Iterable[object]", value)
        return kind, tuple(_freeze(item, f"{where}[{i}]") for i, item in enumerate(items))
    if isinstance(value, (set, frozenset)):
        members = cast("Iterable[object]", value)
        return kind, frozenset(_freeze(item, f"{where}, an item") for item in members)
    if isinstance(value, dict):
        pairs = cast("dict[object, object]", value)
        return kind, frozenset(
            (_freeze(key, f"{where}, a key"), _freeze(item, f"{where}[{key!r}]"))
            for key, item in pairs.items()
        )
    if kind.__hash__ is object.__hash__ and not isinstance(value, _BY_IDENTITY):
        raise _cannot(value, where)  # after it was sent it is always another
    try:
        hash(value)
    except TypeError as error:
        raise _cannot(value, where) from error
    return kind, value


def _cannot(value: object, where: str) -> TypeError:
    return TypeError(f"{where} is a {type(value).__qualname__}, which has no hash of its value")
