"""What clients can call of a replay server."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from launchpad_lite.errors import UsageError, nearest
from launchpad_lite.replay.core.checkpoint.turns import Turns
from launchpad_lite.replay.core.info import RateLimiterCallStats, SampleInfo
from launchpad_lite.replay.core.layout import EPISODE, Column, ItemBatch, Layout
from launchpad_lite.replay.core.rows import RowStore
from launchpad_lite.replay.core.slabs import Kind
from launchpad_lite.replay.service.gate import INSERTS, SAMPLES, Insertion, Sampling
from launchpad_lite.replay.service.gates import Gates
from launchpad_lite.replay.service.given import checkpointer_of, require_tables
from launchpad_lite.replay.service.protocol import SampledBatch, StreamLost
from launchpad_lite.replay.service.streams import Done, WriteStream

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from launchpad_lite.courier.server import Server
    from launchpad_lite.replay.core.checkpoint.checkpointers import CheckpointerBase
    from launchpad_lite.replay.core.info import TableInfo
    from launchpad_lite.replay.core.table import Samples, Table
    from launchpad_lite.replay.core.types import AnyArray, FloatArray, KeyArray, Numbers
    from launchpad_lite.replay.service.protocol import Frame

_log = logging.getLogger(__name__)

_METHODS = (
    *("write", "await_items", "close_stream", "insert", "sample"),
    *("mutate_priorities", "reset", "checkpoint"),
)

_EPISODE = np.empty(1, EPISODE.dtype)
_SWEEP_S = 10.0  # between looks for streams that are idle
_MOST_DONE = 10_000
_MOST_LAYOUTS = 1000  # of single steps, that are kept


class ReplayService:
    """Tables, and what can be done with them from outside.

    A method that must wait for a rate limiter returns a coroutine, so no thread waits.

    Attributes:
      tables: the tables by name.
      store: where their data is.
    """

    def __init__(
        self,
        tables: Sequence[Table],
        checkpointer: CheckpointerBase | None = None,
        note: Callable[[str], object] = lambda _: None,
    ) -> None:
        """Take over some tables.

        Args:
          tables: the tables.
          checkpointer: where checkpoints are written and read; None for `default_checkpointer()`.
          note: is told what has waited for long, and an empty text when nothing does any more.

        Raises:
          UsageError: there is none, two have one name, or one is not empty; or the checkpointer is
            none.
        """
        self._checkpointer = checkpointer_of(checkpointer)
        self._turns = Turns()
        self.store = RowStore()
        self.tables: dict[str, Table] = {}
        for table in require_tables(tables):
            table.use_store(self.store)
            self.tables[table.name] = table
        self._gates = Gates(self.tables, note)
        self._streams: dict[int, WriteStream] = {}
        self._done: dict[int, Done] = {}  # of those that were given up, the longest ago first
        self._lock = threading.Lock()
        self._swept = time.monotonic()
        self._layouts: dict[tuple[Kind, ...], Layout] = {}

    def load(self) -> None:
        """Take over the latest checkpoint, if there is one; say in the log what differs.

        Raises:
          CheckpointError: it is damaged, or does not fit the tables.
        """
        differences = self._checkpointer.load(list(self.tables.values()), self.store)
        for difference in differences or ():
            _log.warning("replay: the checkpoint was made with other settings: %s", difference)

    def bind_to(self, server: Server) -> None:
        """Serve the methods."""
        for name in _METHODS:
            server.Bind(name, getattr(self, name))
        server.Bind("server_info", self.server_info, priority=True)

    def hurry(self, reason: str) -> None:
        """End everything that waits, and what would have to later, with `Unavailable`.

        What can be done at once is still done, so clients can finish.
        """
        self._gates.hurry(reason)

    def close(self, reason: str) -> None:
        """End everything that waits, and what comes later, with `Unavailable`."""
        self._gates.close(reason)
        with self._lock:
            streams = list(self._streams.values())
            self._streams.clear()
        for stream in streams:
            stream.close()

    def write(self, frame: Frame) -> int:
        """Store a frame of a writer, and insert of its items what may be inserted; see `protocol`.

        Returns:
          How many items are left.

        Raises:
          StreamLost: the writer must begin anew.
          UsageError: an item does not fit its table.
        """
        stream = self._stream_of(frame)
        for insertion in stream.accept(frame):
            if not insertion.ended.done():  # as it may be when it is sent again
                self._gates.enter(insertion)
        return stream.outcome()

    async def await_items(self, number: int, sequence: int, at_most: int) -> int:
        """Wait until no more than `at_most` items of a stream's latest frame are left.

        Returns:
          How many are.

        Raises:
          StreamLost: this is not the stream's latest frame, or it must begin anew.
          UsageError: an item does not fit its table.
        """
        with self._lock:
            stream = self._streams.get(number)
        if stream is None or not stream.knows(sequence):
            raise StreamLost(f"the stream {number:x} of a writer must begin anew.")
        with stream.in_use():
            waiting = [each for each in stream.insertions if not each.ended.done()]
            await self._gates.wait(waiting, None, stream.remaining.reaches(at_most))
        return stream.outcome()

    def close_stream(self, number: int) -> None:
        """Forget a writer's stream; what it has inserted stays."""
        with self._lock:
            stream = self._streams.pop(number, None)
        if stream is not None:
            self._close(stream)

    def insert(
        self, columns: list[AnyArray], priorities: dict[str, float]
    ) -> Coroutine[None, None, None] | None:
        """Insert an item of one step in each of some tables.

        Args:
          columns: the step; of each column an array `[1, *shape]`.
          priorities: by the names of the tables.

        Raises:
          UsageError: there is no such table, or the item does not fit it. Then none is inserted.
        """
        tables = [self._table(name) for name in priorities]
        layout = self._layout_of(columns)
        rows = self.store.put_step(layout.kinds, [_EPISODE, *columns], len(tables))
        line = np.array([rows], np.int32)
        items = [_given(layout, priority, line) for priority in priorities.values()]
        if len(tables) > 1:
            self._check_all(tables, items)
        insertions = [Insertion(table, [item]) for table, item in zip(tables, items, strict=True)]
        waiting = [each for each in insertions if not self._gates.enter(each)]
        if waiting:
            return self._insert_later(insertions, waiting, layout, line)
        self._let_go(insertions, layout, line)
        _raise_first(insertions)
        return None

    def _check_all(self, tables: list[Table], items: list[ItemBatch]) -> None:
        """Let no table have its item if another one refuses it."""
        try:
            for table, item in zip(tables, items, strict=True):
                table.check([item])
        except UsageError:
            for item in items:
                item.layout.release(self.store, item.rows)
            raise

    async def _insert_later(
        self,
        insertions: list[Insertion],
        waiting: list[Insertion],
        layout: Layout,
        line: Numbers,
    ) -> None:
        try:
            await self._gates.wait(waiting, None)
        finally:
            for each in insertions:
                each.abandon()
            self._let_go(insertions, layout, line)
        _raise_first(insertions)

    def _let_go(self, insertions: list[Insertion], layout: Layout, line: Numbers) -> None:
        """Release a step once for each table that has not taken it."""
        for each in insertions:
            if each.ended.exception() is not None:
                layout.release(self.store, line)

    def _layout_of(self, columns: list[AnyArray]) -> Layout:
        kinds = tuple(map(Kind.of, columns))
        layout = self._layouts.get(kinds)
        if layout is None:
            layout = Layout([Column(kind, 1) for kind in kinds])
            if len(self._layouts) >= _MOST_LAYOUTS:
                self._layouts.clear()
            self._layouts[kinds] = layout
        return layout

    def sample(
        self, table: str, count: int, at_least: int = 1, timeout_s: float | None = None
    ) -> list[SampledBatch] | Coroutine[None, None, list[SampledBatch]]:
        """Sample items; see `protocol`.

        Args:
          table: the table's name.
          count: how many items at most.
          at_least: how many to wait for.
          timeout_s: how long to wait for them; None for no limit.

        Returns:
          What was sampled; less than `at_least`, perhaps nothing, if the time was over.

        Raises:
          UsageError: there is no such table.
        """
        sampling = Sampling(self._table(table), count, at_least)
        if self._gates.enter(sampling):
            sampling.ended.result()
        elif timeout_s is None or timeout_s > 0:
            return self._sample_later(sampling, timeout_s)
        else:
            self._gates.leave(sampling)
        return _encode(sampling.sampled)

    async def _sample_later(
        self, sampling: Sampling, timeout_s: float | None
    ) -> list[SampledBatch]:
        if await self._gates.wait([sampling], timeout_s):
            sampling.ended.result()
        return _encode(sampling.sampled)

    def mutate_priorities(
        self, table: str, keys: KeyArray, priorities: FloatArray, deletes: KeyArray
    ) -> None:
        """Delete some items, then change the priorities of others; see `Table.mutate`."""
        self._table(table).mutate(keys, priorities, deletes)

    def reset(self, table: str) -> None:
        """Delete all items of a table."""
        self._table(table).reset()

    def server_info(self) -> dict[str, TableInfo]:
        """Return what there is to know of each table."""
        self._sweep()
        return {name: self._info(table) for name, table in self.tables.items()}

    def checkpoint(self) -> str:
        """Write a checkpoint, and return its path. Those who wait for one share it.

        Raises:
          OSError: it cannot be written.
        """
        tables = list(self.tables.values())
        return self._turns.take(lambda: self._checkpointer.save(tables, self.store))

    def _table(self, name: str) -> Table:
        table = self.tables.get(name)
        if table is None:
            raise UsageError(f"there is no table {name!r}{nearest(name, self.tables)}")
        return table

    def _info(self, table: Table) -> TableInfo:
        info, gate = table.info, self._gates[table.name]
        limiter = info.rate_limiter_info

        def with_waiting(kind: str, stats: RateLimiterCallStats) -> RateLimiterCallStats:
            return stats._replace(pending=gate.waiting(kind), limited=gate.limited[kind])

        limiter = limiter._replace(
            insert_stats=with_waiting(INSERTS, limiter.insert_stats),
            sample_stats=with_waiting(SAMPLES, limiter.sample_stats),
        )
        return info._replace(rate_limiter_info=limiter)

    def _stream_of(self, frame: Frame) -> WriteStream:
        """Return the stream that a frame is for."""
        self._sweep()
        with self._lock:
            stream = self._streams.get(frame.stream)
            if stream is not None and not (frame.begins and not stream.knows(frame.sequence)):
                return stream
            if not frame.begins:
                raise StreamLost(f"the stream {frame.stream:x} of a writer is not known.")
            done = self._done.pop(frame.stream, None)
            begun = self._streams[frame.stream] = WriteStream(self.store, self._table, done)
        if stream is not None:
            self._close(stream)
        return begun

    def _sweep(self) -> None:
        """Forget the streams of writers that are gone, or at least have been still for long."""
        now = time.monotonic()
        with self._lock:
            if now - self._swept < _SWEEP_S:
                return
            self._swept = now
            idle = [number for number, stream in self._streams.items() if stream.idle]
            streams = [self._streams.pop(number) for number in idle]
            for number, stream in zip(idle, streams, strict=True):
                stream.close()
                self._done[number] = stream.done  # should its writer come back
            while len(self._done) > _MOST_DONE:
                del self._done[next(iter(self._done))]
        for stream in streams:
            self._close(stream)

    def _close(self, stream: WriteStream) -> None:
        stream.close()
        for insertion in stream.insertions:
            self._gates.leave(insertion)


def _given(layout: Layout, priority: float, line: Numbers) -> ItemBatch:
    return ItemBatch(layout=layout, priorities=np.array([priority]), rows=line, given=True)


def _raise_first(insertions: Iterable[Insertion]) -> None:
    for each in insertions:
        each.ended.result()


def _encode(sampled: list[Samples]) -> list[SampledBatch]:
    """Return samples as they travel."""
    batches: list[SampledBatch] = []
    before = 0
    for info, gathered in sampled:
        for layout, places, columns in gathered:
            mine = info if len(gathered) == 1 else SampleInfo(*(field[places] for field in info))
            squeezed = tuple(column.squeezed for column in layout.columns)
            batches.append(SampledBatch(places + before, mine, squeezed, columns))
        before += len(info.key)
    return batches
