"""`lp-launch logs`: what the nodes of a run printed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from launchpad_lite.cli.commands import CommandParser
from launchpad_lite.cli.sight import Sight
from launchpad_lite.errors import ExitCode, LaunchpadError, UsageError, nearest
from launchpad_lite.launchers import registry
from launchpad_lite.runtime.logs import LinePrinter, standard_output

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(arguments: Sequence[str]) -> int:
    """Print the logs of a run's nodes.

    Args:
      arguments: the command's.

    Returns:
      The exit code.

    Raises:
      UsageError: the arguments are wrong, or there is no such run or node.
      ControllerLost: the run's process is gone, whose end was waited for.
      LauncherUnavailableError: there is no such Ray cluster here.
    """
    parser = CommandParser("logs")
    parser.add_run()
    parser.add_ray_address()
    parser.add_argument("node", metavar="NODE", nargs="?", help="label/index, or a label")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the run ends")
    options = parser.parse_args(arguments)
    with Sight(options.ray_address) as sight:
        seen = sight.find(options.run)
        if not options.follow:  # or they come one after the other
            seen.refresh()
        status = seen.status()
        if status is None:
            message = f"{seen.run_id} has no nodes yet."
            raise UsageError(message)
        names = select([node.name for node in status.nodes], options.node)
        if _prints_elsewhere(status.launcher) and not seen.has_logs(names):
            sys.stderr.write(
                f"the nodes of {seen.run_id} are threads of the process that launched it, and "
                "print on its terminal; they have no logs\n"
            )
            return ExitCode.OK
        printer = LinePrinter(names, standard_output(), prefixes=len(names) > 1)
        seen.show_logs(names, printer, follow=options.follow)
    return ExitCode.OK


def select(names: Sequence[str], word: str | None) -> list[str]:
    """Return the nodes that are meant.

    Args:
      names: the names of a run's nodes, `label/index`.
      word: one of them, or a label; None for all.

    Raises:
      UsageError: there is no such node or group.
    """
    found = [name for name in names if word in (None, name, name.rpartition("/")[0])]
    if not found:
        known = {*names, *(name.rpartition("/")[0] for name in names)}
        message = f"the run has no node and no group {word!r}{nearest(str(word), known)}"
        raise UsageError(message)
    return found


def _prints_elsewhere(launcher: str) -> bool:
    """Whether a launcher's nodes are in the launching process, and have no logs of their own."""
    point = registry.entry_points().get(launcher)
    try:
        return point is not None and registry.load(point).capabilities().in_process
    except LaunchpadError:
        return False
