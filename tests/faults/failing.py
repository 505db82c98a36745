"""Nodes that fail: each way to fail, in each phase of a node's life."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import launchpad_lite as lp

PATIENCE_S = 60.0


def raise_error() -> None:
    raise ValueError("boom")


def leave() -> None:
    sys.exit(3)


def die() -> None:
    os._exit(7)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(PATIENCE_S)  # until it has come


Way = Callable[[], None]
WAYS: dict[str, Way] = {"raise": raise_error, "exit": leave, "die": die, "kill": kill}


class FailsWhenUnpickled:
    def __init__(self, way: str) -> None:
        self._way = way

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return _unpickle, (self._way,)


def _unpickle(way: str) -> None:
    WAYS[way]()


class Base:
    """Fails nowhere."""

    def __init__(self, way: str) -> None:
        self._way = way

    def fail(self) -> None: ...


class InConstructor(Base):
    def __init__(self, way: str) -> None:
        WAYS[way]()


class InRun(Base):
    def run(self) -> None:
        WAYS[self._way]()


class InMethod(Base):
    def fail(self) -> None:
        WAYS[self._way]()


class InRestore(Base):
    def restore(self, path: str) -> None:
        WAYS[self._way]()

    def save(self, path: str) -> None: ...


class InSave(Base):
    def restore(self, path: str) -> None: ...

    def save(self, path: str) -> None:
        WAYS[self._way]()


class InSaveOfOneThatRuns(InSave):
    def run(self) -> None:
        lp.wait_for_stop()


class InStopHandler(Base):
    def __init__(self, way: str) -> None:
        lp.register_stop_handler(WAYS[way])


class FailsDuringCall:
    """Fails while another node waits for an answer."""

    def __init__(self, way: str) -> None:
        self._way = way
        self._called = threading.Event()

    def hang(self) -> None:
        self._called.set()
        lp.wait_for_stop()

    def run(self) -> None:
        self._called.wait(PATIENCE_S)
        WAYS[self._way]()


def call_and_tell(bad: FailsDuringCall, path: Path) -> None:
    """Tell what became of a call, and end well."""
    lp.stop_event()
    try:
        bad.hang()
    except lp.Unavailable as error:
        path.write_text(f"{error} {error.maybe_executed}")


def call_and_hope(bad: FailsDuringCall) -> None:
    """Call, and let the error be the node's own."""
    bad.hang()
