"""The steps of one column that a writer keeps: those that items may refer to, or do."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any

import numpy as np

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.arrays import native
from launchpad_lite.replay.core.slabs import Kind
from launchpad_lite.replay.core.spec import show_shape
from launchpad_lite.replay.service.protocol import Block

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from launchpad_lite.replay.core.types import AnyArray

Ranges = list[list[int]]
"""Steps, as pairs of the first and the one after the last."""

_CHUNK_BYTES = 2**20
_FIRST_STEPS = 64
_MOST_STEPS = 1024
_LARGE = 2**63
_PLAIN = {np.dtype(np.int64): int, np.dtype(np.float64): float, np.dtype(np.bool_): bool}
"""Python's own numbers, as NumPy takes them."""


class _Chunk:
    """Memory for consecutive steps. It is written once, so whoever has a view of it may keep it.

    Attributes:
      first: the first step.
      values: `[n, *shape]`.
      claimed: whether an item refers to any of them.
    """

    __slots__ = ("claimed", "first", "values")

    def __init__(self, first: int, values: AnyArray) -> None:
        self.first = first
        self.values = values
        self.claimed = False

    @property
    def end(self) -> int:
        return self.first + len(self.values)


class StreamColumn:
    """One column of a writer's steps.

    Steps are numbered through the stream, alike in all columns; a column need not have every step.
    An item may refer to those that are *live*, and *claims* them thereby: they are sent once, and
    kept until no item needs them any more.

    Attributes:
      stream: the stream's number.
      number: which column of the stream it is.
      name: what it is called in messages.
      nbytes: the size of a step.
      scalar: the type of its values, if they are Python's own numbers.
      dtype: the type of a step's elements; None before the first one.
      shape: the shape of a step; None before the first one.
      live: the steps that items may refer to.
      latest: the last step that it had.
      irregular: whether it lacks any step between the first of the history and `latest`.
      fresh: the steps that were claimed since this was emptied last.
    """

    def __init__(self, stream: int, number: int, name: str, keep: int, born: int) -> None:
        """Make a column without steps.

        Args:
          stream: the stream's number.
          number: which column of the stream it is.
          name: what it is called in messages.
          keep: how many steps are live, the latest ones.
          born: the number of the step that comes next.
        """
        self.stream = stream
        self.number = number
        self.name = name
        self.latest = born - 1
        self.irregular = False
        self._born = born
        self.nbytes = 0
        self.scalar: type | None = None
        self.dtype: np.dtype[Any] | None = None
        self.shape: tuple[int, ...] | None = None
        self.live: collections.deque[int] = collections.deque(maxlen=keep)
        self.fresh: Ranges = []
        self._kind: Kind | None = None
        self._chunks: list[_Chunk] = []
        self._values: AnyArray = np.empty(0)  # of the last chunk
        self._first = self._room = self._next_room = 0
        self._top = born  # the step after the last one claimed
        self._holes: set[int] = set()  # steps before it that are not claimed
        self._sent: Ranges = []
        self._dropped = born  # before it, no item refers to any step

    # What it holds.

    @property
    def keep(self) -> int:
        """How many steps are live."""
        return self.live.maxlen or 0

    def keep_only(self, keep: int) -> None:
        """Change how many steps are live; those that are no longer do not come back."""
        self.live = collections.deque(self.live, maxlen=keep)

    @property
    def kind(self) -> Kind:
        """What each step looks like.

        Raises:
          UsageError: it has none yet.
        """
        if self._kind is None:
            raise UsageError(f"column {self.name!r} has no step yet.")
        return self._kind

    def checked(self, value: Any) -> Any:
        """Return a value as an array of the column.

        Raises:
          UsageError: it is none, or has another dtype or shape than the steps before.
        """
        try:
            array = native(np.asarray(value))
        except (TypeError, ValueError, OverflowError) as error:
            raise UsageError(f"append: column {self.name!r} is no array: {error}") from None
        if array.dtype.hasobject:
            raise UsageError(
                f"append: column {self.name!r} is {value!r}, which is no array of numbers. Text "
                "needs a dtype of fixed length, as in numpy.array(text, 'U20')."
            )
        kind = self._kind
        if kind is None or (array.dtype == kind.dtype and array.shape == kind.shape):
            return array
        if array.dtype != kind.dtype:
            what, now, before = "dtype", str(array.dtype), str(kind.dtype)
        else:
            what, now, before = "shape", show_shape(array.shape), show_shape(kind.shape)
        raise UsageError(
            f"append: column {self.name!r} has {what} {now}, and had {before} in the steps before."
        )

    def put(self, step: int, value: Any) -> None:
        """Keep the value of a step, a copy of it; it must fit."""
        place = step - self._first
        if place >= self._room:
            self._begin_chunk(step, value)
            place = 0
        self._values[place] = value
        self.live.append(step)
        if step != self.latest + 1:
            self.irregular = True
        self.latest = step

    def clear(self, following: int) -> None:
        """Let no step be live any more; `following` is the number of the step that comes next."""
        self.live.clear()
        self.latest, self.irregular, self._born = following - 1, False, following

    def _begin_chunk(self, step: int, value: Any) -> None:
        kind = self._kind
        if kind is None:
            kind = self._kind = Kind.of(np.asarray(value)[np.newaxis])
            self.dtype, self.shape = kind
            self.scalar = None if kind.shape else _PLAIN.get(kind.dtype)
            self._next_room, self.nbytes = _FIRST_STEPS, kind.nbytes
        room = max(1, min(self._next_room, _CHUNK_BYTES // max(1, self.nbytes)))
        self._next_room = min(2 * room, _MOST_STEPS)
        self._values = np.empty((room, *kind.shape), kind.dtype)
        self._first, self._room = step, room
        self._chunks.append(_Chunk(step, self._values))
        self._prune()

    def has(self, steps: Sequence[int]) -> bool:
        """Return whether it has a value at each of some steps, none of which is too old."""
        live = self.live
        if not live:
            return False
        oldest, latest = live[0], self.latest
        if latest - oldest == len(live) - 1:  # there is no gap
            ends = steps if steps.__class__ is range else (min(steps), max(steps))
            return oldest <= ends[0] <= latest and oldest <= ends[-1] <= latest
        return set(live).issuperset(steps)

    def never_had(self, steps: Iterable[int]) -> int | None:
        """Return a step that it certainly had no value at, or None."""
        live = self.live
        first, last = (live[0], live[-1]) if live else (self._born, self._born - 1)
        gaps = set(range(first, last + 1)).difference(live) if last - first >= len(live) else ()
        for step in steps:
            if step < self._born or step > last or step in gaps:
                return step
        return None

    def value(self, step: int) -> AnyArray:
        """Return a copy of a live step."""
        chunk = self._chunk_of(step)
        return np.array(chunk.values[step - chunk.first])

    def _chunk_of(self, step: int) -> _Chunk:
        return next(chunk for chunk in reversed(self._chunks) if chunk.first <= step)

    # What items need of it.

    def claim(self, steps: Sequence[int]) -> int:
        """Note that an item refers to some of the steps; return how many were not claimed yet."""
        first, end, top = steps[0], steps[-1] + 1, self._top
        in_line = steps.__class__ is range and end - first == len(steps)
        if not in_line or first > top or self._holes:
            return sum(map(self._claim_one, sorted(set(steps))))
        if end <= top:
            return 0
        fresh = self.fresh
        if top >= self._first and fresh and fresh[-1][1] == top:  # as below, and faster
            self._top = fresh[-1][1] = end
            self._chunks[-1].claimed = True
        else:
            self._claim_range(top, end)
        return end - top

    def _claim_one(self, step: int) -> bool:
        if step >= self._top:
            self._holes.update(range(max(self._top, self.live[0]), step))
            if len(self._holes) > 2 * self.keep:
                self._holes = {hole for hole in self._holes if hole >= self.live[0]}
        elif step in self._holes:
            self._holes.remove(step)
        else:
            return False
        self._claim_range(step, step + 1)
        return True

    def _claim_range(self, begin: int, end: int) -> None:
        self._top = max(self._top, end)
        fresh = self.fresh
        if fresh and fresh[-1][1] == begin:
            fresh[-1][1] = end
        else:
            fresh.append([begin, end])
        if begin >= self._first:
            self._chunks[-1].claimed = True
        else:
            for chunk in self._chunks:
                chunk.claimed = chunk.claimed or (chunk.first < end and begin < chunk.end)

    def send(self, ranges: Ranges) -> None:
        """Note that some steps are sent."""
        sent = self._sent
        for begin, end in ranges:
            if sent and sent[-1][1] == begin:
                sent[-1][1] = end
            else:
                sent.append([begin, end])

    @property
    def sent(self) -> Ranges:
        """The steps that were sent, without those that were forgotten."""
        return self._sent

    def blocks(self, ranges: Ranges) -> list[Block]:
        """Return steps as they are sent: views, which stay as they are."""
        found: list[Block] = []
        for begin, end in ranges:
            for chunk in self._chunks:
                first, after = max(begin, chunk.first), min(end, chunk.end)
                if first < after:
                    values = chunk.values[first - chunk.first : after - chunk.first]
                    found.append(Block(self.number, first, values))
        return found

    def oldest(self, following: int) -> int:
        """Return the first live step; `following`, the step that comes next, if there is none."""
        return self.live[0] if self.live else following

    def forget(self, before: int) -> None:
        """Note that no item refers to the steps before one, nor will."""
        self._dropped = before
        self._sent = [[max(begin, before), end] for begin, end in self._sent if end > before]
        self._prune()

    def _prune(self) -> None:
        oldest = self.oldest(self._first)
        last = self._chunks[-1:]
        kept = [
            chunk
            for chunk in self._chunks[:-1]
            if chunk.end > oldest or (chunk.claimed and chunk.end > self._dropped)
        ]
        self._chunks = kept + last


def is_plain(value: int) -> bool:
    """Return whether a number of Python's is also an `int64`."""
    return -_LARGE <= value < _LARGE
