"""Checks a node's arguments against its constructor's signature, when a plan is made.

Type checkers see more and earlier; this is for everybody else, and for arguments that come from
configuration. What cannot be told is let through.
"""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from typing import TYPE_CHECKING, Any

from launchpad_lite import walk
from launchpad_lite.errors import nearest
from launchpad_lite.handle import DeferredConstruction, Handle
from launchpad_lite.node import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_SCALARS = (bool, int, float, complex, str, bytes)
_WIDENS: dict[type, set[type]] = {
    int: {bool},
    float: {bool, int},
    complex: {bool, int, float},
}


def check_call(
    constructor: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Iterator[Problem]:
    """Yield what keeps `constructor(*args, **kwargs)` from working.

    Args:
      constructor: a class, a function, a bound method or a partial.
      args: its positional arguments; handles stand for what they become.
      kwargs: its keyword arguments.
    """
    try:
        signature = inspect.signature(constructor)
    except (TypeError, ValueError):
        return
    title = getattr(constructor, "__qualname__", repr(constructor))
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        unknown = [name for name in kwargs if name not in signature.parameters]
        hint = nearest(unknown[0], signature.parameters) if unknown else "."
        yield Problem(f"{title}{signature} does not take these arguments: {error}{hint}")
        return
    hints = _hints(constructor)
    for name, value in bound.arguments.items():
        kind = signature.parameters[name].kind
        if name not in hints:
            continue
        if kind is inspect.Parameter.VAR_POSITIONAL:
            given = {f"{name}[{i}]": part for i, part in enumerate(value)}
        elif kind is inspect.Parameter.VAR_KEYWORD:
            given = dict(value)
        else:
            given = {name: value}
        for path, part in given.items():
            yield from _check_value(part, hints[name], f"argument {path} of {title}")


def argument_names(
    constructor: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments by their parameters' names, by position where there is no signature."""
    try:
        parameters = list(inspect.signature(constructor).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in parameters if p.kind in positional]
    named = {(names[i] if i < len(names) else f"args[{i}]"): value for i, value in enumerate(args)}
    return {**named, **kwargs}


def _hints(constructor: Any) -> dict[str, Any]:
    while hasattr(constructor, "func") and hasattr(constructor, "keywords"):  # partials
        constructor = constructor.func
    target = getattr(constructor, "__init__") if isinstance(constructor, type) else constructor  # noqa: B009 - of the class, not of an instance
    try:
        return typing.get_type_hints(target)
    except Exception:
        return {}


def _check_value(value: Any, hint: Any, where: str) -> Iterator[Problem]:
    """Yield a problem if `value` certainly is not what `hint` asks for."""
    if isinstance(value, Handle):
        served = typing.cast("Handle[Any]", value).served_type
        if served is not None and not _accepts(hint, served):
            yield Problem(
                f"{where} wants {_show(hint)} and was given a handle of {served.__qualname__}."
            )
    elif isinstance(value, DeferredConstruction):
        made = value.constructor
        if isinstance(made, type) and not _accepts(hint, made):
            yield Problem(f"{where} wants {_show(hint)} and was given {made.__qualname__}.")
    elif type(value) in _SCALARS:
        if hint in _SCALARS and type(value) not in {hint, *_WIDENS.get(hint, ())}:
            yield Problem(f"{where} wants {_show(hint)} and was given {value!r}.")
    else:
        yield from _check_parts(value, hint, where)


def _check_parts(value: Any, hint: Any, where: str) -> Iterator[Problem]:
    origin, parameters = typing.get_origin(hint), typing.get_args(hint)
    if origin is None or not isinstance(origin, type) or not parameters:
        return
    if isinstance(value, dict) and issubclass(origin, collections.abc.Mapping):
        each: list[Any] = [parameters[-1]] * len(typing.cast("dict[Any, Any]", value))
    elif isinstance(value, tuple) and origin is tuple and Ellipsis not in parameters:
        each = list(parameters)
    elif isinstance(value, list | tuple | set) and issubclass(origin, collections.abc.Iterable):
        each = [parameters[0]] * len(typing.cast("list[Any]", value))
    else:
        return
    parts = walk.children(typing.cast("object", value))
    for (step, part), part_hint in zip(parts, each, strict=False):
        yield from _check_value(part, part_hint, where + step)


def _accepts(hint: Any, given: type) -> bool:
    """Whether `hint` may accept an instance of `given`, or a client of one."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_accepts(option, given) for option in typing.get_args(hint))
    if origin is typing.Annotated:
        return _accepts(typing.get_args(hint)[0], given)
    wanted = origin or hint
    if not isinstance(wanted, type) or wanted is object or _is_open(wanted):
        return True
    return issubclass(given, wanted) or issubclass(wanted, given)


def _is_open(wanted: type) -> bool:
    """Whether a class says nothing of what a client of it is: protocols, ABCs, client types."""
    return (
        getattr(wanted, "_is_protocol", False)
        or inspect.isabstract(wanted)
        or getattr(wanted, "_accepts_any_handle", False)
        or issubclass(wanted, Handle)
    )


def _show(hint: Any) -> str:
    return hint.__qualname__ if isinstance(hint, type) else str(hint)
