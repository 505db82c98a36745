"""Launching a program, planning one, and stopping the one that the caller is in."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from launchpad_lite import context, flags, source
from launchpad_lite.errors import ContextError, ExitCode
from launchpad_lite.launchers import registry
from launchpad_lite.launchers.base import LaunchOptions
from launchpad_lite.planning import LaunchPlan, compile_program

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from launchpad_lite.config import RunConfig
    from launchpad_lite.program import Program
    from launchpad_lite.resources import Resources
    from launchpad_lite.runtime.run import Run

on_launch: list[Callable[[Run], object]] = []
"""Are told of each run that `launch` starts in this process."""


def launch(
    program: Program,
    launcher: str | None = None,
    *,
    config: RunConfig | None = None,
    resources: Mapping[str, Resources] | None = None,
    options: LaunchOptions | None = None,
) -> Run:
    """Launch a program.

    Args:
      program: the program.
      launcher: `thread`, `process`, or another that `lp-launch list` names; None for what the
        `--launcher` flag says, or else `thread`.
      config: the run's settings; None for what the flags say.
      resources: what the nodes of each group ask for, by label.
      options: what the launcher shows and keeps.

    Returns:
      The run, once its workers have been started; `wait()` for its end.

    Raises:
      ProgramError: the program cannot be launched as it is.
      UsageError: there is no such launcher or group.
      LauncherUnavailableError: the launcher needs something that is not here.
    """
    source.check_launch_allowed()
    name = _launcher_name(launcher)
    compiled = plan(program, name, config=config, resources=resources)
    if flags.value(flags.DRY_RUN):
        sys.stdout.write(f"{compiled}\n")
        raise SystemExit(ExitCode.OK)
    for warning in compiled.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    run = registry.get(name).launch(compiled, options or LaunchOptions())
    for tell in on_launch:
        tell(run)
    return run


def plan(
    program: Program,
    launcher: str | None = None,
    *,
    config: RunConfig | None = None,
    resources: Mapping[str, Resources] | None = None,
) -> LaunchPlan:
    """Check a program and return its plan; nothing is started.

    Args:
      program: the program.
      launcher: as in `launch`.
      config: as in `launch`.
      resources: as in `launch`.

    Raises:
      ProgramError: the program cannot be launched as it is; all of its errors are named.
    """
    capabilities = registry.get(_launcher_name(launcher)).capabilities()
    return compile_program(
        program, capabilities, config=config or flags.run_config(), resources=resources
    )


def _launcher_name(launcher: str | None) -> str:
    return launcher or flags.value(flags.LAUNCHER) or registry.DEFAULT


def stop() -> None:
    """Stop the program that the calling node belongs to; returns at once.

    Raises:
      ContextError: the calling thread belongs to no node, and this process launched no single run.
    """
    node = _node_or_none()
    scope = node.scope if node is not None else context.scope_for()
    who = f"node {node.name}" if node is not None else "the launching process"
    scope.request_stop(f"{who} called lp.stop()")


def _node_or_none() -> context.Context | None:
    try:
        return context.get_context()
    except ContextError:
        return None


def wait_for_stop(timeout: float | None = None) -> bool:
    """Wait until the program stops.

    Args:
      timeout: seconds; None for no limit.

    Returns:
      Whether the program stops.

    Raises:
      ContextError: the calling thread belongs to no node.
    """
    return context.get_context().scope.stop.wait(timeout)


def stop_event() -> threading.Event:
    """Return an event that is set when the program stops.

    Raises:
      ContextError: the calling thread belongs to no node.
    """
    return context.get_context().scope.stop.event


def seconds_left() -> float | None:
    """Return the seconds until the node must have ended; None while the program goes on.

    Raises:
      ContextError: the calling thread belongs to no node.
    """
    return context.get_context().scope.stop.seconds_left()


def register_stop_handler(handler: Callable[[], Any]) -> None:
    """Call a function, in a thread of its own, when the program stops.

    Raises:
      ContextError: the calling thread belongs to no node.
    """
    context.get_context().scope.stop.register(handler)


def unregister_stop_handler(handler: Callable[[], Any]) -> None:
    """Forget a function that `register_stop_handler` was given.

    Raises:
      ContextError: the calling thread belongs to no node.
    """
    context.get_context().scope.stop.unregister(handler)
