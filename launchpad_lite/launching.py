"""Launching a program, planning one, and stopping the one that the caller is in."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from launchpad_lite import context, flags, source, validation
from launchpad_lite.compiling import compile_program
from launchpad_lite.config import RunConfig
from launchpad_lite.errors import ContextError, ExitCode, UsageError, describe_os_error, nearest
from launchpad_lite.launch_type import LaunchType, launch_type_named, launcher_of
from launchpad_lite.launchers import registry
from launchpad_lite.launchers.base import LaunchOptions
from launchpad_lite.program import Program
from launchpad_lite.resources import with_texts
from launchpad_lite.runtime.signals import signals
from launchpad_lite.stop_token import call_handler

if TYPE_CHECKING:
    import threading
    import unittest
    from collections.abc import Callable, Sequence

    from launchpad_lite.planning import LaunchPlan
    from launchpad_lite.python_process import PythonProcess
    from launchpad_lite.resources import Resources
    from launchpad_lite.runtime.run import Run

_CONFIG = validation.optional(validation.instance(RunConfig, "an lp.RunConfig, or None"))
_OPTIONS = validation.optional(validation.instance(LaunchOptions, "an lp.LaunchOptions, or None"))
_BY_GROUP = validation.optional(validation.instance(Mapping, "a dict by the groups' labels"))

on_launch: list[Callable[[Run], object]] = []
"""Are told of each run that `launch` starts in this process."""

_outside: list[Callable[[], object]] = []
"""The stop handlers that were registered outside any node."""


def launch(
    program: Program | Sequence[Program] | None = None,
    launcher: str | LaunchType | None = None,
    xm_resources: object = None,  # noqa: ARG001 - as in the original
    *,
    config: RunConfig | None = None,
    resources: Mapping[str, Resources] | None = None,
    local_resources: Mapping[str, PythonProcess | None] | None = None,
    terminal: str | None = None,
    options: LaunchOptions | None = None,
    programs: Program | Sequence[Program] | None = None,
    launch_type: str | LaunchType | None = None,
    test_case: unittest.TestCase | None = None,
    serialize_py_nodes: bool | None = None,
) -> Run:
    """Launch a program.

    Args:
      program: the program.
      launcher: `thread`, `process`, or another that `lp-launch list` names; None for what the
        `--lp_launcher` or `--lp_launch_type` flag says, or else `thread`.
      xm_resources: accepted as in the original, and not used.
      config: the run's settings; None for what the flags say.
      resources: what the nodes of each group ask for, by label; the `--lp_resources` flag has the
        last word.
      local_resources: how the processes of each group are started, by label; what names no group
        is a warning.
      terminal: where nodes that are processes show their output, see `LaunchOptions`; None for
        what `options`, the `--lp_terminal` flag or `LAUNCHPAD_LAUNCH_LOCAL_TERMINAL` say.
      options: what the launcher shows and keeps; None for what the flags say.
      programs: the original's name of `program`; of a list, the first is launched.
      launch_type: the original's name of `launcher`; a `LaunchType` or its value.
      test_case: the run is stopped when this test ends, and what failed in it fails the test.
      serialize_py_nodes: check that every node can be pickled, where none has to be.

    Returns:
      The run, once its workers have been started; `wait()` for its end.

    Raises:
      ProgramError: the program cannot be launched as it is.
      UsageError: there is no such launcher or group, or files of the run cannot be written.
      LauncherUnavailableError: the launcher needs something that is not here.
    """
    source.check_launch_allowed()
    source.parse_flags()
    with validation.within("the launch"):
        _OPTIONS("options", options)
    options = options or _options_of_flags()
    if terminal is not None:
        options = dataclasses.replace(options, terminal=terminal)
    compiled = plan(
        _the_program(program if programs is None else programs),
        launch_type if launcher is None else launcher,
        config=config,
        resources=resources,
        local_resources=local_resources,
        pickle_nodes=bool(serialize_py_nodes),
    )
    chosen = registry.get(compiled.launcher)
    if flags.value(flags.DRY_RUN):
        sys.stdout.write(f"{chosen.describe(compiled, options)}\n")
        raise SystemExit(ExitCode.OK)
    for warning in (*compiled.warnings, *_without_effect(compiled.launcher)):
        sys.stderr.write(f"warning: {warning}\n")
    try:
        with signals.held():  # better a whole run that stops than half a run
            run = chosen.launch(compiled, options)
    except OSError as error:
        message = f"the run cannot be launched: {describe_os_error(error)}"
        raise UsageError(message) from error
    run.on_stop(_call_outside)
    if test_case is not None:
        test_case.addCleanup(run.cleanup_after_test, test_case)
    for tell in on_launch:
        tell(run)
    return run


def _without_effect(launcher: str) -> list[str]:
    """Return a warning of flags that another launcher would heed, if any were given."""
    return [
        f"{name} has no effect with the launcher {launcher}: it is for --launcher={owner}"
        for name, owner in flags.given_for_others(launcher)
    ]


def _options_of_flags() -> LaunchOptions:
    variable = os.environ.get(flags.TERMINAL_VARIABLE)
    return LaunchOptions(
        terminal=flags.value(flags.TERMINAL) or variable or LaunchOptions.terminal,
        color=flags.value(flags.COLOR),
        tmux_session_name=flags.value(flags.TMUX_SESSION_NAME),
        tmux_open_window=flags.value(flags.TMUX_OPEN_WINDOW),
    )


def _the_program(programs: Program | Sequence[Program] | None) -> Program:
    """Return the program that is meant; the original takes several and launches the first.

    Raises:
      UsageError: it is none.
    """
    if isinstance(programs, list | tuple):
        if len(programs) > 1:
            sys.stderr.write(f"warning: {len(programs)} programs were given; launching the first\n")
        programs = programs[0] if programs else None
    if not isinstance(programs, Program):
        message = f"an lp.Program is needed, not {programs!r}."
        raise UsageError(message)
    return programs


def plan(
    program: Program,
    launcher: str | LaunchType | None = None,
    *,
    config: RunConfig | None = None,
    resources: Mapping[str, Resources] | None = None,
    local_resources: Mapping[str, PythonProcess | None] | None = None,
    pickle_nodes: bool = False,
) -> LaunchPlan:
    """Check a program and return its plan; nothing is started.

    Args:
      program: the program.
      launcher: as in `launch`.
      config: as in `launch`.
      resources: as in `launch`.
      local_resources: as in `launch`.
      pickle_nodes: check that every node can be pickled, where none has to be.

    Raises:
      ProgramError: the program cannot be launched as it is; all of its errors are named.
      UnpicklableError: a node cannot be pickled.
      UsageError: there is no such launcher, or an argument has another type.
    """
    with validation.within("the launch"):
        _CONFIG("config", config)
        _BY_GROUP("resources", resources)
        _BY_GROUP("local_resources", local_resources)
    chosen = launcher or flags.value(flags.LAUNCHER) or flags.value(flags.LAUNCH_TYPE)
    launch_type = launch_type_named(chosen)
    return compile_program(
        program,
        registry.get(launcher_of(chosen)).capabilities(),
        config=config or flags.run_config(),
        resources=with_texts(resources or {}, flags.value(flags.RESOURCES)),
        processes=local_resources,
        pickle_nodes=pickle_nodes,
        launch_type=None if launch_type is None else launch_type.value,
    )


def make_program_stopper(launch_type: str | LaunchType) -> ProgramStopper:
    """Return what stops the program that the caller of it is in, as in the original.

    Args:
      launch_type: accepted as in the original; the stopper finds out by itself where it is.

    Raises:
      UsageError: there is no such launch type.
    """
    try:
        LaunchType(launch_type)
    except ValueError as error:
        known = [each.value for each in LaunchType]
        message = f"unknown launch type {launch_type!r}{nearest(str(launch_type), known)}"
        raise UsageError(message) from error
    return ProgramStopper()


class ProgramStopper:
    """Stops the program of whoever calls it; can be given to nodes."""

    def __call__(self, mark_as_completed: bool = False) -> None:  # noqa: FBT001, FBT002 - as in the original
        """Stop the program; returns at once.

        Args:
          mark_as_completed: accepted as in the original, and not used.

        Raises:
          ContextError: the calling thread belongs to no node, and this process launched no
            single run.
        """
        stop()


def stop() -> None:
    """Stop the program that the calling node belongs to; returns at once.

    Raises:
      ContextError: the calling thread belongs to no node, and this process launched no single run.
    """
    node = _node_or_none()
    scope = (
        context.scope_for(what="lp.stop()", through="run.stop()") if node is None else node.scope
    )
    who = f"node {node.name}" if node is not None else "the launching process"
    scope.request_stop(f"{who} called lp.stop()")


def _node_or_none() -> context.Context | None:
    try:
        return context.get_context()
    except ContextError:
        return None


def wait_for_stop(timeout_secs: float | None = None) -> bool:
    """Wait until the program stops.

    Args:
      timeout_secs: None for no limit.

    Returns:
      Whether the program stops.

    Raises:
      ContextError: the calling thread belongs to no node.
      UsageError: `timeout_secs` is no number.
    """
    stop = context.get_context().scope.stop
    with validation.within("lp.wait_for_stop"):
        return stop.wait(validation.optional(validation.seconds)("timeout_secs", timeout_secs))


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
    """Call a function once, in another thread, when the program stops; one after another.

    Outside a node this is the next program to stop of those that this process launches.

    Raises:
      UsageError: it is no function.
    """
    validation.function(handler, "lp.register_stop_handler")
    node = _node_or_none()
    if node is not None:
        node.scope.stop.register(handler)
    else:
        _outside.append(handler)


def unregister_stop_handler(handler: Callable[[], Any]) -> None:
    """Forget a function that `register_stop_handler` was given; one that was not is no error."""
    node = _node_or_none()
    if node is not None:
        node.scope.stop.unregister(handler)
    elif handler in _outside:
        _outside.remove(handler)


def _call_outside() -> None:
    handlers, _outside[:] = list(_outside), []
    for handler in handlers:
        call_handler(handler)
