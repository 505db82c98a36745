"""`lp-launch logs`: what the nodes of a run printed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from launchpad_lite.cli import views
from launchpad_lite.cli.commands import CommandParser
from launchpad_lite.errors import ExitCode, LaunchpadError, UsageError, nearest
from launchpad_lite.launchers import registry
from launchpad_lite.runtime.logs import LogViewer, standard_output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launchpad_lite.runtime.rundir import RunDirectory


def run(arguments: Sequence[str]) -> int:
    """Print the logs of a run's nodes.

    Args:
      arguments: the command's.

    Returns:
      The exit code.

    Raises:
      UsageError: the arguments are wrong, or there is no such run or node.
      ControllerLost: the run's process is gone, which its end was waited for.
    """
    parser = CommandParser("logs")
    parser.add_run()
    parser.add_argument("node", metavar="NODE", nargs="?", help="label/index, or a label")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the run ends")
    options = parser.parse_args(arguments)
    directory = views.find(options.run)
    status = directory.status()
    if status is None:
        message = f"{directory.run_id} has no nodes yet."
        raise UsageError(message)
    names = select([node.name for node in status.nodes], options.node)
    logs = {name: directory.log(name) for name in names}
    if _prints_elsewhere(status.launcher) and not any(path.exists() for path in logs.values()):
        sys.stderr.write(
            f"the nodes of {directory.run_id} are threads of the process that launched it, and "
            "print on its terminal; they have no logs\n"
        )
        return ExitCode.OK
    viewer = LogViewer(logs, standard_output(), prefixes=len(logs) > 1)
    viewer.start()
    try:
        if options.follow:
            _wait_for_end(directory)
    finally:
        viewer.stop()
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


def _wait_for_end(directory: RunDirectory) -> None:
    if views.look(directory).has_ended:
        return
    if views.tells(directory):
        views.await_end(directory)
        return
    for _ in views.watch(directory, views.connect(directory)):
        pass
