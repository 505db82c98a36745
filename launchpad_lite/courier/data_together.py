"""What `codec="data"` carries, put together again from what MessagePack has; see `data_marks`."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from launchpad_lite.courier import data_arrays, data_classes
from launchpad_lite.courier.data_marks import PLAIN, Mark
from launchpad_lite.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class Together:
    """Puts a value together again."""

    def __init__(self, buffers: Sequence[Any]) -> None:
        """Begin; arrays take over the buffers."""
        self._buffers = iter(buffers)

    def put(self, taken: object) -> Any:
        """Return the value that was taken apart.

        Raises:
          CodecError: it was not taken apart by `Apart`.
          TypeError, ValueError, OverflowError, RecursionError: the same.
        """
        kind = type(taken)
        if kind in PLAIN or kind is int or kind is str:
            return taken
        if kind is dict:
            fields: dict[Any, Any] = _checked(taken, dict)
            return {_checked(key, str): self.put(part) for key, part in fields.items()}
        parts: list[Any] = _checked(taken, list)
        if parts and type(parts[0]) is Mark:
            return _TOGETHER[parts[0]](self, *parts[1:])
        return self.all(parts)

    def all(self, taken: Iterable[Any]) -> list[Any]:
        """Return the values of a list."""
        return [self.put(part) for part in taken]

    def array(self, name: object, shape: object, order: object) -> Any:
        """Return an array on the next buffer."""
        buffer = next(self._buffers, None)
        if buffer is None:
            message = "the bytes of an array are missing"
            raise CodecError(message)
        return data_arrays.make_array(name, shape, order, buffer)

    def finish(self) -> None:
        """Check that all has been used.

        Raises:
          CodecError: there are more buffers than arrays.
        """
        if next(self._buffers, None) is not None:
            message = "there are bytes of arrays that are not there"
            raise CodecError(message)

    def mapping(self, *parts: Any) -> dict[Any, Any]:
        """Return a dict whose keys are not all text."""
        values = self.all(parts)
        return dict(zip(values[::2], values[1::2], strict=True))

    def dataclass(self, name: object, fields: object) -> Any:
        """Return an object of a registered class."""
        parts: dict[str, Any] = self.put(_checked(fields, dict))
        return data_classes.of_name(_checked(name, str)).make(parts)


def _checked(value: Any, kind: type[Any]) -> Any:
    if type(value) is not kind:
        message = f"a {type(value).__name__} stands where a {kind.__name__} belongs"
        raise CodecError(message)
    return value


def _text_scalar(_: Together, content: object) -> Any:
    import numpy as np

    return np.str_(content) if isinstance(content, str) else np.bytes_(_checked(content, bytes))


def _scalar(_: Together, name: object, content: object) -> Any:
    return data_arrays.make_scalar(name, content)


def _complex(_: Together, real: object, imaginary: object) -> complex:
    return complex(_checked(real, float), _checked(imaginary, float))


def _timedelta(_: Together, *parts: object) -> dt.timedelta:
    return dt.timedelta(*(_checked(part, int) for part in parts))


def _of_elements(kind: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    def put(together: Together, *parts: Any) -> Any:
        return kind(together.all(parts))

    return put


def _of_one(kind: Callable[[Any], Any], part: type[Any]) -> Callable[..., Any]:
    def put(_: Together, content: object) -> Any:
        return kind(_checked(content, part))

    return put


_TOGETHER: dict[Mark, Callable[..., Any]] = {
    Mark.TUPLE: _of_elements(tuple),
    Mark.SET: _of_elements(set),
    Mark.FROZENSET: _of_elements(frozenset),
    Mark.MAP: Together.mapping,
    Mark.ARRAY: Together.array,
    Mark.SCALAR: _scalar,
    Mark.TEXT: _text_scalar,
    Mark.COMPLEX: _complex,
    Mark.BYTEARRAY: _of_one(bytearray, bytes),
    Mark.DATETIME: _of_one(dt.datetime.fromisoformat, str),
    Mark.DATE: _of_one(dt.date.fromisoformat, str),
    Mark.TIME: _of_one(dt.time.fromisoformat, str),
    Mark.TIMEDELTA: _timedelta,
    Mark.DATACLASS: Together.dataclass,
}
