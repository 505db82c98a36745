"""The program's flags: read from the command line, and described for people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from absl import flags

from launchpad_lite.cli import arguments
from launchpad_lite.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from launchpad_lite.cli.parameters import Parameter

_CHOICES = re.compile(r"^<[^<>]*>: ")
_KINDS = {
    "int": "INT",
    "float": "FLOAT",
    "string": "TEXT",
    "comma separated list of strings": "A,B,...",
}


def parse(given: Sequence[str], registered: flags.FlagValues) -> None:
    """Read the program's flags.

    Args:
      given: the command line after the target, without our own flags.
      registered: the flags that there are.

    Raises:
      UsageError: a flag is unknown, has no value, or one of the wrong type.
    """
    try:
        left = registered(["", *given])[1:]
    except flags.UnrecognizedFlagError as error:
        known = [*_theirs(registered), *arguments.own_flags(), *arguments.SHORT]
        message = f"unknown flag --{error.flagname}{nearest(error.flagname, known)}"
        raise UsageError(message) from error
    except (flags.Error, ValueError) as error:
        raise UsageError(_explain(str(error), registered)) from error
    if left:
        message = f"{left[0]!r} is no flag. A program's flags look like --name=value."
        raise UsageError(message)


def _explain(message: str, registered: flags.FlagValues) -> str:
    """Add to absl's message what the flag takes."""
    named = re.match(r"flag --(\w+)=[^:]*", message)
    if named is None or named[1] not in registered:
        return message
    flag = cast("Any", registered[named[1]])
    if flag.boolean:
        return f"{named[0]}: neither true nor false. Write --{flag.name} or --no{flag.name}."
    wanted = flag.parser.syntactic_help
    return f"{message} (it takes {wanted})" if wanted else message


def keywords(
    name: str, parameters: Iterable[Parameter], registered: flags.FlagValues
) -> dict[str, Any]:
    """Return the arguments to call the factory with.

    Args:
      name: the factory's name.
      parameters: the parameters that flags set.
      registered: the flags, parsed.

    Raises:
      UsageError: the flag of a parameter without a default was not given.
    """
    values: dict[str, Any] = {}
    missing: list[str] = []
    for parameter in parameters:
        flag = cast("Any", registered[parameter.name])
        if parameter.program_flag or not flag.using_default_value:
            values[parameter.name] = flag.value
        elif parameter.required:
            missing.append(parameter.name)
    if missing:
        spelt: list[flags.Flag[Any]] = [registered[each] for each in missing]
        wanted = ", ".join(map(spelling, spelt))
        arguments.check_collisions(arguments.SHORT, missing, f"{name}()")
        message = f"{name}() needs {wanted}: its parameters of these names have no defaults."
        raise UsageError(message)
    return values


def _theirs(registered: flags.FlagValues) -> dict[str, flags.Flag[Any]]:
    """Return the flags that are neither ours nor absl's own, by their long names."""
    return {
        name: registered[name]
        for name in registered
        if not name.startswith(arguments.PREFIX)
        and name == registered[name].name
        and not (registered.find_module_defining_flag(name) or "").startswith("absl.")
    }


def check_reserved(registered: flags.FlagValues, shown: str) -> None:
    """Refuse a program's flag whose name is reserved.

    Args:
      registered: the flags that there are.
      shown: the program, for the message.

    Raises:
      UsageError: there is one.
    """
    for name in registered:
        module = registered.find_module_defining_flag(name) or ""
        if name.startswith(arguments.PREFIX) and not module.startswith("launchpad_lite."):
            message = (
                f"{shown} defines the flag --{name}; names that begin with {arguments.PREFIX} are "
                "lp-launch's own. Give it another name."
            )
            raise UsageError(message)


def describe(registered: flags.FlagValues, required: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Return the program's flags, as entries of a help page.

    Args:
      registered: the flags that there are.
      required: the flags that have no default.
    """
    without = set(required)
    return [entry(flag, required=name in without) for name, flag in _theirs(registered).items()]


def entry(flag: flags.Flag[Any], *, required: bool = False) -> tuple[str, str]:
    """Return how to write a flag, and what it is.

    Args:
      flag: the flag.
      required: it has no default.
    """
    text = _CHOICES.sub("", flag.help or "")
    parts = [] if text == "(no help available)" else [text]
    if required:
        parts.append("(required)")
    elif flag.default_as_str is not None:
        parts.append(f"(default: {flag.default_as_str.strip(chr(39))})")
    return spelling(flag), " ".join(parts)


def spelling(flag: flags.Flag[Any]) -> str:
    """Return how to write a flag, such as `--name=TEXT`.

    Args:
      flag: the flag.
    """
    if flag.boolean:
        return f"--[no]{flag.name}"
    parser: Any = flag.parser
    names = getattr(parser, "enum_values", None) or getattr(parser, "member_names", None)
    kind = "|".join(names) if names else _KINDS.get(flag.flag_type(), "VALUE")
    return f"--{flag.name}={kind}"
