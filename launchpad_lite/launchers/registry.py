"""The launchers by name: built-in ones, and those that other packages declare."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from launchpad_lite.errors import LauncherUnavailableError, UsageError, nearest

if TYPE_CHECKING:
    import importlib.metadata

    from launchpad_lite.launchers.base import Launcher

GROUP = "launchpad_lite.launchers"
DEFAULT = "thread"

_BUILT_IN = {
    "thread": "launchpad_lite.launchers.thread:ThreadLauncher",
    "process": "launchpad_lite.launchers.process:ProcessLauncher",
    "ray": "launchpad_lite.launchers.ray.launcher:RayLauncher",
    "slurm": "launchpad_lite.launchers.slurm.launcher:SlurmLauncher",
}


def entry_points() -> dict[str, importlib.metadata.EntryPoint]:
    """Return every launcher's entry point by name; a built-in one cannot be replaced."""
    import importlib.metadata  # which workers do without

    points = _built_in()
    for point in importlib.metadata.entry_points(group=GROUP):
        points.setdefault(point.name, point)
    return points


def _built_in() -> dict[str, importlib.metadata.EntryPoint]:
    import importlib.metadata

    return {
        name: importlib.metadata.EntryPoint(name, value, GROUP) for name, value in _BUILT_IN.items()
    }


def load(point: importlib.metadata.EntryPoint) -> Launcher:
    """Return the launcher behind an entry point.

    Raises:
      LauncherUnavailableError: it cannot be imported.
    """
    try:
        return cast("type[Launcher]", point.load())()
    except Exception as error:
        message = f"launcher {point.name!r} ({point.value}) cannot be imported: {error}"
        raise LauncherUnavailableError(message) from error


def get(name: str) -> Launcher:
    """Return a launcher that can be used here.

    Raises:
      UsageError: there is none of that name.
      LauncherUnavailableError: it needs something that is not here.
    """
    points = _built_in()
    if name not in points:  # looking through every installed package takes milliseconds
        points = entry_points()
    if name not in points:
        message = f"unknown launcher {name!r}{nearest(name, points)}"
        raise UsageError(message)
    launcher = load(points[name])
    reason = launcher.unavailable()
    if reason is not None:
        message = f"launcher {name!r} cannot be used here: {reason}"
        raise LauncherUnavailableError(message)
    return launcher
