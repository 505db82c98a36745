"""Checks a node's arguments against its constructor's signature, when a plan is made.

Type checkers see more and earlier; this is for everybody else, and for arguments that come from
configuration. What cannot be told is let through.
"""

from __future__ import annotations

import collections.abc
import contextlib
import functools
import inspect
import itertools
import reprlib
import types
import typing
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from launchpad_lite import walk
from launchpad_lite.errors import nearest
from launchpad_lite.handle import DeferredConstruction, Handle
from launchpad_lite.node import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_SCALARS = (bool, int, float, complex, str, bytes)
_CONTAINERS = (list, tuple, dict, set, frozenset)
_WIDENS: dict[type, set[type]] = {
    int: {bool},
    float: {bool, int},
    complex: {bool, int, float},
}
_STANDARD = {"builtins", "collections", "collections.abc"}


class _Misfit(NamedTuple):
    """A value that certainly is not what is wanted."""

    where: str
    wanted: Any
    given: str


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
        signature = _signature(constructor)
    except (TypeError, ValueError):
        return
    called = unwrapped(constructor)
    title = getattr(called, "__qualname__", repr(called))
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        yield from _unbound(title, signature, kwargs, error)
        return
    hints = _hints(called)
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
            for where, wanted, what in _misfits(part, hints[name], path):
                text = f"argument {where} of {title} wants {_show(wanted)} and was given {what}."
                yield Problem(text)


def _unbound(
    title: str, signature: inspect.Signature, kwargs: Mapping[str, Any], error: TypeError
) -> Iterator[Problem]:
    """Yield why arguments do not fit a signature; names that it does not know come first."""
    parameters = signature.parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    unknown = [name for name in kwargs if name not in parameters and not takes_any]
    for name in unknown:
        yield Problem(f"{title} has no parameter {name!r}{nearest(name, parameters)}")
    if not unknown:
        shown = f"{title}{_without_hints(signature)}"
        yield Problem(f"{shown} does not take these arguments: {error}.")


def argument_names(
    constructor: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments by their parameters' names, by position where there is no signature."""
    try:
        parameters = list(_signature(constructor).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in parameters if p.kind in positional]
    named = {(names[i] if i < len(names) else f"args[{i}]"): value for i, value in enumerate(args)}
    return {**named, **kwargs}


def unwrapped(constructor: Any) -> Any:
    """Return what is called in the end: without partials and the parameters of generic classes."""
    while True:
        if isinstance(constructor, functools.partial):
            constructor = cast("functools.partial[Any]", constructor).func
        elif isinstance(origin := typing.get_origin(constructor), type):
            constructor = origin
        else:
            return constructor


def made_class(constructor: Callable[..., Any]) -> type | None:
    """Return the class of what a constructor makes, if that can be told."""
    called = unwrapped(constructor)
    if isinstance(called, type):
        return called
    annotation = _hints(called).get("return")
    return annotation if isinstance(annotation, type) and annotation is not Any else None


def _signature(constructor: Any) -> inspect.Signature:
    if isinstance(constructor, functools.partial):
        return inspect.signature(cast("Any", constructor))
    called = unwrapped(constructor)
    known = isinstance(called, type | types.FunctionType)
    return _signature_of(called) if known else inspect.signature(called)


@functools.lru_cache(maxsize=128)
def _signature_of(called: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a class or function; a group of nodes asks many times."""
    return inspect.signature(called)


def _without_hints(signature: inspect.Signature) -> inspect.Signature:
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
    ]
    return inspect.Signature(parameters)


def _hints(called: Any) -> dict[str, Any]:
    """Return the hints that can be resolved, by parameter; annotations may be any code."""
    static = inspect.getattr_static
    target: Any = static(called, "__init__") if isinstance(called, type) else called
    with contextlib.suppress(Exception):
        return typing.get_type_hints(target)
    hints: dict[str, Any] = {}
    for name, annotation in getattr(target, "__annotations__", {}).items():
        alone = types.SimpleNamespace(__annotations__={name: annotation})
        with contextlib.suppress(Exception):
            hints |= typing.get_type_hints(alone, getattr(target, "__globals__", {}))
    return hints


def _misfits(value: Any, hint: Any, where: str) -> list[_Misfit]:
    """Return where `value`, or what is in it, certainly is not what `hint` asks for."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        found = [_misfits(value, option, where) for option in typing.get_args(hint)]
        if not all(found):
            return []
        inside = (misfits for misfits in found if misfits[0].where != where)
        return next(inside, [_Misfit(where, hint, found[0][0].given)])
    given = _unfit(value, origin or hint)
    if given is not None:
        return [_Misfit(where, hint, given)]
    return [
        misfit
        for step, part, part_hint in _parts(value, hint)
        for misfit in _misfits(part, part_hint, where + step)
    ]


def _unfit(value: Any, wanted: Any) -> str | None:
    """Return a value in words if it certainly is no `wanted`.

    Besides handles and deferred objects, only values of built-in classes can be told.
    """
    if isinstance(value, Handle):
        served = cast("Handle[Any]", value).served_type
        fits = served is None or _accepts(wanted, served)
        return None if fits or served is None else f"a handle of {served.__qualname__}"
    if isinstance(value, DeferredConstruction):
        made = made_class(value.constructor)
        fits = made is None or _accepts(wanted, made)
        return None if fits or made is None else f"a deferred {made.__qualname__}"
    given = type(cast("object", value))
    plain = given in (*_SCALARS, *_CONTAINERS)
    if wanted is type(None):
        fits = not plain
    elif given in _SCALARS and wanted in _SCALARS:
        fits = given is wanted or given in _WIDENS.get(wanted, set())
    else:
        fits = not plain or wanted not in (_SCALARS if given in _CONTAINERS else _CONTAINERS)
    return None if fits else reprlib.repr(value)


def _parts(value: Any, hint: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the parts of a container, each with its step there and its own hint."""
    origin, parameters = typing.get_origin(hint), typing.get_args(hint)
    if not isinstance(origin, type) or origin.__module__ not in _STANDARD or not parameters:
        return  # of other generic classes, parameters say anything
    if isinstance(value, dict) and issubclass(origin, collections.abc.Mapping):
        each: Iterable[Any] = itertools.repeat(parameters[1] if len(parameters) > 1 else Any)
    elif isinstance(value, tuple) and origin is tuple and Ellipsis not in parameters:
        each = parameters
    elif isinstance(value, list | tuple | set | frozenset) and issubclass(
        origin, collections.abc.Iterable
    ):
        each = itertools.repeat(parameters[0])
    else:
        return
    for (step, part), part_hint in zip(walk.children(cast("object", value)), each, strict=False):
        yield step, part, part_hint


def _accepts(wanted: Any, given: type) -> bool:
    """Whether an instance of `given`, or a client of one, may be a `wanted`."""
    if not isinstance(wanted, type) or wanted is Any or _is_open(wanted) or _is_open(given):
        return True
    try:
        return issubclass(given, wanted) or issubclass(wanted, given)
    except TypeError:  # a TypedDict, or another class with a mind of its own
        return True


def _is_open(cls: type) -> bool:
    """Whether a class says nothing of what a client of it is: protocols, ABCs, client types."""
    return (
        getattr(cls, "_is_protocol", False)
        or inspect.isabstract(cls)
        or getattr(cls, "_accepts_any_handle", False)
        or issubclass(cls, Handle)
    )


def _show(hint: Any) -> str:
    return hint.__qualname__ if isinstance(hint, type) else str(hint)
