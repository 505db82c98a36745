"""Replay servers of a test, and their clients."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from typing import Any

from launchpad_lite import replay

PATIENCE_S = 30.0

Serve = Callable[..., replay.Client]


@contextlib.contextmanager
def servers() -> Generator[Serve]:
    """Makes a client of a new server with some tables, and stops the servers at the end."""
    started: list[replay.Server] = []

    def start(*tables: replay.Table, **settings: Any) -> replay.Client:
        started.append(replay.Server(list(tables), **settings))
        return started[-1].localhost_client()

    try:
        yield start
    finally:
        for server in started:
            server.stop()


def until(condition: Callable[[], bool]) -> None:
    """Waits for something that happens in a moment."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
