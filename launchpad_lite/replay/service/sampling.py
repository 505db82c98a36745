"""Single items of what a server answers in batches."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from launchpad_lite.replay.core.info import ReplaySample, SampleInfo
from launchpad_lite.replay.core.nest import unflatten
from launchpad_lite.replay.service.batches import Naming, timesteps
from launchpad_lite.replay.service.prefetch import Prefetch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from launchpad_lite.courier.client import Client
    from launchpad_lite.replay.core.nest import Structure
    from launchpad_lite.replay.service.protocol import SampledBatch

FIRST_COUNT = 256
"""How many items are asked for first, when nobody knows how large they are."""

_NAMING = Naming("sample")
_BYTES_AT_ONCE = 2**24
_MOST_AT_ONCE = 1024


def sample(
    courier: Client, table: str, count: int, structure: Structure | None, *, steps: bool
) -> Generator[Any]:
    """Yield sampled items; see `Client.sample`.

    While some are looked at, the next ones are under way already.
    """
    prefetch = Prefetch(
        courier,
        table,
        f"sample of {table!r}",
        whole=False,
        timeout_s=None,
        max_samples=count,
        detached=False,
    )
    prefetch.ask(FIRST_COUNT)
    while batches := prefetch.take():
        got = sum(len(batch.places) for batch in batches)
        size = max(1, sum(column.nbytes for batch in batches for column in batch.columns))
        prefetch.ask(max(1, min(_MOST_AT_ONCE, got * _BYTES_AT_ONCE // size)))
        yield from items(batches, structure, steps=steps)


def items(
    batches: list[SampledBatch], structure: Structure | None, *, steps: bool
) -> Iterator[Any]:
    """Return the items of an answer, in the order in which they were sampled.

    Args:
      batches: the answer.
      structure: how to nest their data; None for a list of columns.
      steps: whether to give each item as the list of its steps.

    Raises:
      UsageError: an item cannot be given as steps, or does not have as many columns as the
        structure.
    """
    pack = list if structure is None else _packer(structure)
    split = _steps if steps else _whole
    if len(batches) == 1:
        return split(batches[0], pack)
    placed = [
        (place, item)
        for batch in batches
        for place, item in zip(batch.places.tolist(), split(batch, pack), strict=True)
    ]
    placed.sort(key=lambda each: each[0])
    return iter([item for _, item in placed])


def _packer(structure: Structure) -> Callable[[Any], Any]:
    return lambda columns: unflatten(structure, list(columns))


def _infos(batch: SampledBatch) -> Iterator[SampleInfo]:
    return itertools.starmap(
        SampleInfo, zip(*(field.tolist() for field in batch.info), strict=True)
    )


def _whole(batch: SampledBatch, pack: Callable[[Any], Any]) -> Iterator[ReplaySample]:
    rows = zip(*batch.columns, strict=True)
    return (ReplaySample(info, pack(row)) for info, row in zip(_infos(batch), rows, strict=True))


def _steps(batch: SampledBatch, pack: Callable[[Any], Any]) -> Iterator[list[ReplaySample]]:
    flat, length = timesteps(batch, _NAMING)
    each = _whole(flat, pack)
    return (list(itertools.islice(each, length)) for _ in batch.places)
