"""The nodes of the launcher suite that use a replay buffer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from launchpad_lite import launching
from launchpad_lite.context import get_context
from launchpad_lite.errors import Unavailable
from launchpad_lite.replay import checkpointers
from launchpad_lite.replay.core.table import Table
from launchpad_lite.replay.service.client import Client
from launchpad_lite.testing.conformance.launcher_parts.nodes import PATIENCE_S, note

if TYPE_CHECKING:
    from pathlib import Path

QUEUE = "queue"
SIZE = 4


def make_tables() -> list[Table]:
    """Return the tables of the replay buffer: a queue."""
    return [Table.queue(QUEUE, SIZE)]


def step(number: int) -> dict[str, object]:
    """Return an item with a number in it."""
    return {"number": number, "vector": np.full(3, number, np.float32)}


def insert(client: Client, count: int) -> None:
    """Insert items; there is room for `SIZE` that nobody has sampled."""
    for number in range(count):
        client.insert(step(number), {QUEUE: 1.0})


def insert_by_name(name: str, count: int) -> None:
    """Insert items into a replay buffer that is found by its name in the run."""
    insert(Client(name), count)


def read(client: Client) -> int:
    """Sample one item; return its number."""
    (sample,) = next(client.sample(QUEUE))
    number, vector = sample.data
    assert vector.tolist() == [number] * 3
    return int(number)


def sum_up(client: Client, count: int, path: Path) -> None:
    """Sample items, note their sum, and stop."""
    note(path, str(sum(read(client) for _ in range(count))))
    launching.stop()


class Reader:
    """Waits for items, even when the run stops."""

    def __init__(self, client: Client, path: Path) -> None:
        self._client = client
        self._path = path

    def run(self) -> None:
        launching.stop_event()  # so it gets its time
        try:
            read(self._client)
        except Unavailable as error:
            note(self._path, str(error))


class LateWriter:
    """Writes what it has when the run stops."""

    def __init__(self, client: Client, path: Path) -> None:
        self._client = client
        self._path = path

    def run(self) -> None:
        stopped = launching.stop_event()  # from here on it gets its time
        note(self._path, "waits")
        stopped.wait(PATIENCE_S)
        self._client.insert(step(7), {QUEUE: 1.0})
        note(self._path, str(read(self._client)))


class Notebook(checkpointers.CheckpointerBase):
    """A checkpointer of a user's own, which keeps no items, but notes what it is asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, tables: object, store: object) -> str:
        note(self._path, "saved")
        return str(self._path)

    def load(self, tables: object, store: object) -> None:
        note(self._path, f"loaded {get_context().incarnation}")
