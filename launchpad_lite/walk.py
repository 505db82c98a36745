"""Walks through nested arguments: dicts, lists, tuples, named tuples, sets, dataclasses, partials.

Arguments hold handles anywhere. Array libraries' trees do not enter dataclasses, and pickling does
not tell where something was found, so this small walker does both.
"""

from __future__ import annotations

import abc
import copy
import dataclasses
import functools
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_T = TypeVar("_T")

_Dict = dict[Any, Any]
_List = list[Any]
_Tuple = tuple[Any, ...]
_Set = set[Any]
_Partial = functools.partial[Any]


class Container(abc.ABC):
    """A class of ours whose parts are walked through."""

    @abc.abstractmethod
    def children(self) -> Mapping[str, Any]:
        """Return the parts by the name they are shown under."""


def children(value: object) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a container, each with the text that follows its owner's path.

    Yields:
      `("[0]", part)`, `("['key']", part)`, `(".field", part)`; nothing for other values.
    """
    if isinstance(value, Container):
        yield from ((f".{name}", part) for name, part in value.children().items())
    elif isinstance(value, dict):
        yield from ((f"[{key!r}]", part) for key, part in cast("_Dict", value).items())
    elif isinstance(value, list | tuple):
        fields: tuple[str, ...] | None = getattr(cast("Any", value), "_fields", None)
        for index, part in enumerate(cast("_Tuple", value)):
            yield (f".{fields[index]}" if fields else f"[{index}]"), part
    elif isinstance(value, set | frozenset):
        yield from (("{...}", part) for part in cast("_Set", value))
    elif isinstance(value, functools.partial):
        part_of = cast("_Partial", value)
        yield from ((f".args[{index}]", part) for index, part in enumerate(part_of.args))
        yield from ((f".{key}", part) for key, part in part_of.keywords.items())
    else:
        yield from ((f".{name}", getattr(value, name)) for name in _fields(value))


def _fields(value: object) -> list[str]:
    """Return the fields that a dataclass's instance has; none for other values."""
    if isinstance(value, type) or not dataclasses.is_dataclass(value):
        return []
    return [field.name for field in dataclasses.fields(value) if hasattr(value, field.name)]


def leaves(value: object, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value inside `value` (containers included), with its path; each object once."""
    seen: set[int] = set()
    stack: list[tuple[str, Any]] = [(path, value)]
    while stack:
        where, current = stack.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield where, current
        stack.extend(reversed([(where + step, part) for step, part in children(current)]))


def replace(value: _T, change: Callable[[Any], Any]) -> _T:
    """Return `value` with `change` applied to its leaves; what does not change is not copied."""
    return cast("_T", _replace(value, change, {}))


def _replace(value: object, change: Callable[[Any], Any], done: dict[int, Any]) -> Any:
    if id(value) in done:
        return done[id(value)]
    changed = change(value)
    if changed is not value:
        done[id(value)] = changed
        return changed
    if isinstance(value, Container):
        return value
    parts = [part for _, part in children(value)]
    if not parts:
        return value
    done[id(value)] = value  # a container that holds itself stays as it is
    new = [_replace(part, change, done) for part in parts]
    if all(part is before for part, before in zip(new, parts, strict=True)):
        return value
    done[id(value)] = result = _with_parts(value, new)
    return result


def _with_parts(value: object, parts: list[Any]) -> Any:
    if isinstance(value, dict):
        new_dict = copy.copy(cast("_Dict", value))
        for key, part in zip(list(new_dict), parts, strict=True):
            new_dict[key] = part  # not `update`, which a Counter means otherwise
        return new_dict
    if isinstance(value, list):
        new_list = copy.copy(cast("_List", value))
        new_list[:] = parts
        return new_list
    if isinstance(value, tuple):
        make = getattr(cast("Any", value), "_make", None) or type(cast("_Tuple", value))
        return make(parts)
    if isinstance(value, set | frozenset):
        return type(cast("_Set", value))(parts)
    if isinstance(value, functools.partial):
        part_of = cast("_Partial", value)
        count = len(part_of.args)
        keywords = dict(zip(part_of.keywords, parts[count:], strict=True))
        return functools.partial(part_of.func, *parts[:count], **keywords)
    new_value = copy.copy(value)
    for name, part in zip(_fields(value), parts, strict=True):
        object.__setattr__(new_value, name, part)
    return new_value
