"""Processes and their descendants: adopting them, and ending them all."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import pathlib
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    """Make orphaned descendants this process's children (Linux only; elsewhere nothing happens).

    An agent and each of its workers are subreapers. What a worker leaves behind, double-forked or
    not, stays the worker's while it lives and falls to the agent when it dies, so the agent knows
    that it belonged to a worker that is gone.
    """
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Have this process killed when its parent is (Linux only; elsewhere nothing happens)."""
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def signal_quietly(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def kill_descendants(pid: int | None = None) -> None:
    """Kill all descendants of a process (None: this one), not the process itself."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children(recursive=True):
            signal_quietly(child.pid, signal.SIGKILL)


def kill_tree(pid: int) -> None:
    """Kill a process and its descendants, in an order in which none of them gets away."""
    signal_quietly(pid, signal.SIGSTOP)  # it must not make new ones meanwhile
    kill_descendants(pid)
    signal_quietly(pid, signal.SIGKILL)


def _children() -> list[int]:
    """Return this process's children; on Linux without a look at every process there is."""
    try:
        tasks = pathlib.Path("/proc/self/task")
        texts = [(task / "children").read_text() for task in tasks.iterdir()]
    except OSError:
        import psutil

        return [child.pid for child in psutil.Process().children()]
    return [int(pid) for text in texts for pid in text.split()]


def end_orphans(known: Container[int]) -> None:
    """Kill and reap this process's children, and theirs, but those that are known.

    The children of one that was killed fall to this process, so this goes on until there are none.
    """
    while True:
        orphans = [pid for pid in _children() if pid not in known]
        if not orphans:
            return
        for pid in orphans:
            kill_tree(pid)
        for pid in orphans:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
