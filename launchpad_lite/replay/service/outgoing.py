"""What a writer has still to send, and the frames that it is sent in."""

from __future__ import annotations

import collections
import secrets
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from launchpad_lite.replay.service.protocol import Frame, ItemColumn, ItemRun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launchpad_lite.replay.core.types import IntArray
    from launchpad_lite.replay.service.columns import Ranges, StreamColumn

MOST_ITEMS = 10_000
"""Items that may wait to be inserted; whoever creates more waits."""

MOST_BYTES = 2**28
"""Bytes of steps that may wait with them."""

_SMALL_ITEMS, _SMALL_BYTES = 256, 2**20
_FRAME_BYTES = 2**25
_FRAME_ITEMS = 2_000


class Pattern(NamedTuple):
    """What items that are alike consist of.

    Attributes:
      columns: their columns.
      offsets: of each of their steps, column after column, how far it is from the first step of
        the first column; `int64[width]`.
    """

    columns: tuple[ItemColumn, ...]
    offsets: IntArray

    @classmethod
    def of(cls, parts: Sequence[tuple[StreamColumn, Sequence[int], bool]]) -> Pattern:
        """Return the pattern of an item.

        Args:
          parts: of each column: what it is of, its steps, and whether it is squeezed.
        """
        base = parts[0][1][0]
        columns = tuple(
            ItemColumn(column.number, len(steps), squeezed=squeezed)
            for column, steps, squeezed in parts
        )
        steps = np.concatenate([np.asarray(steps, np.int64) for _, steps, _ in parts])
        return cls(columns, steps - base)


class _Run:
    """Items of one table and pattern, being collected."""

    __slots__ = ("bases", "episode", "pattern", "priorities")

    def __init__(self, episode: int, pattern: Pattern) -> None:
        self.episode = episode
        self.pattern = pattern
        self.bases: list[int] = []
        self.priorities: list[float] = []

    def encoded(self, table: str) -> ItemRun:
        steps = np.array(self.bases)[:, np.newaxis] + self.pattern.offsets
        priorities = np.array(self.priorities)
        return ItemRun(table, self.episode, self.pattern.columns, priorities, steps)


class Batch:
    """Items that are sent in one frame.

    Attributes:
      runs: them, by table.
      items: how many of them are not inserted, as far as is known.
      nbytes: the size of the steps that are sent with them.
      ranges: these steps, by column; once no item is added any more.
      drop: of each column, before which step later items refer to none; likewise.
    """

    def __init__(self) -> None:
        """Make one without items."""
        self.runs: dict[str, list[_Run]] = {}
        self.items = 0
        self.nbytes = 0
        self.ranges: list[tuple[StreamColumn, Ranges]] = []
        self.drop: list[tuple[StreamColumn, int]] = []

    def add(self, table: str, episode: int, pattern: Pattern, base: int, priority: float) -> None:
        """Add an item whose first step is `base`."""
        runs = self.runs.get(table)
        if runs is None:
            runs = self.runs[table] = []
        run = runs[-1] if runs else None
        if run is None or run.pattern is not pattern or run.episode != episode:
            run = _Run(episode, pattern)
            runs.append(run)
        run.bases.append(base)
        run.priorities.append(priority)
        self.items += 1

    def __str__(self) -> str:
        """Say how many items of which tables these are."""
        tables = ", ".join(map(repr, self.runs))
        plural = "s" if len(self.runs) > 1 else ""
        return f"{items(self.items)} of table{plural} {tables}"


class Outgoing:
    """The items of a writer that are not inserted yet, and its stream of frames. Not thread-safe.

    One frame follows the other: `take` what the next one is of, `frame` it, as often as it has to
    be sent, and tell how that ended.

    Attributes:
      stream: the stream's number.
      columns: its columns, which the writer adds to.
      following: the number of the step that comes next; the writer counts it.
      items: how many items are not inserted, as far as is known.
      nbytes: the size of the steps that wait with them.
      begun: whether the server may know of the stream.
    """

    def __init__(self) -> None:
        """Make an empty one."""
        self.stream = secrets.randbits(63)
        self.columns: list[StreamColumn] = []
        self.following = 0
        self.items = 0
        self.nbytes = 0
        self.begun = False
        self._open = Batch()
        self._sealed: collections.deque[Batch] = collections.deque()
        self._sequence = 0
        self._begins = True

    @property
    def full(self) -> bool:
        """Whether no more items should be added, because so many wait."""
        return self.items >= MOST_ITEMS or self.nbytes >= MOST_BYTES

    @property
    def small(self) -> bool:
        """Whether the next frame would be small, so that more should be added before."""
        batch = self._open
        return not self._sealed and batch.items < _SMALL_ITEMS and batch.nbytes < _SMALL_BYTES

    @property
    def waiting(self) -> bool:
        """Whether there is something to `take`."""
        return bool(self._sealed or self._open.items)

    def add(
        self,
        table: str,
        episode: int,
        pattern: Pattern,
        parts: Sequence[tuple[StreamColumn, Sequence[int], bool]],
        priority: float,
    ) -> None:
        """Add an item.

        Args:
          table: the table's name.
          episode: how many episodes have ended before.
          pattern: what it consists of.
          parts: of each of its columns: what it is of, its steps, and whether it is squeezed.
          priority: its priority.
        """
        batch, nbytes = self._open, 0
        for column, steps, _ in parts:
            if new := column.claim(steps):
                nbytes += new * column.nbytes
        batch.add(table, episode, pattern, parts[0][1][0], priority)
        batch.nbytes += nbytes
        self.nbytes += nbytes
        self.items += 1
        if batch.nbytes >= _FRAME_BYTES or batch.items >= _FRAME_ITEMS:
            self._seal()

    def _seal(self) -> None:
        batch, self._open = self._open, Batch()
        for column in self.columns:
            if column.fresh:
                batch.ranges.append((column, column.fresh))
                column.fresh = []
        batch.drop = [(column, column.oldest(self.following)) for column in self.columns]
        self._sealed.append(batch)

    def take(self) -> Batch:
        """Return the items that are to be sent next; there must be some `waiting`."""
        if not self._sealed:
            self._seal()
        batch = self._sealed.popleft()
        for column, ranges in batch.ranges:
            column.send(ranges)
        return batch

    def frame(self, batch: Batch) -> Frame:
        """Return the frame of a batch that was taken, and has not ended."""
        self.begun = True
        sending = (
            [(column, column.sent) for column in self.columns] if self._begins else batch.ranges
        )
        return Frame(
            stream=self.stream,
            sequence=self._sequence,
            begins=self._begins,
            blocks=[block for column, ranges in sending for block in column.blocks(ranges)],
            runs=[run.encoded(table) for table, runs in batch.runs.items() for run in runs],
            drop=[(column.number, before) for column, before in batch.drop],
        )

    def lost(self) -> None:
        """Note that the server does not know the stream: the frame must bring along all steps."""
        self._begins = True

    def inserted(self, batch: Batch) -> None:
        """Note that the items of a batch are inserted."""
        self._begins = False
        self._end(batch)

    def left(self, batch: Batch, items: int) -> None:
        """Note how many items of a batch are not inserted yet."""
        self.items += items - batch.items
        batch.items = items

    def refused(self, batch: Batch) -> None:
        """Note that a batch was refused; its items are given up, and the stream begins anew."""
        self._begins = True
        self._end(batch)

    def _end(self, batch: Batch) -> None:
        self._sequence += 1
        self.items -= batch.items
        self.nbytes -= batch.nbytes
        for column, before in batch.drop:
            column.forget(before)


def items(count: int) -> str:
    """Return a number of items in words."""
    return f"{count} item{'s' if count != 1 else ''}"
