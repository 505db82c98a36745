"""Splits a command line into our own flags, the target, and what is the program's."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, cast

from absl import flags as absl_flags

from launchpad_lite import flags
from launchpad_lite.errors import UsageError, nearest
from launchpad_lite.launch_type import of_launcher as launch_type_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

PREFIX = "lp_"
SHORT = (
    *("launcher", "dry_run", "compat", "compat_reverb"),
    *("resources", "tmux_session_name", "tmux_open_window", "detach"),
    *("slurm_partition", "slurm_account", "slurm_qos", "slurm_time", "slurm_constraint"),
    *("slurm_layout", "slurm_setup", "slurm_container_image", "slurm_extra", "slurm_requeue"),
    *("slurm_submit", "ray_address", "ray_namespace", "ray_strategy", "ray_wait"),
    "ray_workers_per_actor",
)
"""These flags may be given without the prefix."""

_HELP = ("-h", "--help", "-help", "--h")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommandLine:
    """What `lp-launch TARGET ...` was given.

    Attributes:
      ours: our own flags, by their full names, with their values as text. The last one counts,
        and all of a flag that may be repeated.
      short: which of them were given without the prefix.
      wants_help: help was asked for.
      target: the target; None when there is none.
      rest: what comes after the target, without our own flags.
    """

    ours: tuple[tuple[str, str], ...]
    short: frozenset[str]
    wants_help: bool
    target: str | None
    rest: tuple[str, ...]


def own_flags() -> dict[str, absl_flags.Flag[object]]:
    """Return our own flags, by name."""
    registered = flags.FLAGS
    return {name: registered[name] for name in registered if name.startswith(PREFIX)}


def split(arguments: Sequence[str]) -> CommandLine:
    """Split a command line; every spelling of flags that absl knows is understood.

    Args:
      arguments: the command line, without the command.

    Raises:
      UsageError: one of our own flags is unknown or has no value, or a flag precedes the target.
    """
    ours: list[tuple[str, str]] = []
    short: set[str] = set()
    rest: list[str] = []
    wants_help = False
    known = own_flags()
    spelt_out = {name for name in SHORT if any(_spells(each, name) for each in arguments)}
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            rest += [argument, *remaining]
        elif argument in _HELP:
            wants_help = True
        elif rest and any(_spells(argument, name, "") for name in spelt_out):
            rest.append(argument)  # the program's own
        elif (flag := _read(argument, known, remaining)) is None:
            rest.append(argument)
        else:
            given, name, text = flag
            ours.append((name, text))
            if given in SHORT:
                short.add(given)
    target = rest.pop(0) if rest else None
    if target is not None and target.startswith("-"):
        message = (
            f"{target} is no flag of lp-launch. A program's flags come after its target: "
            "lp-launch TARGET --flag=value."
        )
        raise UsageError(message)
    return CommandLine(
        ours=tuple(ours),
        short=frozenset(short),
        wants_help=wants_help,
        target=target,
        rest=tuple(rest),
    )


def _spells(argument: str, short: str, prefix: str = PREFIX) -> bool:
    """Whether an argument is a flag of ours by its full name, or another prefix and the short."""
    given = argument.removeprefix("-").removeprefix("-").partition("=")[0]
    full = f"{prefix}{short}"
    return argument.startswith("-") and given in (full, f"no{full}")


def _read(
    argument: str, known: dict[str, absl_flags.Flag[object]], following: Iterator[str]
) -> tuple[str, str, str] | None:
    """Return one of our flags: as given, its full name, its value; None if it is not ours."""
    if not argument.startswith("-"):
        return None
    given, has_value, value = argument.removeprefix("-").removeprefix("-").partition("=")
    negated = not has_value and given.startswith("no")
    for name in (given, given.removeprefix("no") if negated else given):
        full = f"{PREFIX}{name}" if name in SHORT else name
        if full not in known or (name != given and not known[full].boolean):
            continue
        if known[full].boolean and not has_value:
            return name, full, "true" if name == given else "false"
        if not has_value:
            try:
                value = next(following)
            except StopIteration:
                message = f"{argument} needs a value: {argument}=..."
                raise UsageError(message) from None
        return name, full, value
    if given.removeprefix("no").startswith(PREFIX):
        message = f"unknown flag {argument.partition('=')[0]}{nearest(given, known)}"
        raise UsageError(message)
    return None


def apply(ours: Iterable[tuple[str, str]]) -> None:
    """Make the values of our own flags their defaults: a script may parse its flags later.

    Args:
      ours: names and values, as text.

    Raises:
      UsageError: a value is of the wrong type, or out of its range.
    """
    given: dict[str, list[str]] = {}
    for name, text in ours:
        given.setdefault(name, []).append(text)
    for name, texts in given.items():
        repeats = isinstance(cast("Any", flags.FLAGS)[name], absl_flags.MultiFlag)
        try:
            flags.FLAGS.set_default(name, texts if repeats else texts[-1])
        except absl_flags.Error as error:
            raise UsageError(str(error)) from error
    if flags.LAUNCHER.default is not None:
        # a program in the original's style reads the launch type
        launch_type = launch_type_of(flags.LAUNCHER.default)
        if launch_type is not None:
            flags.FLAGS.set_default(flags.LAUNCH_TYPE.name, launch_type.value)


def check_collisions(short: Iterable[str], defined: Iterable[str], shown: str) -> None:
    """Refuse a short flag that the program defines too.

    Args:
      short: the short flags that were given.
      defined: the flags that the program defines.
      shown: the program, for the message.

    Raises:
      UsageError: one was, and it could mean either.
    """
    for name in sorted(set(short) & set(defined)):
        message = (
            f"--{name} could mean two things: {shown} defines a flag of that name, and for "
            f"lp-launch it is short for --{PREFIX}{name}. Write --{PREFIX}{name} for lp-launch's; "
            f"beside that, --{name} is the program's."
        )
        raise UsageError(message)
