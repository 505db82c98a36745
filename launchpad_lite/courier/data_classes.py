"""The dataclasses that `codec="data"` carries: those that both sides have registered."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast, overload

from launchpad_lite import validation
from launchpad_lite.errors import CodecError, UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


class Registered(NamedTuple):
    """One class.

    Attributes:
      name: what both sides call it.
      cls: the class.
      fields: the names of what its constructor takes; these travel.
      needed: those of them that have no default.
    """

    name: str
    cls: type
    fields: tuple[str, ...]
    needed: frozenset[str]

    def make(self, fields: Mapping[str, Any]) -> Any:
        """Return an object of the class.

        Raises:
          CodecError: a field is missing or unknown, or the constructor raised.
        """
        for field in fields:
            if field not in self.fields:
                message = f"{self.name} has no field {field!r}{nearest(field, self.fields)}"
                raise CodecError(message)
        missing = sorted(self.needed.difference(fields))
        if missing:
            message = f"{self.name} needs {', '.join(missing)}, which did not come with it"
            raise CodecError(message)
        try:
            return self.cls(**fields)
        except Exception as error:  # a `__post_init__` of the user's
            message = f"{self.name} cannot be made of what came: {type(error).__name__}: {error}"
            raise CodecError(message) from error


_by_name: dict[str, Registered] = {}
_by_class: dict[type, Registered] = {}


@overload
def register_dataclass(cls: type[T], name: str | None = None) -> type[T]: ...
@overload
def register_dataclass(
    cls: None = None, name: str | None = None
) -> Callable[[type[T]], type[T]]: ...
def register_dataclass(
    cls: type[T] | None = None, name: str | None = None
) -> type[T] | Callable[[type[T]], type[T]]:
    """Let objects of a dataclass travel with `codec="data"`; both sides must do it.

    What travels are the fields that the constructor takes, by name. The receiver calls its own
    constructor with them: fields that did not come take their defaults, and `__post_init__` may
    check the rest.

    Args:
      cls: the class; without, this returns a decorator.
      name: what both sides call it; the class's own name by default.

    Returns:
      The class.

    Raises:
      UsageError: it is no dataclass, another class has the name, or a field exists only in the
        constructor (`InitVar`), so that an object cannot be taken apart.

    Example:
      ```
      @courier.register_dataclass
      @dataclasses.dataclass
      class Point:
          x: float
          y: float = 0.0
      ```
    """
    if cls is None:
        return lambda decorated: _register(decorated, name)
    return _register(cls, name)


def _register(cls: type[T], name: str | None) -> type[T]:
    if not isinstance(cast("object", cls), type) or not dataclasses.is_dataclass(cls):
        message = f"{cls!r} is not a dataclass: put @register_dataclass above @dataclass."
        raise UsageError(message)
    with validation.within("courier.register_dataclass"):
        known: str = cls.__name__ if name is None else validation.text("name", name)
    for field in getattr(cls, "__dataclass_fields__", {}).values():
        if "InitVar" in str(field.type) or type(field.type) is dataclasses.InitVar:
            message = (
                f"{cls.__qualname__}.{field.name} is an InitVar, which an object does not keep, so "
                "that it cannot be sent. Make it a field."
            )
            raise UsageError(message)
    before = _by_name.get(known)
    if before is not None and _place(before.cls) != _place(cls):
        message = (
            f"the name {known!r} belongs to {_place(before.cls)} already. Give {_place(cls)} "
            "another: register_dataclass(cls, name=...)"
        )
        raise UsageError(message)
    fields = [field for field in dataclasses.fields(cls) if field.init]
    needed = [
        field.name
        for field in fields
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    entry = Registered(known, cls, tuple(field.name for field in fields), frozenset(needed))
    if before is not None:  # the file was imported again, or the notebook's cell run again
        _by_class.pop(before.cls, None)
    _by_name[known] = _by_class[cls] = entry
    return cls


def _place(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def of_class(cls: type) -> Registered | None:
    """Return how objects of exactly this class travel; None if they do not."""
    return _by_class.get(cls)


def of_name(name: str) -> Registered:
    """Return the class of a name.

    Raises:
      CodecError: no class is registered by that name here.
    """
    entry = _by_name.get(name)
    if entry is None:
        message = (
            f"no dataclass is registered as {name!r} here{nearest(name, _by_name)} Call "
            "courier.register_dataclass where the class is defined, on both sides."
        )
        raise CodecError(message)
    return entry
