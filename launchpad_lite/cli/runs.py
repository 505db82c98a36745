"""`lp-launch ps`, `status` and `stop`: the runs of this user, from any terminal."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from concurrent import futures
from typing import TYPE_CHECKING

from launchpad_lite import tables
from launchpad_lite.cli import calls, text, views
from launchpad_lite.cli.commands import CommandParser
from launchpad_lite.errors import CallError, ControllerLost, ExitCode
from launchpad_lite.runtime import rundir

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
    """
    parser = CommandParser("ps")
    parser.add_argument("-a", "--all", action="store_true", help="those that have ended too")
    every = parser.parse_args(arguments).all
    with futures.ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(views.look, rundir.list_runs()))
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
    """
    parser = CommandParser("status")
    parser.add_run()
    parser.add_argument("--calls", action="store_true", help="the calls between nodes instead")
    options = parser.parse_args(arguments)
    run = views.find(options.run)
    if options.calls:
        sys.stdout.write(f"{calls.describe(views.connect(run).metrics())}\n")
    else:
        view = views.look(run, patiently=True)
        sys.stdout.write(f"{describe(view, time.time())}\n")
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
    owner = view.run.owner()
    if owner is not None and owner.job:
        facts.append(("held by", owner.job))
    facts.append(("directory", str(view.run.path)))
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


def _state(node: NodeStatus, view: View) -> str:
    state = views.LOST if view.phase == views.LOST and node.state not in _OVER else node.state
    return f"{state}, restarted {node.restarts}x" if node.restarts else state


def _cancel(view: View) -> bool:
    """End a run through its scheduler if it has no controller that could; return whether it is."""
    run, owner = view.run, view.run.owner()
    waits = run.rendezvous() is None  # in a queue
    if not (waits or view.phase == views.SILENT) or owner is None or not owner.end():
        return False
    why = "it had not begun" if waits else "its controller does not answer here"
    sys.stderr.write(f"{run.run_id}: {owner.title} is cancelled; {why}\n")
    if waits and view.status is not None:
        reason = "lp-launch stop, while it waited"
        run.write_status(dataclasses.replace(view.status, phase=views.ENDED, reason=reason))
    return True


def _stop_through_owner(view: View) -> int:
    """Have what holds a run end it in order, and wait for that."""
    owner = view.run.owner()
    if owner is not None and not owner.end():
        raise ControllerLost(f"{view.run.run_id}: {owner.title} cannot be told to end")
    last = views.await_end(view.run)
    error = last.status.error if last.status is not None else ""
    sys.stderr.write(f"{view.run.run_id}: {error or last.phase}\n")
    return ExitCode.OK


def stop(arguments: Sequence[str]) -> int:
    """Ask for the end of a run, and wait for it.

    Args:
      arguments: the command's.

    Returns:
      The exit code.

    Raises:
      UsageError: the arguments are wrong, or there is no such run.
      ControllerLost: the run's process is gone.
    """
    parser = CommandParser("stop")
    parser.add_run()
    parser.add_argument("--now", action="store_true", help="without notice and grace")
    options = parser.parse_args(arguments)
    run = views.find(options.run)
    view = views.look(run)
    if view.has_ended:
        sys.stderr.write(f"{run.run_id} has ended before\n")
        return ExitCode.OK
    if views.tells(run):
        return _stop_through_owner(view)
    if _cancel(view):
        return ExitCode.OK
    line = views.connect(run)
    changes = views.watch(run, line)  # from before the end, so that it cannot be missed
    last = next(changes)
    with contextlib.suppress(CallError):  # it is ending already, or it is lost: what follows tells
        line.stop("lp-launch stop", immediately=options.now)
    for status in changes:
        if status.phase != last.phase:
            sys.stderr.write(f"{run.run_id}: {status.phase}\n")
        last = status
    if last.error:
        sys.stderr.write(f"{last.error}\n")
    return ExitCode.OK
