"""The command `lp-launch`: picks what to do, and ends with the exit code of what happened."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from launchpad_lite.cli import shell
from launchpad_lite.cli.commands import COMMANDS
from launchpad_lite.errors import ExitCode
from launchpad_lite.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
      arguments: the command line, without the command; None for this process's.

    Returns:
      The exit code, see `errors.ExitCode`.

    Raises:
      SystemExit: a script that was run ended like this, or the run was stopped by a signal.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    return shell.run("lp-launch", lambda: _dispatch(given), tells=not _is_command(given))


def _dispatch(given: list[str]) -> int:
    if _is_command(given):
        return COMMANDS[given[0]].run(given[1:])
    if given == ["--version"]:
        sys.stdout.write(f"{__version__}\n")
        return ExitCode.OK
    from launchpad_lite.cli import launch

    return launch.run(given)


def _is_command(given: list[str]) -> bool:
    return bool(given) and given[0] in COMMANDS


if __name__ == "__main__":
    sys.exit(main())
