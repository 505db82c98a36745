"""The nodes of the launcher suite that fail, each in its own way."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from launchpad_lite.context import get_context
from launchpad_lite.launching import register_stop_handler
from launchpad_lite.testing.conformance.launcher_parts.nodes import Board, ConformanceError, Echo

if TYPE_CHECKING:
    from collections.abc import Callable


class FailsInConstructor:
    def __init__(self) -> None:
        print("said before", flush=True)  # noqa: T201 - goes to the log
        raise ConformanceError("boom", 1)


class FailsInRun:
    def __init__(self, way: Callable[[], object]) -> None:
        self._way = way

    def run(self) -> None:
        print("said before", flush=True)  # noqa: T201 - goes to the log
        self._way()


class Frail(Echo):
    """Fails when it is told to."""

    def __init__(self, board: Board) -> None:
        self._broken = False
        self._told = threading.Event()
        board.write(f"incarnation {get_context().incarnation}")

    def break_down(self) -> None:
        self._broken = True
        self._told.set()

    def run(self) -> None:
        register_stop_handler(self._told.set)
        self._told.wait()
        if self._broken:
            raise ConformanceError("boom", 1)


def fail() -> None:
    """Raise."""
    print("said before", flush=True)  # noqa: T201 - goes to the log
    raise ConformanceError("boom", 1)


def exit_3() -> None:
    """Exit as a script does."""
    print("said before", flush=True)  # noqa: T201 - goes to the log
    sys.exit(3)


def exit_hard() -> None:
    """End the process without cleaning up."""
    print("said before", flush=True)  # noqa: T201 - goes to the log
    os._exit(7)


def kill() -> None:
    """End the process by force."""
    print("said before", flush=True)  # noqa: T201 - goes to the log
    os.kill(os.getpid(), signal.SIGKILL)
