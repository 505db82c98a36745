"""Where the output of nodes that are processes is shown, beside their log files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from launchpad_lite.errors import UsageError

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Mapping, Sequence

CURRENT = "current_terminal"
FILES = "output_to_files"
TMUX = "tmux_session"
_WINDOWS: Mapping[str, Callable[[str], list[str]]] = {
    "xterm": lambda title: ["xterm", "-T", title, "-e"],
    "gnome-terminal": lambda title: ["gnome-terminal", "--title", title, "--"],
}
TERMINALS = (CURRENT, FILES, TMUX, *_WINDOWS)

_VIEWER = """tail -n +1 -F "$1" 2>/dev/null &
while [ -e "$2" ]; do sleep 1; done
sleep 1; kill $!
printf '%s' "-- the run has ended; Enter closes this --"
read -r _
"""
"""Shows one node's log file until the run has ended, and stays for whoever reads it."""


def check(terminal: str, session: str | None = None, *, attach: bool = False) -> None:
    """Find out, before anything starts, whether a terminal can be used.

    Args:
      terminal: one of `TERMINALS`.
      session: a name for the tmux session.
      attach: whether the session is to be opened in the tmux that this process is in.

    Raises:
      UsageError: its program is not installed, or there is a session of that name.
    """
    program = "tmux" if terminal == TMUX else terminal
    if terminal in (TMUX, *_WINDOWS) and shutil.which(program) is None:
        message = (
            f"terminal {terminal!r}: the program {program!r} is not installed, or not in PATH. "
            f"Install it, or use {CURRENT!r} or {FILES!r}."
        )
        raise UsageError(message)
    if terminal == TMUX and attach and "TMUX" not in os.environ:
        message = "tmux_open_window: this process is not in a tmux; leave it out, or start tmux."
        raise UsageError(message)
    if terminal == TMUX and session is not None:
        if not re.fullmatch(r"\w[\w.:-]*", session):  # tmux would run commands in a name
            message = (
                f"tmux_session_name: {session!r} cannot be a session's name. Give letters, digits, "
                "'_' and '-'."
            )
            raise UsageError(message)
        name = _session_name(session)
        if _run("tmux", "has-session", "-t", f"={name}").returncode == 0:
            message = (
                f"there is a tmux session {name!r} already: end it (tmux kill-session -t {name}), "
                "or give another name."
            )
            raise UsageError(message)


def open_windows(
    terminal: str,
    logs: Mapping[str, pathlib.Path],
    alive: pathlib.Path,
    session: str,
    *,
    attach: bool = False,
) -> None:
    """Show each node's log file in a window of its own; what goes wrong is a warning.

    Args:
      terminal: a terminal of windows.
      logs: the log file of each node, by name.
      alive: what is there as long as the run is.
      session: a name for the tmux session.
      attach: open the session in the tmux that this process is in.
    """
    viewers = {
        name: ["sh", "-c", _VIEWER, "sh", str(log), str(alive)] for name, log in logs.items()
    }
    if terminal != TMUX:
        for name, viewer in viewers.items():
            # the windows are the user's, and stay: a shell hands them over and ends
            command = [*_WINDOWS[terminal](name), *viewer]
            _run("sh", "-c", '"$@" >/dev/null 2>&1 &', "sh", *command)
        return
    name = _session_name(session)
    result = _run("tmux", *_tmux_commands(name, viewers))
    if result.returncode == 0 and attach:
        show = ["env", "-u", "TMUX", "tmux", "attach-session", "-t", f"={name}"]
        result = _run("tmux", "new-window", "-n", name, *show)
    if result.returncode == 0:
        sys.stderr.write(f"the nodes' output is in tmux: tmux attach -t {name}\n")
    else:
        why = result.stderr.strip() or f"exit status {result.returncode}"
        sys.stderr.write(f"warning: tmux shows no output: {why}; it is in the log files\n")


def _tmux_commands(session: str, viewers: Mapping[str, Sequence[str]]) -> list[str]:
    commands: list[str] = []
    for name, viewer in viewers.items():
        if commands:
            commands += [";", "new-window", "-d", "-t", f"={session}:", "-n", name, *viewer]
        else:
            commands += ["new-session", "-d", "-s", session, "-n", name, *viewer]
    return commands


def _session_name(name: str) -> str:
    return re.sub(r"[.:]", "_", name)  # as tmux would


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
