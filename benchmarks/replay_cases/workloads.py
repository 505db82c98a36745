"""What servers and clients do. Both interpreters import it: it needs NumPy and nothing else."""

from __future__ import annotations

import abc
import dataclasses
import itertools
import statistics
import time
from typing import TYPE_CHECKING, Any

from benchmarks.replay_cases.api import SMALL, TableSpec, steps
from benchmarks.replay_cases.side import Job, Side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

BATCH = 256

_FLUSH = 100  # items between two flushes of a writer

_WARM_S = 0.5  # for connections, prefetching, and memory that is used again

_LEAST = 3  # steps that are timed even where the time is too short for them

_BYTES_OF_A_PAGE = 4096


# --- of servers ---


@dataclasses.dataclass(frozen=True)
class Serve(Job):
    """Starts a server, and returns its port.

    Attributes:
      tables: what is served.
      place: the directory of its checkpoints, if any are made.
    """

    tables: list[TableSpec]
    place: str | None

    def __call__(self, side: Side) -> int:
        """See the base class."""
        side.server = side.api.serve(self.tables, self.place)
        port: int = side.server.port
        return port


@dataclasses.dataclass(frozen=True)
class Count:
    """What a table's limiter has counted.

    Attributes:
      time_s: when (`time.monotonic`).
      inserts: so many items.
      samples: so many.
      beyond: how many samples `inserts * samples_per_insert - samples` is outside what it may be.
    """

    time_s: float
    inserts: int
    samples: int
    beyond: float


@dataclasses.dataclass(frozen=True)
class Counted(Job):
    """Returns the `Count` of a table of this process's server."""

    table: str

    def __call__(self, side: Side) -> Count:
        """See the base class."""
        found = side.client(side.server.port).server_info()[self.table].rate_limiter_info
        now = time.monotonic()
        inserts, samples = found.insert_stats.completed, found.sample_stats.completed
        diff = inserts * found.samples_per_insert - samples
        beyond = max(0, diff - found.max_diff, found.min_diff - diff)
        return Count(now, inserts, samples, beyond)


# --- of clients ---


@dataclasses.dataclass(frozen=True)
class Work(Job):
    """Uses a table.

    Attributes:
      port: of the server.
      table: the table's name.
    """

    port: int
    table: str


@dataclasses.dataclass(frozen=True)
class Timed(Work):
    """Does the same step for so many seconds, and returns how many things per second are done."""

    seconds: float

    def __call__(self, side: Side) -> float:
        """See the base class."""
        step = self.begin(side)
        _repeat(step, _WARM_S, 1)
        count, took = _repeat(step, self.seconds, _LEAST)
        return self.amount * count / took

    amount = BATCH

    @abc.abstractmethod
    def begin(self, side: Side) -> Callable[[], object]:
        """Return the step."""


def _repeat(step: Callable[[], object], seconds: float, least: int) -> tuple[int, float]:
    start = now = time.monotonic()
    count = 0
    while count < least or now < start + seconds:
        step()
        count += 1
        now = time.monotonic()
    return count, now - start


def touch(arrays: Any) -> float:
    """Read a number of each page, so that memory that comes late is part of the time."""
    total = 0.0
    for array in arrays:
        total += float(array.reshape(-1)[:: _BYTES_OF_A_PAGE // array.itemsize].sum())
    return total


@dataclasses.dataclass(frozen=True)
class SampleCalls(Timed):
    """Reads samples one after the other from `client.sample`.

    Attributes:
      pages: whether the data is large.
    """

    pages: bool = False

    def begin(self, side: Side) -> Callable[[], object]:
        """See the base class."""
        client = side.client(self.port)

        def step() -> None:
            for sample in client.sample(self.table, BATCH):
                if self.pages:
                    touch(sample[0].data)

        return step


class SampleBatches(Timed):
    """Reads batches of a dataset."""

    def begin(self, side: Side) -> Callable[[], object]:
        """See the base class."""
        batches = side.api.batches("TimestepDataset", self.port, self.table, BATCH)
        return lambda: touch(next(batches).data)


class UpdateCalls(Timed):
    """Reads samples from `client.sample`, and changes their priorities."""

    def begin(self, side: Side) -> Callable[[], object]:
        """See the base class."""
        client, numbers = side.client(self.port), itertools.count()

        def step() -> None:
            keys = _keys(client.sample(self.table, BATCH))
            client.mutate_priorities(self.table, updates=_priorities(keys, numbers))

        return step


class UpdateBatches(Timed):
    """Reads batches of a dataset, and changes the priorities of what is in them."""

    def begin(self, side: Side) -> Callable[[], object]:
        """See the base class."""
        batches = side.api.batches("TimestepDataset", self.port, self.table, BATCH)
        client, numbers = side.client(self.port), itertools.count()

        def step() -> None:
            keys = next(batches).info.key.tolist()
            client.mutate_priorities(self.table, updates=_priorities(keys, numbers))

        return step


class Updates(Timed):
    """Changes priorities: as many in each call, always others."""

    def begin(self, side: Side) -> Callable[[], object]:
        """See the base class."""
        client = side.client(self.port)
        turns = itertools.cycle(_updates(client, self.table, 16))
        return lambda: client.mutate_priorities(self.table, updates=next(turns))


def _priorities(keys: list[int], numbers: Iterator[int]) -> dict[int, float]:
    return {key: 1.0 + (key + next(numbers)) % 100 for key in keys}


def _keys(samples: Iterable[Any]) -> list[int]:
    return [sample[0].info.key for sample in samples]


def _updates(client: Any, table: str, count: int) -> list[dict[int, float]]:
    """Return arguments of `mutate_priorities`, of items from all over the table."""
    numbers = itertools.count()
    return [_priorities(_keys(client.sample(table, BATCH)), numbers) for _ in range(count)]


class Inserts(Timed):
    """Inserts single small items with `client.insert`."""

    amount = 1

    def begin(self, side: Side) -> Callable[[], object]:
        """See the base class."""
        client, data = side.client(self.port), itertools.cycle(steps(SMALL))
        return lambda: client.insert(next(data), {self.table: 1.0})


@dataclasses.dataclass(frozen=True)
class Writes(Timed):
    """Writes items of one step with a `trajectory_writer`.

    Attributes:
      what: `SMALL` or `FRAMES`.
    """

    what: str = SMALL
    amount = _FLUSH

    def begin(self, side: Side) -> Callable[[], object]:
        """See the base class."""
        return _writing(side, self.port, self.table, self.what)


class WritesForever(Work):
    """Writes small items as `Writes` does, until the process is ended."""

    def __call__(self, side: Side) -> None:
        """See the base class."""
        step = _writing(side, self.port, self.table, SMALL)
        while True:
            step()


def _writing(side: Side, port: int, table: str, what: str) -> Callable[[], object]:
    writer = side.client(port).trajectory_writer(num_keep_alive_refs=1)
    data = itertools.cycle(steps(what))

    def step() -> None:
        for _ in range(_FLUSH):
            writer.append(next(data))
            item = [column[-1] for column in writer.history]
            writer.create_item(table, priority=1.0, trajectory=item)
        writer.flush()

    return step


class BatchesForever(Work):
    """Reads batches of a dataset, until the process is ended."""

    def __call__(self, side: Side) -> None:
        """See the base class."""
        batches = side.api.batches("TrajectoryDataset", self.port, self.table, BATCH)
        while True:
            touch(next(batches).data)


@dataclasses.dataclass(frozen=True)
class Fill(Work):
    """Writes items of one step with a `writer`, with priorities from 1 to 100.

    Attributes:
      what: `SMALL` or `FRAMES`.
      count: of the items.
    """

    what: str
    count: int

    def __call__(self, side: Side) -> None:
        """See the base class."""
        data = itertools.cycle(steps(self.what))
        with side.client(self.port).writer(max_sequence_length=1) as writer:
            for number in range(self.count):
                writer.append(next(data))
                writer.create_item(self.table, num_timesteps=1, priority=1.0 + number % 100)


@dataclasses.dataclass(frozen=True)
class Costs(Work):
    """Returns the median seconds of a call of `sample`, and of `mutate_priorities`.

    Attributes:
      calls: of each.
    """

    calls: int

    def __call__(self, side: Side) -> tuple[float, float]:
        """See the base class."""
        client = side.client(self.port)
        found: list[list[Any]] = []
        sample_s = [
            _repeat(lambda: found.append(list(client.sample(self.table, BATCH))), 0, 1)[1]
            for _ in range(self.calls)
        ]
        update_s: list[float] = []
        for samples in found:
            updates = _priorities(_keys(samples), itertools.count())
            start = time.monotonic()
            client.mutate_priorities(self.table, updates=updates)
            update_s.append(time.monotonic() - start)
        return statistics.median(sample_s), statistics.median(update_s)


class InsertOne(Work):
    """Inserts one small item, and returns when that is done (`time.monotonic`)."""

    def __call__(self, side: Side) -> float:
        """See the base class."""
        side.client(self.port).insert(steps(SMALL)[0], {self.table: 1.0})
        return time.monotonic()


class Probe(Work):
    """Inserts, samples and updates until the next job waits: begin and end of each call."""

    def __call__(self, side: Side) -> list[tuple[float, float]]:
        """See the base class."""
        client, data = side.client(self.port), itertools.cycle(steps(SMALL))
        client.insert(next(data), {self.table: 1.0})
        updates = itertools.cycle(_updates(client, self.table, 1))
        calls: list[Callable[[], object]] = [
            lambda: client.insert(next(data), {self.table: 1.0}),
            lambda: list(client.sample(self.table, 16)),
            lambda: client.mutate_priorities(self.table, updates=next(updates)),
        ]
        times = [time.monotonic()]
        for call in itertools.cycle(calls):
            call()
            times.append(time.monotonic())
            if side.asked():
                break
        return list(itertools.pairwise(times))


@dataclasses.dataclass(frozen=True)
class Checkpoint(Job):
    """Makes a checkpoint, and returns when it began and when it was there.

    Attributes:
      port: of the server.
    """

    port: int

    def __call__(self, side: Side) -> tuple[float, float]:
        """See the base class."""
        client, start = side.client(self.port), time.monotonic()
        client.checkpoint()
        return start, time.monotonic()
