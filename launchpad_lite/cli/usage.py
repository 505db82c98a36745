"""What `lp-launch --help` says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launchpad_lite.cli import arguments, program_flags, text
from launchpad_lite.cli.commands import COMMANDS
from launchpad_lite.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = """\
usage: lp-launch TARGET [--launcher=NAME] [--dry_run] [--compat] [program flags]
       lp-launch TARGET --help
       lp-launch list | ps | status RUN | logs RUN [NODE] | stop RUN"""

_ABOUT = """\
Launches the program that TARGET declares, and waits for its end. TARGET is file.py or module, with
:factory behind it to name the function that returns the program. Otherwise it is make_program, or
the only function annotated `-> Program`; its parameters become flags. A target that has no such
function, only a `main` that calls lp.launch(), is run as a script. With --compat, `import
launchpad` means this package, and a target with a block under `if __name__ == "__main__"` is a
script."""

EXIT_CODES = {
    ExitCode.OK: "the program ended well",
    ExitCode.NODE_FAILED: "a node failed",
    ExitCode.USAGE: "the command line, a flag or the target is wrong",
    ExitCode.PROGRAM: "the program is wrong: its code raised, or its graph cannot be launched",
    ExitCode.LAUNCHER_UNAVAILABLE: "the launcher cannot be used here",
    ExitCode.NODES_STUCK: "nodes did not end when told to",
    ExitCode.CONTROLLER_LOST: "the process that held the run together is gone",
    ExitCode.INTERRUPTED: "Ctrl-C; after any other signal, 128 and its number",
}


def page(program: str | None = None, flags: Sequence[tuple[str, str]] = (), note: str = "") -> str:
    """Return the help page.

    Args:
      program: the target, if there is one.
      flags: its flags, as entries.
      note: what else there is to say of it.
    """
    columns = text.width()
    parts = [USAGE]
    if program is None:
        commands = [(name, command.summary) for name, command in COMMANDS.items()]
        parts += [_ABOUT, _section("commands", commands, columns)]
    elif flags:
        parts.append(_section(f"flags of {program}", flags, columns))
    else:
        parts.append(f"{program} has no flags of its own.")
    if note:
        parts.append(note)
    parts.append(_section("flags of lp-launch", _ours(), columns))
    codes = [(str(int(code)), meaning) for code, meaning in EXIT_CODES.items()]
    parts.append(_section("exit codes", codes, columns))
    return "\n\n".join(parts)


def _section(title: str, pairs: Sequence[tuple[str, str]], columns: int) -> str:
    return f"{title}:\n{text.entries(pairs, columns)}"


def _ours() -> list[tuple[str, str]]:
    entries: list[tuple[str, str]] = [("-h, --help", "Show this page, with the flags of a TARGET.")]
    for name, flag in arguments.own_flags().items():
        spelling, meaning = program_flags.entry(flag)
        short = name.removeprefix(arguments.PREFIX)
        if short in arguments.SHORT:
            spelling = f"{spelling.replace(name, short)}, --{name}"
        entries.append((spelling, meaning))
    return entries
