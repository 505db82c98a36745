"""Many calls' arguments made into one, and one result into many.

Arrays get a new first axis, dicts and tuples are entered, None stays None, and everything else,
lists too, becomes a list with one element per call: as in google-deepmind/launchpad
(courier/serialization/batching.cc), but for None, which it puts into a list as well.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from launchpad_lite.errors import BatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Structure = Any
"""What values must have in common to be stacked; compared with `==`."""

_Dict = dict[Any, Any]
_Tuple = tuple[Any, ...]


class _Array(NamedTuple):
    shape: _Tuple
    dtype: Any


class _Entered(NamedTuple):
    """A container that is entered; a tuple's parts are numbered."""

    kind: type
    parts: dict[Any, Structure]


_VALUE = "a value that is no array, dict, tuple or None"
_ATOMS = frozenset({bool, int, float, complex, str, bytes, list})


def structure_of(value: object) -> Structure:
    """Return the keys, lengths, shapes and dtypes of a value, and where it has a None."""
    if value is None or type(value) in _ATOMS:
        return None if value is None else _VALUE
    if isinstance(value, dict):
        members = cast("_Dict", value)
        return _Entered(dict, {key: structure_of(part) for key, part in members.items()})
    if isinstance(value, tuple):
        items = cast("_Tuple", value)
        parts = {index: structure_of(part) for index, part in enumerate(items)}
        return _Entered(type(items), parts)
    array: Any = value
    return _VALUE if _stacker(array) is None else _Array(tuple(array.shape), array.dtype)


def _stacker(value: object) -> Callable[[list[Any]], Any] | None:
    """Return what stacks such arrays: the array API standard's function, or their library's own."""
    kind = type(value)
    if not (hasattr(kind, "shape") and hasattr(kind, "dtype")):
        return None
    masked: Any = sys.modules.get("numpy.ma")
    if masked is not None and isinstance(value, masked.MaskedArray):
        return cast("Callable[[list[Any]], Any]", masked.stack)  # numpy.stack drops the mask
    namespace = getattr(value, "__array_namespace__", None)
    library = namespace() if namespace else sys.modules.get(kind.__module__.partition(".")[0])
    return getattr(library, "stack", None)


def difference(here: Structure, there: Structure, path: str) -> str | None:
    """Return in words where two structures first differ; None when they do not.

    Args:
      here: the structure that the words begin with.
      there: the other.
      path: what the whole is called.
    """
    if here == there:
        return None
    if (
        isinstance(here, _Entered)
        and isinstance(there, _Entered)
        and here.kind is there.kind
        and here.parts.keys() == there.parts.keys()
    ):
        for key, part in here.parts.items():
            found = difference(part, there.parts[key], path + _step(here.kind, key))
            if found is not None:
                return found
    return f"{path} is {_describe(here)}, and {_describe(there)} in the others"


def _step(kind: type, key: Any) -> str:
    fields: _Tuple | None = getattr(kind, "_fields", None)
    return f".{fields[key]}" if fields else f"[{key!r}]"


def _describe(structure: Structure) -> str:
    if isinstance(structure, _Array):
        return f"an array of shape {structure.shape} and dtype {structure.dtype}"
    if isinstance(structure, _Entered):
        if structure.kind is dict:
            return f"a dict with the keys {list(structure.parts)}"
        return f"a {structure.kind.__name__} of {len(structure.parts)}"
    return str(structure)


def stack(values: Sequence[Any]) -> Any:
    """Return values of the same structure as one."""
    first = values[0]
    if first is None:
        return None
    if isinstance(first, dict):
        return {key: stack([value[key] for value in values]) for key in cast("_Dict", first)}
    if isinstance(first, tuple):
        return _tuple(cast("_Tuple", first), [stack(parts) for parts in zip(*values, strict=True)])
    stacker = _stacker(first)
    return list(values) if stacker is None else stacker(list(values))


def _tuple(like: _Tuple, parts: Any) -> Any:
    make = getattr(cast("Any", like), "_make", tuple)
    return make(parts)


def unstack(result: object, count: int, path: str = "the result") -> list[Any]:
    """Return a batch's result as one for each call.

    Arrays and lists are divided along their first axis, dicts and tuples are entered, and None is
    None for every call.

    Args:
      result: what a batched handler returned.
      count: how many calls were in the batch.
      path: what the result is called.

    Raises:
      BatchError: the result, or a part of it, has another length or none.
    """
    if result is None:
        return [None] * count
    if isinstance(result, dict):
        members = cast("_Dict", result).items()
        columns = {key: unstack(part, count, f"{path}[{key!r}]") for key, part in members}
        return [{key: rows[i] for key, rows in columns.items()} for i in range(count)]
    if isinstance(result, tuple):
        whole = cast("_Tuple", result)
        steps = [path + _step(type(whole), index) for index in range(len(whole))]
        parts = [unstack(part, count, step) for part, step in zip(whole, steps, strict=True)]
        return [_tuple(whole, [rows[i] for rows in parts]) for i in range(count)]
    rows = cast("Any", result)
    if not isinstance(result, list) and not (_stacker(result) and rows.shape):
        message = (
            f"{path} of a batch of {count} is one {type(result).__qualname__}. A batched handler "
            "returns an array or a list with a row for each call, a dict or a tuple of them, or "
            "None."
        )
        raise BatchError(message)
    if len(rows) != count:
        message = f"{path} has {len(rows)} rows for a batch of {count}; return one for each call."
        raise BatchError(message)
    return [rows[i] for i in range(count)]
