"""What a server keeps of each writer: the rows of the steps that its items may still refer to."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.arrays import grown
from launchpad_lite.replay.core.layout import EPISODE, Column, ItemBatch, Layout
from launchpad_lite.replay.core.slabs import Kind
from launchpad_lite.replay.service.gate import Insertion, Remaining
from launchpad_lite.replay.service.protocol import StreamLost

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from launchpad_lite.replay.core.rows import RowStore
    from launchpad_lite.replay.core.table import Table
    from launchpad_lite.replay.core.types import AnyArray, IntArray, Numbers
    from launchpad_lite.replay.service.protocol import Frame, ItemColumn, ItemRun

IDLE_S = 60.0
"""Seconds after which a stream is given up that nothing was sent on: its writer may have died. One
that has not brings along again what it needs."""

_NO_ROW = -1


class _Steps:
    """The rows of one column's steps, from the first that may still be referred to."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._first: int = 0  # the index of the step that `_rows` begins with
        self._rows = np.empty(0, np.int32)
        self._length: int = 0

    def put(self, first: int, rows: Numbers) -> None:
        """Note the rows of steps from one index on, which may be before or after those known."""
        if not self._length:
            self._first = first
        if first < self._first:
            gap = np.full(self._first - first, _NO_ROW, np.int32)
            self._rows = np.concatenate([gap, self._rows[: self._length]])
            self._first, self._length = first, len(self._rows)
        begin = first - self._first
        end = begin + len(rows)
        if (self._rows[begin : min(end, self._length)] != _NO_ROW).any():
            raise UsageError(f"step {first} of a column was sent twice.")
        self._rows = grown(self._rows, end)
        if begin > self._length:
            self._rows[self._length : begin] = _NO_ROW
        self._rows[begin:end] = rows
        self._length = max(self._length, end)

    def take(self, steps: IntArray) -> Numbers:
        """Return the rows of steps, of the same shape."""
        places = steps - self._first
        if places.size and (places.min() < 0 or places.max() >= self._length):
            raise UsageError("an item refers to a step that the server does not have.")
        rows: Numbers = self._rows[places]
        if rows.size and rows.min() == _NO_ROW:
            raise UsageError("an item refers to a step that was never sent.")
        return rows

    def drop(self, before: int | None = None) -> Numbers:
        """Forget the steps before an index, or all; return their rows."""
        count = self._length if before is None else min(before - self._first, self._length)
        if count <= 0:
            return self._rows[:0]
        dropped, self._rows = self._rows[:count], self._rows[count:].copy()
        self._length -= count
        self._first += count
        kept: Numbers = dropped[dropped != _NO_ROW]
        return kept


class Done(NamedTuple):
    """What was inserted of the last frame of a stream that the server has given up.

    Attributes:
      sequence: the frame's number; None if there was none.
      items: how many items of it, from the first on, are in each table.
    """

    sequence: int | None
    items: dict[str, int]


class WriteStream:
    """One writer's steps, and the frame that it has sent last. Thread-safe.

    Attributes:
      insertions: of the frame that was sent last, by table.
      remaining: how many of its items are not inserted yet.
    """

    def __init__(
        self, store: RowStore, table: Callable[[str], Table], done: Done | None = None
    ) -> None:
        """Begin a stream.

        Args:
          store: where its steps go.
          table: returns the table of a name, or raises.
          done: how far the same writer's last stream was; what is sent again is not inserted again.
        """
        self.insertions: list[Insertion] = []
        self.remaining = Remaining(0)
        self._used = time.monotonic()
        self._calls = 0  # that wait; touched by the event loop alone
        self._done = done or Done(None, {})
        self._store = store
        self._table = table
        self._lock = threading.Lock()
        self._columns: dict[int, _Steps] = {}
        self._layouts: dict[tuple[ItemColumn, ...], Layout] = {}
        self._episode: int | None = None
        self._episode_rows: list[Numbers] = []  # the last one is the current episode's
        self._sequence: int | None = None
        self._refusal: Exception | None = None
        self._drop: list[tuple[int, int]] = []
        self._closed = False

    @property
    def settled(self) -> bool:
        """Whether nothing waits to be inserted."""
        return all(insertion.ended.done() for insertion in self.insertions)

    @property
    def idle(self) -> bool:
        """Whether nothing was sent for long, and nobody waits."""
        return not self._calls and time.monotonic() - self._used > IDLE_S

    @contextlib.contextmanager
    def in_use(self) -> Generator[None]:
        """Keep the stream from being idle: its writer waits."""
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
            self._used = time.monotonic()

    @property
    def done(self) -> Done:
        """What is inserted of the frame that was sent last."""
        items = {each.table.name: each.inserted for each in self.insertions}
        if self._sequence is None or self._sequence == self._done.sequence:
            before = self._done.items
            items = {name: items.get(name, 0) + before.get(name, 0) for name in {*items, *before}}
        return Done(self._done.sequence if self._sequence is None else self._sequence, items)

    def knows(self, sequence: int) -> bool:
        """Whether a frame is the one that was sent last."""
        return sequence == self._sequence

    def accept(self, frame: Frame) -> list[Insertion]:
        """Store a frame's steps, unless it was sent before; return what is to be inserted.

        Raises:
          StreamLost: a frame before this one is missing.
          UsageError: there is no such table, or the frame contradicts itself.
        """
        with self._lock:
            self._used = time.monotonic()
            if self._closed or not (frame.begins or self._follows(frame)):
                raise StreamLost(f"the stream {frame.stream:x} of a writer must begin anew.")
            if frame.sequence != self._sequence:
                if self._refusal is not None:
                    raise StreamLost(f"the stream {frame.stream:x} of a writer has ended.")
                if not self.settled:
                    raise UsageError("a writer's frame follows one that is not answered yet.")
                self._begin(frame)
            if self._refusal is not None:
                raise self._refusal
            return self.insertions

    def _begin(self, frame: Frame) -> None:
        self._let_go()
        self._sequence = frame.sequence
        self.insertions, self.remaining = [], Remaining(0)
        self._drop = frame.drop
        try:
            self._store_steps(frame)
            self.insertions = self._prepare(frame)
        except Exception as error:  # to be told again when the frame is sent again
            self._refusal = error
            self._let_go_of_all()  # after a refusal a writer begins anew

    def _follows(self, frame: Frame) -> bool:
        return self._sequence is not None and frame.sequence - self._sequence in (0, 1)

    def close(self) -> None:
        """Let go of everything; what still waits to be inserted never is."""
        with self._lock:
            self._closed = True
            for insertion in self.insertions:
                insertion.abandon()
            self._let_go_of_all()

    def outcome(self) -> int:
        """Return how many items are left of the frame that was sent last.

        Once there are none, nothing is kept that no later item refers to.

        Raises:
          StreamLost: the stream was closed before they were inserted.
          UsageError: an item does not fit its table.
        """
        with self._lock:
            if not self.settled:
                return max(1, self.remaining.count)
            if not self._closed:
                self._let_go()
        try:
            for insertion in self.insertions:
                insertion.ended.result()
        except CancelledError:
            raise StreamLost("the stream of a writer must begin anew: it was closed.") from None
        return 0

    def _let_go(self) -> None:
        for column, before in self._drop:
            steps = self._columns.get(column)
            if steps is not None:
                self._release(steps, before)
        self._drop = []
        self._let_go_of_episodes(1)

    def _release(self, steps: _Steps, before: int | None = None) -> None:
        rows = steps.drop(before)
        if rows.size:
            self._store.release(steps.kind, rows)

    def _let_go_of_all(self) -> None:
        for steps in self._columns.values():
            self._release(steps)
        self._columns.clear()
        self._let_go_of_episodes(0)

    def _let_go_of_episodes(self, keep: int) -> None:
        while len(self._episode_rows) > keep:
            self._store.release(EPISODE, self._episode_rows.pop(0))

    def _store_steps(self, frame: Frame) -> None:
        for column, first, values in frame.blocks:
            steps = self._columns.get(column)
            if steps is None:
                steps = self._columns[column] = _Steps(Kind.of(values))
            _check_kind(steps.kind, values, column)
            rows = self._store.put(values)
            try:
                steps.put(first, rows)
            except BaseException:
                self._store.release(steps.kind, rows)
                raise

    def _prepare(self, frame: Frame) -> list[Insertion]:
        batches: dict[str, list[ItemBatch]] = {}
        tables = {run.table: self._table(run.table) for run in frame.runs}
        for run in frame.runs:
            batches.setdefault(run.table, []).append(self._batch(run))
        if frame.sequence == self._done.sequence:
            for name, count in self._done.items.items():
                batches[name] = list(_without(batches.get(name, []), count))
        self.remaining = Remaining(sum(len(each) for some in batches.values() for each in some))
        insertions = [
            Insertion(tables[name], some, self.remaining) for name, some in batches.items()
        ]
        for insertion in insertions:
            insertion.waiters += 1  # the stream itself, which ends them when it is closed
        return insertions

    def _batch(self, run: ItemRun) -> ItemBatch:
        layout = self._layouts.get(run.columns)
        if layout is None:
            layout = self._layouts[run.columns] = self._layout(run.columns)
        rows = np.empty((len(run.priorities), layout.width), np.int32)
        rows[:, 0] = self._episode_of(run.episode)
        begin = 1
        for column, length, _ in run.columns:
            end = begin + length
            rows[:, begin:end] = self._columns[column].take(run.steps[:, begin - 1 : end - 1])
            begin = end
        return ItemBatch(layout=layout, priorities=run.priorities, rows=rows)

    def _layout(self, columns: tuple[ItemColumn, ...]) -> Layout:
        for column, _, _ in columns:
            if column not in self._columns:
                raise UsageError(f"an item refers to column {column}, which was never sent.")
        kinds = [self._columns[column].kind for column, _, _ in columns]
        return Layout(
            [
                Column(kind, length, squeezed)
                for kind, (_, length, squeezed) in zip(kinds, columns, strict=True)
            ]
        )

    def _episode_of(self, number: int) -> int:
        if number != self._episode:
            self._episode_rows.append(self._store.put(np.empty(1, EPISODE.dtype)))
            self._episode = number
        return int(self._episode_rows[-1][0])


def _without(batches: list[ItemBatch], count: int) -> Iterator[ItemBatch]:
    """Yield items without the first ones."""
    for batch in batches:
        if count < len(batch):
            yield batch.part(count, len(batch))
        count = max(0, count - len(batch))


def _check_kind(kind: Kind, values: AnyArray, column: int) -> None:
    if kind != Kind.of(values):
        raise UsageError(
            f"column {column} of a stream has steps of {kind.dtype}{list(kind.shape)}, and now "
            f"some of {values.dtype}{list(values.shape[1:])}."
        )
