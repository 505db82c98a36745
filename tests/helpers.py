"""What several suites share: backends that may be missing, and the check that nothing is left."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

T = TypeVar("T")

STATE_VARIABLE = "XDG_STATE_HOME"
THREAD_PREFIX = "lp-"

_POLL_SECONDS = 0.02
# Helpers of the standard library and joblib that live as long as the process that needed them.
_ALLOWED_CHILDREN = ("resource_tracker", "forkserver")


def require_backend(name: str, reason: str | None) -> None:
    """Leaves the test if a backend cannot be used: skipped on a laptop, failed where CI=true.

    Args:
        name: The backend, as its user calls it: "ray", "slurm".
        reason: Why it cannot be used here, or None if it can.
    """
    if reason is None:
        return
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{name} must be available in CI, and is not: {reason}", pytrace=False)
    pytest.skip(f"{name} is not available: {reason}")


def unchecked(make: Callable[..., T]) -> Callable[..., T]:
    """Returns the same, with arguments that type checkers would refuse."""
    return make


def run_python(
    *arguments: str, cwd: Path, seconds: float, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs this interpreter to its end, with nothing to read; its two outputs come as one.

    Args:
        arguments: What it is told.
        cwd: Its working directory.
        seconds: How long it may take.
        path: What it imports from, beside what is installed.
    """
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ | ({} if path is None else {"PYTHONPATH": str(path)}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )


class Belongings:
    """Finds what a test started and left running, by ownership.

    Ours are threads named `lp-...`, descendants of this process, and processes anywhere that
    inherited the test's own state directory, which also finds those that outlived their parent.
    What ran when the object was made (a fixture of a wider scope) is not counted, nor is what
    `spared` returns at the end.
    """

    def __init__(
        self, state_home: Path, spared: Callable[[], set[psutil.Process]] = set[psutil.Process]
    ) -> None:
        self._state_home = str(state_home)
        self._spared = spared
        self._threads = set(threading.enumerate())
        self._processes = _descendants()

    def leftovers(self, grace: float) -> list[str]:
        """Waits until nothing is left, `grace` seconds at most; describes what is, and kills it.

        Threads cannot be killed; they are reported with their stacks.
        """
        deadline = time.monotonic() + grace
        for thread in self._live_threads():
            thread.join(max(0.0, deadline - time.monotonic()))
        while (processes := self._live_processes()) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)  # orphans are not ours to wait for
        threads = self._live_threads()
        found = [_describe_thread(thread) for thread in threads]
        found += [_describe_process(process) for process in processes]
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.kill()
                process.wait(1)
        return found

    def _live_threads(self) -> list[threading.Thread]:
        return [
            thread
            for thread in threading.enumerate()
            if thread.name.startswith(THREAD_PREFIX) and thread not in self._threads
        ]

    def _live_processes(self) -> list[psutil.Process]:
        processes = (_descendants() | self._inheritors()) - self._processes - self._spared()
        return sorted(
            (process for process in processes if not _is_allowed(process)),
            key=lambda process: process.pid,
        )

    def _inheritors(self) -> set[psutil.Process]:
        found: set[psutil.Process] = set()
        for process in psutil.process_iter():
            if process.pid == os.getpid():
                continue
            with contextlib.suppress(psutil.Error):
                if process.environ().get(STATE_VARIABLE) == self._state_home:
                    found.add(process)
        return found


def _descendants() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def _is_allowed(process: psutil.Process) -> bool:
    try:
        command = " ".join(process.cmdline())
    except psutil.ZombieProcess:
        return False
    except psutil.NoSuchProcess:
        return True  # gone since it was listed
    except psutil.AccessDenied:
        return False
    return any(name in command for name in _ALLOWED_CHILDREN)


def _describe_thread(thread: threading.Thread) -> str:
    frames = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    frame = frames.get(thread.ident or 0)
    stack = "".join(traceback.format_stack(frame)) if frame else "  (it ended just now)\n"
    return f"thread {thread.name}{' (daemon)' if thread.daemon else ''}, now at:\n{stack.rstrip()}"


def _describe_process(process: psutil.Process) -> str:
    text = f"process {process.pid}"
    with contextlib.suppress(psutil.Error):
        if process.status() == psutil.STATUS_ZOMBIE:
            return f"{text}, which ended and was never waited for"
        text += f", child of {process.ppid()}: {shlex.join(process.cmdline())}"
    return text
