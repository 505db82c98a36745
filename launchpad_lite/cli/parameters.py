"""Turns the plain parameters of a factory into absl flags of their types."""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import inspect
import re
import types
import typing
from typing import TYPE_CHECKING, Any, cast

from absl import flags

from launchpad_lite.cli import arguments, factory
from launchpad_lite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_EMPTY = inspect.Parameter.empty
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_STRINGS: tuple[Any, ...] = (list[str], collections.abc.Sequence[str], typing.Sequence[str])
_PLAIN = "int, float, str, bool, Enum, Literal, list[str], or one of these or None"
_ARGS = re.compile(
    r"^(?:Args|Arguments|Parameters):[ \t]*\n(?P<body>(?:[ \t]+.*\n?|\n)+)", re.MULTILINE
)
_ENTRY = re.compile(r"^(?P<indent> *)\*{0,2}(?P<name>\w+)(?: *\(.*?\))?:(?P<text>.*)$")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of the factory that a flag sets.

    Attributes:
      name: of the parameter, and of the flag.
      required: it has no default.
      program_flag: the program defines the flag itself, and its value is always passed.
    """

    name: str
    required: bool
    program_flag: bool


class LiteralParser(flags.ArgumentParser[Any]):
    """Takes the text of one of several values, and returns the value."""

    def __init__(self, *, choices: Sequence[Any]) -> None:
        """Keep the values."""
        super().__init__()
        self._choices = {str(choice): choice for choice in choices}
        self.enum_values = list(self._choices)

    def parse(self, argument: Any) -> Any:
        """See the base class."""
        if str(argument) not in self._choices:
            message = f"value should be one of <{'|'.join(self._choices)}>"
            raise ValueError(message)
        return self._choices[str(argument)]

    def flag_type(self) -> str:
        """See the base class."""
        return "string enum"


def define(
    name: str, function: Callable[..., Any], registered: flags.FlagValues
) -> list[Parameter]:
    """Define a flag for each plain parameter of a factory, unless the program defines it.

    Args:
      name: the factory's name.
      function: the factory.
      registered: the flags that there are.

    Returns:
      The parameters that flags set.

    Raises:
      UsageError: a parameter needs a value that no flag can give, or its default does not fit.
    """
    documented = documentation(function)
    found: list[Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in _VARIADIC:
            continue
        required = parameter.default is _EMPTY
        known = parameter.name in registered
        if not known and not _define_one(name, function, parameter, documented, registered):
            if required:
                raise UsageError(_unusable(name, parameter))
            continue
        absl_itself = known and _is_absl(registered.find_module_defining_flag(parameter.name))
        found.append(
            Parameter(
                name=parameter.name,
                required=required,
                program_flag=known and not absl_itself,
            )
        )
    return found


def _is_absl(module: str | None) -> bool:
    return (module or "").partition(".")[0] == "absl"


def _unusable(name: str, parameter: inspect.Parameter) -> str:
    if parameter.name.startswith(arguments.PREFIX):
        why = f"names that begin with {arguments.PREFIX} are lp-launch's own"
    elif parameter.kind not in _NAMED:
        why = "it can only be given by position"
    else:
        why = f"its type is not one of {_PLAIN}"
    return (
        f"{name}() cannot be called: parameter {parameter.name!r} has no default, and no flag can "
        f"set it: {why}."
    )


def _define_one(
    name: str,
    function: Callable[..., Any],
    parameter: inspect.Parameter,
    documented: dict[str, str],
    registered: flags.FlagValues,
) -> bool:
    if parameter.kind not in _NAMED or parameter.name.startswith(arguments.PREFIX):
        return False
    default = None if parameter.default is _EMPTY else parameter.default
    hint = factory.annotation(function, parameter.annotation)
    if hint is _EMPTY:
        hint = _type_of(default)
    try:
        flag = _flag(_without_none(hint), parameter.name, default, documented.get(parameter.name))
    except flags.Error as error:
        message = f"{name}(): the default of parameter {parameter.name!r} does not fit: {error}"
        raise UsageError(message) from error
    if flag is None:
        return False
    flags.DEFINE_flag(flag, registered, module_name=f"{name}()")
    return True


def _type_of(default: object) -> Any:
    return list[str] if isinstance(default, list) else type(default)


def _list_or_none(default: object) -> list[Any] | None:
    if not isinstance(default, list | tuple | None):
        message = f"{default!r} is not a list"
        raise flags.IllegalFlagValueError(message)
    return None if default is None else list(cast("Sequence[Any]", default))


def _without_none(hint: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(hint) if member is not type(None)]
        return members[0] if len(members) == 1 else None
    return hint


def _flag(hint: Any, name: str, default: Any, text: str | None) -> flags.Flag[Any] | None:
    """Return a flag of a type; None when there is none of that type."""
    parser: flags.ArgumentParser[Any]
    serializer: flags.ArgumentSerializer[Any] = flags.ArgumentSerializer()
    if hint is bool:
        return flags.BooleanFlag(name, default, text, allow_using_method_names=True)
    if isinstance(hint, type) and issubclass(hint, enum.Enum) and hint.__members__:
        folded = {member.casefold() for member in hint.__members__}
        exact = len(folded) < len(hint.__members__)
        parser = flags.EnumClassParser(hint, case_sensitive=exact)
        serializer = flags.EnumClassSerializer(lowercase=not exact)
    elif typing.get_origin(hint) is typing.Literal:
        choices = [choice for choice in typing.get_args(hint) if choice is not None]
        parser = LiteralParser(choices=choices)
    elif hint in _STRINGS:
        parser, serializer = flags.ListParser(), flags.CsvListSerializer(",")
        default = _list_or_none(default)
    elif hint in (int, float, str):
        parsers: dict[Any, Any] = {
            int: flags.IntegerParser,
            float: flags.FloatParser,
            str: flags.ArgumentParser,
        }
        parser = parsers[hint]()
    else:
        return None
    return flags.Flag(parser, serializer, name, default, text, allow_using_method_names=True)


def documentation(function: Callable[..., Any]) -> dict[str, str]:
    """Return what a Google docstring says of each parameter.

    Args:
      function: whose docstring is read.
    """
    section = _ARGS.search(inspect.getdoc(function) or "")
    if section is None:
        return {}
    return {name: " ".join(lines) for name, lines in _entries(section["body"])}


def _entries(body: str) -> Iterator[tuple[str, list[str]]]:
    name, lines, column = "", list[str](), None
    for line in body.splitlines():
        entry = _ENTRY.match(line)
        if entry is not None and len(entry["indent"]) <= (
            len(entry["indent"]) if column is None else column
        ):
            if name:
                yield name, lines
            column, name, lines = len(entry["indent"]), entry["name"], [entry["text"].strip()]
        elif line.strip():
            lines.append(line.strip())
    if name:
        yield name, lines
