"""Pickling of what travels to workers: by reference where possible, and with the culprit's name."""

from __future__ import annotations

import contextlib
import functools
import io
import types
from typing import TYPE_CHECKING, Any, cast

import cloudpickle

from launchpad_lite import flags, references, source, walk
from launchpad_lite.address import Names, naming
from launchpad_lite.errors import UnpicklableError
from launchpad_lite.handle import Handle

if TYPE_CHECKING:
    import pickle
    from collections.abc import Callable, Iterator, Mapping

PROTOCOL = 5
_MAX_DEPTH = 12
_NOT_PICKLED = {"__dict__", "__weakref__", "_abc_impl"}
"""What a class has and its pickle has not."""


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc] # it has no types
    """cloudpickle, but classes and functions of the program's own file go by reference."""

    def reducer_override(self, obj: Any) -> Any:
        if obj is flags.FLAGS:  # a lambda's global; those of the receiver have the same values
            return flags.of_this_process, ()
        if references.is_reference(obj):
            return references.reduce(obj)
        by_reference = source.main_travels_by_reference()
        if by_reference and isinstance(obj, type | types.FunctionType) and _is_in_main(obj):
            return NotImplemented
        return super().reducer_override(obj)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]


def _is_in_main(obj: Any) -> bool:
    if obj.__module__ != "__main__":
        return False
    import __main__

    found: Any = __main__
    for part in obj.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is obj


def dumps(
    value: object, buffer_callback: Callable[[pickle.PickleBuffer], object] | None = None
) -> bytes:
    """Pickle anything that can be, by value only what no other process could import.

    Args:
      value: what to pickle.
      buffer_callback: takes the buffers of arrays out of the pickle, as in `pickle.dumps`.

    Raises:
      Exception: whatever the object's own pickling raises.
    """
    file = io.BytesIO()
    pickler: Any = _Pickler(file, protocol=PROTOCOL, buffer_callback=buffer_callback)
    pickler.dump(value)
    return file.getvalue()


def dumps_named(value: object, parts: dict[str, Any], owner: str, names: Names) -> bytes:
    """Pickle a node; when that fails, say which part of it is to blame.

    Args:
      value: the node.
      parts: its arguments, by name, to look for the culprit in.
      owner: the node's name and place, for the message.
      names: the names of addresses in the plan.

    Raises:
      UnpicklableError: with the path of attributes down to the culprit.
    """
    with naming(names), references.within(owner, parts):
        try:
            return dumps(value)
        except Exception as error:
            found = culprit(parts)
            if found is not None:
                path, reason = found
                message = (
                    f"{owner}: argument {path} cannot be sent to a worker: {reason}. Make it "
                    "inside the node, or wrap its construction in lp.Deferred."
                )
                raise UnpicklableError(message) from error
            message = f"{owner}: cannot be sent to a worker: {error}"
            raise UnpicklableError(message) from error


def culprit(parts: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return which of some objects cannot be pickled, with the path down to it, and why.

    Args:
      parts: the objects, by what the path begins with.
    """
    found = (_culprit(part, name, set()) for name, part in parts.items())
    return next((each for each in found if each is not None), None)


def _failure(value: object) -> str | None:
    try:
        dumps(value)
    except Exception as error:
        return str(error).rstrip(".") or type(error).__name__
    return None


def _culprit(value: Any, path: str, seen: set[int]) -> tuple[str, str] | None:
    """Return the deepest part of `value` that cannot be pickled, and why; None if all can."""
    reason = _failure(value)
    if reason is None:
        return None
    seen = seen | {id(value)}
    holds_its_owner = False
    for step, part in _inside(value) if len(seen) <= _MAX_DEPTH else ():
        holds_its_owner = holds_its_owner or id(part) in seen
        deeper = _culprit(part, path + step, seen) if id(part) not in seen else None
        if deeper is not None:
            return deeper
    return None if holds_its_owner and len(seen) > 1 else (path, reason)


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what is pickled with a value, each part with the step that leads to it."""
    yield from walk.children(value)
    if isinstance(value, types.FunctionType):
        yield from _inside_function(value)
    elif isinstance(value, types.MethodType):
        yield ".__self__", value.__self__
    elif isinstance(value, functools.partial):
        yield ".func", cast("functools.partial[Any]", value).func
    elif isinstance(value, type):
        for name, part in vars(value).items():
            if name not in _NOT_PICKLED and not isinstance(part, types.MemberDescriptorType):
                yield f".{name}", part
    elif not isinstance(value, Handle):
        yield from _inside_object(value)


def _inside_function(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # it has no value yet
            yield f".<closure {name}>", cell.cell_contents
    for name in _global_names(function.__code__):
        if name in function.__globals__:
            yield f".<global {name}>", function.__globals__[name]
    for index, part in enumerate(function.__defaults__ or ()):
        yield f".<default {index}>", part
    for name, part in (function.__kwdefaults__ or {}).items():
        yield f".<default {name}>", part
    yield from ((f".{name}", part) for name, part in vars(function).items())


def _global_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _inside_object(value: object) -> Iterator[tuple[str, Any]]:
    """Yield an object's attributes as it wants them pickled, and its class."""
    try:
        reduced: Any = value.__reduce_ex__(PROTOCOL)
    except Exception:
        return  # it is itself to blame
    if isinstance(reduced, str):
        return  # the name of a global
    arguments: tuple[Any, ...] = reduced[1]
    state: Any = reduced[2] if len(reduced) > 2 else None  # noqa: PLR2004 - it is optional
    yield from ((".__class__", part) for part in arguments if part is type(value))
    # by default `(attributes, slots)`, or attributes alone
    for part in cast("Any", state if isinstance(state, tuple) else (state,)):
        if isinstance(part, dict):
            attributes = cast("dict[str, Any]", part)
            yield from ((f".{name}", attribute) for name, attribute in attributes.items())
        else:
            yield ".<state>", part
    yield from ((".<arguments>", part) for part in arguments if part is not type(value))
