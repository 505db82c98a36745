"""The elements of a dataset, made of what a server answers: one by one, or stacked. Without I/O."""

from __future__ import annotations

import abc
import collections
from typing import TYPE_CHECKING, Any

from launchpad_lite.replay.core.info import ReplaySample
from launchpad_lite.replay.core.nest import unflatten
from launchpad_lite.replay.core.spec import check_columns
from launchpad_lite.replay.service.batches import in_order, join, part, timesteps
from launchpad_lite.replay.service.sampling import items

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launchpad_lite.replay.core.nest import Structure
    from launchpad_lite.replay.core.spec import Signature
    from launchpad_lite.replay.service.batches import Naming
    from launchpad_lite.replay.service.protocol import SampledBatch


class Elements(abc.ABC):
    """Takes answers, and gives elements.

    Attributes:
      whole: whether a call should wait until it has all the items that it asks for.
    """

    whole: bool

    def __init__(
        self,
        naming: Naming,
        structure: Structure | None,
        *,
        most: int,
        steps: bool,
        check: Signature | None = None,
    ) -> None:
        """Begin with none.

        Args:
          naming: how messages call things.
          structure: how to nest the data; None for a list of columns.
          most: how many items to ask for at once.
          steps: whether elements consist of timesteps, not of items.
          check: what each element's data must be; None if that need not be checked.
        """
        self._naming = naming
        self._structure = structure
        self._most = most
        self._steps = steps
        self._check = check
        self._per_item = 1.0  # how many timesteps an item has, where these are wanted

    def push(self, answer: list[SampledBatch]) -> None:
        """Take an answer with at least one item.

        Raises:
          UsageError: it is not what it must be.
        """
        if self._steps:
            answer = [self._timesteps(batch) for batch in answer]
        if self._check is not None:
            for batch in answer:
                one = [column[0] for column in batch.columns]
                check_columns(self._check, one, self._naming.what)
        self._push(answer)

    def _timesteps(self, batch: SampledBatch) -> SampledBatch:
        flat, length = timesteps(batch, self._naming)
        self._per_item = float(length)
        return flat

    @abc.abstractmethod
    def _push(self, answer: list[SampledBatch]) -> None:
        """Take an answer, cut into timesteps if these are wanted."""

    @abc.abstractmethod
    def pop(self) -> ReplaySample | None:
        """Return the next element; None if an answer is needed for it."""

    @abc.abstractmethod
    def rest(self) -> ReplaySample | None:
        """Return a last element that is smaller than the others, if anything is left for it."""

    @property
    @abc.abstractmethod
    def held(self) -> float:
        """How many items are here."""

    @abc.abstractmethod
    def wanted(self, under_way: int) -> int:
        """Return how many items to ask for next, at least 1.

        Args:
          under_way: how many have been asked for and not come yet.
        """


class Single(Elements):
    """Each element is one item, or one timestep."""

    whole = False
    _ready: Iterator[Any] = iter(())
    _got = 0

    def _push(self, answer: list[SampledBatch]) -> None:
        self._got = sum(len(batch.places) for batch in answer)
        self._ready = items(answer, self._structure, steps=False)

    def pop(self) -> ReplaySample | None:
        element: ReplaySample | None = next(self._ready, None)
        if element is None:
            self._got = 0
        return element

    def rest(self) -> ReplaySample | None:
        return None

    @property
    def held(self) -> float:
        return self._got / self._per_item

    def wanted(self, under_way: int) -> int:
        return self._most


class Stacked(Elements):
    """Each element is a batch: arrays with a leading axis.

    A batch that is one answer, or a part of one, is handed on as it came; others are copied. So
    items are asked for in the numbers of which batches can be made without a rest.
    """

    whole = True

    def __init__(
        self,
        naming: Naming,
        structure: Structure | None,
        *,
        size: int,
        most: int,
        steps: bool,
        check: Signature | None = None,
    ) -> None:
        """Begin with none; see `Elements`.

        Args:
          naming: how messages call things.
          structure: how to nest the data.
          size: of how many items, or timesteps, a batch consists.
          most: how many items to ask for at once.
          steps: whether batches consist of timesteps.
          check: what each item, or timestep, must be.
        """
        super().__init__(naming, structure, most=most, steps=steps, check=check)
        self._size = size
        self._runs: collections.deque[SampledBatch] = collections.deque()
        self._ready = 0

    def _push(self, answer: list[SampledBatch]) -> None:
        for run in in_order(answer):
            self._runs.append(run)
            self._ready += len(run.places)

    def pop(self) -> ReplaySample | None:
        return self._take(self._size) if self._ready >= self._size else None

    def rest(self) -> ReplaySample | None:
        return self._take(self._ready) if self._ready else None

    @property
    def held(self) -> float:
        return self._ready / self._per_item

    def wanted(self, under_way: int) -> int:
        coming = self._ready + int(under_way * self._per_item)
        missing = self._size - coming % self._size
        return min(self._most, max(1, -int(-missing // self._per_item)))

    def _take(self, count: int) -> ReplaySample:
        self._ready -= count
        parts: list[SampledBatch] = []
        while count:
            run = self._runs.popleft()
            length = len(run.places)
            if length > count:
                self._runs.appendleft(part(run, count, length))
                run, length = part(run, 0, count), count
            parts.append(run)
            count -= length
        batch = join(parts, self._naming)
        structure, columns = self._structure, list(batch.columns)
        data = columns if structure is None else unflatten(structure, columns)
        return ReplaySample(batch.info, data)
