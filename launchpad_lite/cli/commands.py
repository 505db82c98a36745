"""The commands beside launching a target, and how they read their arguments."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
from typing import TYPE_CHECKING, NoReturn

from launchpad_lite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """A command.

    Attributes:
      place: the function that runs it, `module:function`; it takes the arguments and returns the
        exit code.
      summary: one line.
    """

    place: str
    summary: str

    def run(self, arguments: Sequence[str]) -> int:
        """Load the command and run it.

        Raises:
          LaunchpadError: it cannot be done.
        """
        module, _, name = self.place.partition(":")
        function: Callable[[Sequence[str]], int] = getattr(importlib.import_module(module), name)
        return function(arguments)


COMMANDS = {
    "list": Command(
        place="launchpad_lite.cli.listing:run",
        summary="list the launchers, and why one cannot be used here",
    ),
    "ps": Command(
        place="launchpad_lite.cli.runs:ps",
        summary="list the runs that live; --all: those that have ended too",
    ),
    "status": Command(
        place="launchpad_lite.cli.runs:status",
        summary="show where a run and each of its nodes are; --calls: the calls between them",
    ),
    "logs": Command(
        place="launchpad_lite.cli.node_logs:run",
        summary="show what nodes printed; -f: and go on until the run ends",
    ),
    "stop": Command(
        place="launchpad_lite.cli.runs:stop",
        summary="stop a run and wait for its end; --now: without notice and grace",
    ),
}
"""By name. A target of such a name can be given as `./name`."""


class Parser(argparse.ArgumentParser):
    """Reads a command's arguments."""

    def __init__(self, prog: str, description: str) -> None:
        """Make a parser that knows no arguments yet.

        Args:
          prog: what the command is called by.
          description: what it does.
        """
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Fail as every other part of the command does.

        Raises:
          UsageError: always.
        """
        usage = self.format_usage().removeprefix("usage: ").strip()
        raise UsageError(f"{message}. Usage: {usage}")


class CommandParser(Parser):
    """Reads the arguments of one of the commands above."""

    def __init__(self, command: str) -> None:
        """Make a parser that knows no arguments yet.

        Args:
          command: the command's name.
        """
        super().__init__(f"lp-launch {command}", f"{COMMANDS[command].summary}.".capitalize())

    def add_run(self) -> None:
        """Take the name of a run."""
        self.add_argument("run", metavar="RUN", help="a run, or the beginning of its name")

    def add_ray_address(self) -> None:
        """Take the address of a Ray cluster."""
        self.add_argument(
            "--ray_address",
            metavar="ADDRESS",
            help="the Ray cluster to look into: auto, for that of this machine, or host:port",
        )
