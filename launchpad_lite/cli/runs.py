"""`lp-launch ps`, `status` and `stop`: runs from any terminal."""

from __future__ import annotations

import contextlib
import sys
import time
from concurrent import futures
from typing import TYPE_CHECKING

from launchpad_lite import tables
from launchpad_lite.cli import calls, text, views
from launchpad_lite.cli.commands import CommandParser
from launchpad_lite.cli.sight import Sight
from launchpad_lite.errors import CallError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from launchpad_lite.cli.seen import SeenRun
    from launchpad_lite.cli.views import View
    from launchpad_lite.runtime.status import NodeStatus

_UP = "running"
_OVER = ("done", "failed")
_THREADS = 8


def ps(arguments: Sequence[str]) -> int:
    """Print the runs.

    Args:
      arguments: the command's.

    Returns:
      The exit code.

    Raises:
      UsageError: the arguments are wrong.
      LauncherUnavailableError: there is no such Ray cluster here.
    """
    parser = CommandParser("ps")
    parser.add_argument("-a", "--all", action="store_true", help="those that have ended too")
    parser.add_ray_address()
    options = parser.parse_args(arguments)
    with Sight(options.ray_address) as sight, futures.ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(views.look, sight.runs()))
    every = options.all
    shown = [view for view in found if every or not view.has_ended]
    if shown:
        sys.stdout.write(f"{table(shown, time.time())}\n")
    else:
        ended = "" if every or not found else f"; {len(found)} ended: lp-launch ps --all"
        sys.stderr.write(f"no runs{ended}\n")
    return ExitCode.OK


def table(shown: Iterable[View], now: float) -> str:
    """Return a table of runs.

    Args:
      shown: the runs.
      now: in seconds since 1970.
    """
    rows = [("RUN", "PROGRAM", "LAUNCHER", "PHASE", "UP", "AGE")]
    for view in shown:
        status = view.status
        if status is None:
            rows.append((view.run.run_id, "?", "?", view.phase, "?", "?"))
            continue
        gone = view.has_ended or view.phase == views.LOST
        up = 0 if gone else sum(node.state == _UP for node in status.nodes)
        rows.append(
            (
                view.run.run_id,
                status.program,
                status.launcher,
                view.phase,
                f"{up}/{len(status.nodes)}",
                text.age(now - status.started),
            )
        )
    return tables.table(rows)


def status(arguments: Sequence[str]) -> int:
    """Print where a run and each of its nodes are.

    Args:
      arguments: the command's.

    Returns:
      The exit code.

    Raises:
      UsageError: the arguments are wrong, or there is no such run.
      ControllerLost: the calls of a run were asked for whose process is gone.
      LauncherUnavailableError: there is no such Ray cluster here.
    """
    parser = CommandParser("status")
    parser.add_run()
    parser.add_argument("--calls", action="store_true", help="the calls between nodes instead")
    parser.add_ray_address()
    options = parser.parse_args(arguments)
    with Sight(options.ray_address) as sight:
        run = sight.find(options.run)
        if options.calls:
            text_of_it = calls.describe(views.connect(run).metrics())
        else:
            run.refresh()
            text_of_it = describe(views.look(run, patiently=True), time.time())
    sys.stdout.write(f"{text_of_it}\n")
    return ExitCode.OK


def describe(view: View, now: float) -> str:
    """Return all that is known of a run.

    Args:
      view: the run.
      now: in seconds since 1970.
    """
    notes = {
        views.LOST: "its process is gone; this is what it wrote last",
        views.SILENT: "its controller does not answer; this is what it wrote last",
    }
    known = view.status
    note = f" ({notes[view.phase]})" if view.phase in notes else ""
    facts = [("run", view.run.run_id), ("phase", f"{view.phase}{note}")]
    if known is not None:
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(known.started))
        facts += [
            ("reason", known.reason),
            ("error", known.error),
            ("program", known.program),
            ("launcher", known.launcher),
            ("started", f"{clock} ({text.age(now - known.started)} ago)"),
        ]
    facts += [("held by", _holder(view)), ("directory", view.run.place)]
    lines = [f"{name:<10} {value}" for name, value in facts if value]
    if known is not None:
        rows = [("NODE", "STATE", "RUNS", "LISTENS AT")]
        rows += [
            (node.name, _state(node, view), node.title, ", ".join(node.endpoints) or "-")
            for node in known.nodes
        ]
        lines += ["", tables.table(rows)]
        noted = [f"{node.name}: {node.note}" for node in known.nodes if node.note]
        lines += ["", *noted] if noted and not view.has_ended else []
    return "\n".join(lines)


def _holder(view: View) -> str:
    fate = view.run.fate() if view.phase == views.LOST else ""
    return f"{view.run.job} ({fate})" if fate else view.run.job


def _state(node: NodeStatus, view: View) -> str:
    state = views.LOST if view.phase == views.LOST and node.state not in _OVER else node.state
    return f"{state}, restarted {node.restarts}x" if node.restarts else state


def stop(arguments: Sequence[str]) -> int:
    """Ask for the end of a run, and wait for it.

    Args:
      arguments: the command's.

    Returns:
      The exit code.

    Raises:
      UsageError: the arguments are wrong, or there is no such run.
      ControllerLost: the run's process is gone.
      LauncherUnavailableError: there is no such Ray cluster here.
    """
    parser = CommandParser("stop")
    parser.add_run()
    parser.add_argument("--now", action="store_true", help="without notice and grace")
    parser.add_ray_address()
    options = parser.parse_args(arguments)
    with Sight(options.ray_address) as sight:
        _stop(sight.find(options.run), immediately=options.now)
    return ExitCode.OK


def _stop(run: SeenRun, *, immediately: bool) -> None:
    view = views.look(run)
    if view.has_ended:
        sys.stderr.write(f"{run.run_id} has ended before\n")
        return
    done = run.cancel(silent=view.phase == views.SILENT, immediately=immediately)
    if done:
        sys.stderr.write(f"{run.run_id}: {done}\n")
        return
    line = views.connect(run)
    changes = views.watch(run, line)  # from before the end, so that it cannot be missed
    last = next(changes)
    with contextlib.suppress(CallError):  # it is ending already, or it is lost: what follows tells
        line.stop(f"lp-launch stop{' --now' * immediately}", immediately=immediately)
    for status in changes:
        if status.phase != last.phase:
            sys.stderr.write(f"{run.run_id}: {status.phase}\n")
        last = status
    if last.error:
        sys.stderr.write(f"{last.error}\n")
