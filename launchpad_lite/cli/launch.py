"""Launches a target, and waits for the end of its run."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from launchpad_lite import flags, launching, source
from launchpad_lite.cli import arguments, factory, parameters, program_flags, script, target, usage
from launchpad_lite.cli.outline import outline
from launchpad_lite.cli.user_code import calling
from launchpad_lite.compat import finder as compat
from launchpad_lite.errors import ExitCode, ProgramError, UsageError
from launchpad_lite.launchers import registry
from launchpad_lite.program import Program

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from launchpad_lite.cli.arguments import CommandLine
    from launchpad_lite.cli.target import Target
    from launchpad_lite.runtime.run import Run


def run(given: Sequence[str]) -> int:
    """Do what a command line says that begins with no command.

    Args:
      given: the arguments.

    Returns:
      The exit code.

    Raises:
      LaunchpadError: the program could not be launched, or its run failed.
    """
    line = arguments.split(given)
    if line.target is None:
        if not line.wants_help:
            message = f"what is to be launched?\n{usage.USAGE}"
            raise UsageError(message)
        sys.stdout.write(f"{usage.page()}\n")
        return ExitCode.OK
    arguments.apply(line.ours)
    if flags.LAUNCHER.default is not None:
        registry.get(flags.LAUNCHER.default)  # a mistake is found before the program is imported
    reverb = flags.value(flags.COMPAT_REVERB)
    is_compatible = flags.value(flags.COMPAT) or reverb
    if is_compatible:
        compat.install(reverb=reverb)
    where = target.resolve(line.target)
    if is_compatible:
        compat.install(reverb=reverb)  # again: a module beside the target is not hidden either
    tree = target.parse(where)
    shape = outline(tree)
    is_original = is_compatible and shape.has_guard  # they launch by themselves
    is_script = where.factory is None and (shape.is_script or is_original)
    if line.wants_help:
        _help(where, is_script=is_script)
    elif is_script:
        arguments.check_collisions(line.short, shape.own_flags, where.shown)
        with _announcing():
            script.run(where, tree, line.rest, call_main=shape.leaves_main)
    else:
        program = _declare(where, line)
        with _announcing():
            started = launching.launch(program)
            if not flags.value(flags.DETACH):
                started.wait()
    return ExitCode.OK


def _declare(where: Target, line: CommandLine) -> Program:
    """Import the target, set the program's flags, and call its factory."""
    sys.argv[:] = [where.path if where.module else where.shown, *line.rest]
    module = target.load(where)
    program_flags.check_reserved(flags.FLAGS, where.shown)
    name, function = factory.find(module, where)
    settable = parameters.define(name, function, flags.FLAGS)
    arguments.check_collisions(line.short, flags.FLAGS, where.shown)
    program_flags.parse(line.rest, flags.FLAGS)
    values = program_flags.keywords(name, settable, flags.FLAGS)
    call = f"{name}({', '.join(f'{key}={value!r}' for key, value in values.items())})"
    reason = f"{call} calls lp.launch(); let it return the program, which lp-launch launches."
    with calling(f"{call} in {where.shown}"), source.refusing_launch(reason):
        program = function(**values)
    if not isinstance(program, Program):
        message = f"{call} in {where.shown} returned {program!r}, not an lp.Program."
        raise ProgramError(message)
    return program


def _help(where: Target, *, is_script: bool) -> None:
    """Show the flags of a target; its code is imported, and no program is declared."""
    module = target.load(where)
    required: list[str] = []
    note = ""
    if is_script:
        note = (
            f"{where.shown} runs as a script; it may have more to say: python {where.path} --help"
        )
    else:
        name, function = factory.find(module, where)
        settable = parameters.define(name, function, flags.FLAGS)
        required = [each.name for each in settable if each.required and not each.program_flag]
    entries = program_flags.describe(flags.FLAGS, required)
    sys.stdout.write(f"{usage.page(where.shown, entries, note)}\n")


@contextlib.contextmanager
def _announcing() -> Generator[None]:
    """Say the name of each run that is launched inside this block."""
    launching.on_launch.append(_announce)
    try:
        yield
    finally:
        launching.on_launch.remove(_announce)


def _announce(run: Run) -> None:
    if run.directory is not None:
        sys.stderr.write(
            f"lp-launch: run {run.id} has started; where it is: lp-launch status {run.id}\n"
        )
        sys.stderr.flush()
