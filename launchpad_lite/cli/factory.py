"""Finds the function that declares a program, in a module that was imported."""

from __future__ import annotations

import inspect
import types
import typing
from typing import TYPE_CHECKING, Any

from launchpad_lite import program as programs
from launchpad_lite.cli.outline import FACTORY, says_program
from launchpad_lite.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.cli.target import Target


def find(module: types.ModuleType, target: Target) -> tuple[str, Callable[..., Any]]:
    """Return the factory's name, and the factory.

    It is the one that was named, else `make_program`, else the only function of the module that
    says it returns a Program; among several, the only one whose name has no leading underscore.

    Args:
      module: the imported target.
      target: where it came from.

    Raises:
      UsageError: there is none, there are several, or it is not a function.
    """
    name = target.factory or _only(module, target)
    if not hasattr(module, name):
        message = f"{target.shown} has no function {name!r}{nearest(name, _functions(module))}"
        raise UsageError(message)
    factory = getattr(module, name)
    if not callable(factory):
        message = f"{target.shown}: {name} is not a function but {factory!r}."
        raise UsageError(message)
    return name, factory


def _only(module: types.ModuleType, target: Target) -> str:
    if getattr(module, FACTORY, programs.make_program) is not programs.make_program:
        return FACTORY
    functions = _functions(module)
    found = [name for name, function in functions.items() if _returns_program(function)]
    candidates = [name for name in found if not name.startswith("_")] or found
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        message = (
            f"{target.shown} has several functions that return a Program: {', '.join(candidates)}. "
            f"Name one of them, such as {target.shown}:{candidates[0]}."
        )
    else:
        known = f" (its functions: {', '.join(functions)})" if functions else ""
        message = (
            f"{target.shown} declares no program{known}. Define make_program(), annotate the "
            f"function that makes it with `-> lp.Program`, or name it: {target.shown}:NAME."
        )
    raise UsageError(message)


def _functions(module: types.ModuleType) -> dict[str, types.FunctionType]:
    """Return the functions that a module defines itself, by name."""
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    }


def _returns_program(function: types.FunctionType) -> bool:
    returned = annotation(function, function.__annotations__.get("return"))
    if isinstance(returned, type):
        return issubclass(returned, programs.Program)
    return says_program(returned)


def annotation(function: Callable[..., Any], given: Any) -> Any:
    """Return what an annotation of a function means; unchanged when that cannot be found out.

    Args:
      function: where the annotation stands.
      given: the annotation, perhaps as text.
    """
    scope = getattr(inspect.unwrap(function), "__globals__", {})
    holder: Any = types.SimpleNamespace(__annotations__={"it": given})
    try:
        return typing.get_type_hints(holder, globalns=scope)["it"]
    except Exception:
        return given
