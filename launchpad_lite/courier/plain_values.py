"""Values as programs in other languages see them: what JSON and MessagePack have, and three forms.

```
{"$array": {"dtype": "<f4", "shape": [2, 3], "data": ...}}   a NumPy array, by rows
{"$bytes": ...}                                              bytes, in JSON
{"$type": "Step", "reward": 1.0}                             a registered dataclass
```

`data` and `$bytes` are base64 in JSON, and bytes in MessagePack. On the way out tuples and sets are
lists, dates and times are ISO 8601 texts, a `timedelta` is its seconds, and NumPy's scalars are
plain numbers. Maps have texts as keys; one that begins with `$` is only what is said above.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from typing import TYPE_CHECKING, Any, cast

from launchpad_lite.courier import data_arrays, data_classes
from launchpad_lite.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable

_SAME = (type(None), bool, int, float, str)


def to_plain(value: Any, *, text: bool) -> Any:
    """Return a value as JSON or MessagePack have it.

    Args:
      value: what `codec="data"` carries.
      text: for JSON.

    Raises:
      CodecError: it has no such form.
    """
    if isinstance(value, bytes | bytearray):
        content = _content(bytes(value), text=text)
        return {"$bytes": content} if text else content
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(part, text=text) for part in cast("list[Any]", value)]
    if isinstance(value, dict):
        parts = cast("dict[Any, Any]", value)
        return {_key(key): to_plain(part, text=text) for key, part in parts.items()}
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return _of_class(value, text=text)


def _of_class(value: Any, *, text: bool) -> Any:
    kind: type[Any] = value.__class__
    if kind in _SAME:
        return value
    entry = data_classes.of_class(kind)
    if entry is not None:
        fields = {name: to_plain(getattr(value, name), text=text) for name in entry.fields}
        return {"$type": entry.name, **fields}
    if hasattr(value, "dtype") and value.dtype.kind in "biufUS":
        import numpy as np

        if isinstance(value, np.generic):
            return to_plain(value.item(), text=text)
        array = np.ascontiguousarray(value)
        shape, content = list(value.shape), array.tobytes()
        described = {"dtype": array.dtype.str, "shape": shape}
        return {"$array": {**described, "data": _content(content, text=text)}}
    shown = getattr(value, "dtype", kind.__qualname__)
    message = f"a {shown} has no form for other languages; see docs/other_languages.md"
    raise CodecError(message)


def _content(content: bytes, *, text: bool) -> str | bytes:
    return base64.b64encode(content).decode() if text else content


def _key(key: object) -> str:
    if not isinstance(key, str) or key.startswith("$"):
        message = f"{key!r} cannot be a key for other languages: it is no text, or begins with '$'"
        raise CodecError(message)
    return key


def from_plain(value: Any) -> Any:
    """Return the value of a plain one.

    Raises:
      CodecError: a map has a key that begins with `$`, and is none of the forms above.
    """
    if isinstance(value, list):
        return [from_plain(part) for part in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    parts = cast("dict[str, Any]", value)
    for key, read in _FORMS.items():
        if key in parts:
            return read(parts)
    return {_key(key): from_plain(part) for key, part in parts.items()}


def arguments(value: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return a call's arguments: a list of them, or a map for keyword arguments.

    Raises:
      CodecError: it is neither, or one of them is not plain.
    """
    if isinstance(value, list):
        return tuple(from_plain(part) for part in cast("list[Any]", value)), {}
    if isinstance(value, dict):
        named = cast("dict[Any, Any]", value)
        return (), {_key(name): from_plain(part) for name, part in named.items()}
    message = "arguments are a list, or a map for keyword arguments"
    raise CodecError(message)


def _bytes(content: object) -> bytes:
    if isinstance(content, bytes):
        return content
    try:
        return base64.b64decode(cast("str", content), validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        message = f"what should be bytes is not base64: {error}"
        raise CodecError(message) from error


def _only(parts: dict[str, Any], *keys: str) -> list[Any]:
    if set(parts) != set(keys):
        message = f"a map has the keys {sorted(parts)}, where {sorted(keys)} belong"
        raise CodecError(message)
    return [parts[key] for key in keys]


def _read_array(parts: dict[str, Any]) -> Any:
    (described,) = _only(parts, "$array")
    if not isinstance(described, dict):
        message = "$array is not a map of dtype, shape and data"
        raise CodecError(message)
    dtype, shape, data = _only(cast("dict[str, Any]", described), "dtype", "shape", "data")
    return data_arrays.make_array(dtype, shape, "C", _bytes(data))


def _read_object(parts: dict[str, Any]) -> Any:
    fields = {_key(key): from_plain(part) for key, part in parts.items() if key != "$type"}
    return data_classes.of_name(str(parts["$type"])).make(fields)


_FORMS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "$array": _read_array,
    "$bytes": lambda parts: _bytes(_only(parts, "$bytes")[0]),
    "$type": _read_object,
}
