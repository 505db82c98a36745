"""What `codec="data"` carries, taken apart into what MessagePack has; see `data_marks`."""

from __future__ import annotations

import datetime as dt
import enum
import types
from typing import TYPE_CHECKING, Any

from launchpad_lite.courier import arrays, data_arrays, data_classes
from launchpad_lite.courier.data_marks import EXTENSIONS, PLAIN, Mark
from launchpad_lite.handle import Dereferenceable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_DEPTH = 100
"""How deep containers may lie in each other."""


class Refused(Exception):
    """A value that does not travel.

    Attributes:
      path: the steps that lead to it, the last one first.
      reason: what it is.
    """

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        self.path: list[str] = []
        self.reason = reason
        super().__init__(reason)

    def __str__(self) -> str:
        """Return where the value is, and what it is."""
        return f"{''.join(reversed(self.path))} {self.reason}"


class Apart:
    """Takes a value apart.

    Attributes:
      arrays: those that were met.
    """

    def __init__(self) -> None:
        """Begin."""
        self.arrays: list[Any] = []
        self._depth = 0

    def take(self, value: object) -> Any:
        """Return a value as what MessagePack has.

        Raises:
          Refused: it does not travel, or something in it.
        """
        kind = type(value)
        if kind in PLAIN:
            return value
        atom = _ATOMS.get(kind)
        if atom is not None:
            return atom(value)
        container = _CONTAINERS.get(kind)
        if container is None:
            return self._other(value, kind)
        self._enter()
        taken = container(self, value)
        self._depth -= 1
        return taken

    def _enter(self) -> None:
        if self._depth == MAX_DEPTH:
            message = f"lies in more than {MAX_DEPTH} containers, or in itself"
            raise Refused(message)
        self._depth += 1

    def sequence(self, values: Iterable[Any]) -> list[Any]:
        """Return the elements, taken apart."""
        taken: list[Any] = []
        try:
            for value in values:
                taken.append(self.take(value))  # noqa: PERF401 - its length tells where it failed
        except Refused as refused:
            refused.path.append(f"[{len(taken)}]")
            raise
        return taken

    def elements(self, values: Iterable[Any]) -> list[Any]:
        """Return the elements of a set, taken apart."""
        try:
            return [self.take(value) for value in values]
        except Refused as refused:
            refused.path.append("{...}")
            raise

    def mapping(self, value: dict[Any, Any]) -> Any:
        """Return a dict, taken apart."""
        if not all(type(key) is str for key in value):
            return self._pairs(value)
        key = ""
        taken: dict[str, Any] = {}
        try:
            for key, part in value.items():
                taken[_text(key)] = self.take(part)
        except Refused as refused:
            refused.path.append(f"[{key!r}]")
            raise
        return taken

    def _pairs(self, value: dict[Any, Any]) -> list[Any]:
        taken: list[Any] = [EXTENSIONS[Mark.MAP]]
        for key, part in value.items():
            try:
                taken.append(self.take(key))
            except Refused as refused:
                refused.path.append(f"<key {key!r}>")
                raise
            try:
                taken.append(self.take(part))
            except Refused as refused:
                refused.path.append(f"[{key!r}]")
                raise
        return taken

    def _other(self, value: Any, kind: type[Any]) -> Any:
        if kind.__module__ == "numpy":
            taken = self._numpy(value, kind)
            if taken is not None:
                return taken
        entry = data_classes.of_class(kind)
        if entry is None:
            raise Refused(_describe(value, kind))
        self._enter()
        fields: dict[str, Any] = {}
        field = ""
        try:
            for field in entry.fields:
                fields[field] = self.take(getattr(value, field))
        except Refused as refused:
            refused.path.append(f".{field}")
            raise
        self._depth -= 1
        return [EXTENSIONS[Mark.DATACLASS], entry.name, fields]

    def _numpy(self, value: Any, kind: type) -> list[Any] | None:
        import numpy as np

        if kind is np.str_:
            return [EXTENSIONS[Mark.TEXT], _text(str(value))]
        if kind is np.bytes_:
            return [EXTENSIONS[Mark.TEXT], bytes(value)]
        is_array = kind is np.ndarray
        if not is_array and not issubclass(kind, np.generic):
            return None
        name = data_arrays.dtype_name(value.dtype)
        if name is None:
            what = "an array" if is_array else "a NumPy scalar"
            message = f"is {what} of dtype {value.dtype}; only numbers, text and times travel"
            raise Refused(message)
        if not is_array:
            return [EXTENSIONS[Mark.SCALAR], name, value.tobytes()]
        self.arrays.append(value)
        order = "F" if arrays.is_by_column(value) else "C"
        return [EXTENSIONS[Mark.ARRAY], name, list(value.shape), order]


def _int(value: int) -> int:
    if not -(2**63) <= value < 2**64:
        message = "is an integer of more than 64 bits; send it as text or bytes"
        raise Refused(message)
    return value


def _text(value: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            message = "is text with half a surrogate pair, which UTF-8 does not have"
            raise Refused(message) from None
    return value


def _iso(mark: Mark) -> Callable[[dt.date | dt.time], list[Any]]:
    def take(value: dt.date | dt.time) -> list[Any]:
        return [EXTENSIONS[mark], value.isoformat()]

    return take


def _complex_apart(value: complex) -> list[Any]:
    return [EXTENSIONS[Mark.COMPLEX], value.real, value.imag]


def _bytearray_apart(value: bytearray) -> list[Any]:
    return [EXTENSIONS[Mark.BYTEARRAY], bytes(value)]


def _timedelta_apart(value: dt.timedelta) -> list[Any]:
    return [EXTENSIONS[Mark.TIMEDELTA], value.days, value.seconds, value.microseconds]


def _marked(
    mark: Mark, inner: Callable[[Apart, Iterable[Any]], list[Any]]
) -> Callable[[Apart, Iterable[Any]], list[Any]]:
    def take(apart: Apart, value: Iterable[Any]) -> list[Any]:
        return [EXTENSIONS[mark], *inner(apart, value)]

    return take


def _describe(value: object, kind: type[Any]) -> str:
    """Return what a value is that does not travel, and what can be done."""
    if isinstance(value, Dereferenceable) or getattr(kind, "_accepts_any_handle", False):
        return (
            "is a handle or a client, which reaches only into its own program; a server of "
            "codec='data' may be outside. Give it to the node's constructor"
        )
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | types.MethodType | type):
        return f"is a {'class' if isinstance(value, type) else 'function'}; code does not travel"
    if isinstance(value, enum.Enum):
        return f"is a member of the enum {kind.__qualname__}; send its value or its name"
    return f"is of type {kind.__module__}.{kind.__qualname__}{_advice(value, kind)}"


def _advice(value: object, kind: type[Any]) -> str:
    if hasattr(kind, "__dataclass_fields__"):
        return f"; call courier.register_dataclass({kind.__name__}) on both sides"
    if hasattr(kind, "__array__"):
        return "; send numpy.asarray(it)"
    for base in (dict, list, tuple, str, bytes, int, float):
        if isinstance(value, base):
            return f", not exactly a {base.__name__}; send {base.__name__}(it)"
    return ""


_ATOMS: dict[type, Callable[[Any], Any]] = {
    int: _int,
    str: _text,
    complex: _complex_apart,
    bytearray: _bytearray_apart,
    dt.datetime: _iso(Mark.DATETIME),
    dt.date: _iso(Mark.DATE),
    dt.time: _iso(Mark.TIME),
    dt.timedelta: _timedelta_apart,
}

_CONTAINERS: dict[type, Callable[[Apart, Any], Any]] = {
    list: Apart.sequence,
    dict: Apart.mapping,
    tuple: _marked(Mark.TUPLE, Apart.sequence),
    set: _marked(Mark.SET, Apart.elements),
    frozenset: _marked(Mark.FROZENSET, Apart.elements),
}
