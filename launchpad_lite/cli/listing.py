"""`lp-launch list`: the launchers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from launchpad_lite import tables
from launchpad_lite.cli.commands import CommandParser
from launchpad_lite.errors import ExitCode, LaunchpadError
from launchpad_lite.launchers import registry

if TYPE_CHECKING:
    import importlib.metadata
    from collections.abc import Mapping, Sequence


def run(arguments: Sequence[str]) -> int:
    """Print the launchers, and why one cannot be used here.

    Args:
      arguments: the command's.

    Returns:
      The exit code.

    Raises:
      UsageError: there are any.
    """
    CommandParser("list").parse_args(arguments)
    sys.stdout.write(f"{describe(registry.entry_points())}\n")
    return ExitCode.OK


def describe(points: Mapping[str, importlib.metadata.EntryPoint]) -> str:
    """Return a table of launchers.

    Args:
      points: their entry points, by name.
    """
    rows = [("LAUNCHER", "HERE", "WHAT IT DOES")]
    for name, point in points.items():
        here, summary = _describe(point)
        rows.append((name, here, summary))
    return tables.table(rows)


def _describe(point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    try:
        launcher = registry.load(point)
        reason = launcher.unavailable()
    except LaunchpadError as error:
        return "no", str(error)
    except Exception as error:
        return "no", f"launcher {point.name!r} ({point.value}) raised {error!r}"
    if reason is not None:
        return "no", f"{launcher.summary}; but {reason}"
    default = " (the default)" if point.name == registry.DEFAULT else ""
    return "yes", f"{launcher.summary}{default}"
