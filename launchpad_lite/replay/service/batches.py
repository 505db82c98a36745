"""What a server answers, cut into runs, into timesteps, and joined again; all without I/O."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.info import SampleInfo
from launchpad_lite.replay.core.spec import show_shape
from launchpad_lite.replay.service.protocol import SampledBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launchpad_lite.replay.core.types import AnyArray


class Naming(NamedTuple):
    """How messages call things.

    Attributes:
      what: who samples, to begin a message with.
      columns: the names of the columns; None where nobody knows them.
    """

    what: str
    columns: tuple[str, ...] | None = None

    def column(self, index: int) -> str:
        """Return what a column is called."""
        known = self.columns is not None and index < len(self.columns)
        return f"column {self.columns[index]!r}" if known and self.columns else f"column {index}"


def part(batch: SampledBatch, begin: int, end: int) -> SampledBatch:
    """Return the items from one index to another; views, not copies."""
    return batch._replace(
        places=batch.places[begin:end],
        info=SampleInfo(*(field[begin:end] for field in batch.info)),
        columns=[column[begin:end] for column in batch.columns],
    )


def in_order(batches: list[SampledBatch]) -> list[SampledBatch]:
    """Return an answer as runs of items, in the order in which they were sampled.

    A run's items are alike. Runs are views of the answer.
    """
    if len(batches) == 1:
        return batches
    sizes = [len(batch.places) for batch in batches]
    order = np.argsort(np.concatenate([batch.places for batch in batches]), kind="stable")
    whose = np.repeat(np.arange(len(batches)), sizes)[order]
    index = np.concatenate([np.arange(size) for size in sizes])[order]
    ends = np.append(np.flatnonzero(np.diff(whose)) + 1, len(whose)).tolist()
    return [
        part(batches[int(whose[begin])], int(index[begin]), int(index[end - 1]) + 1)
        for begin, end in itertools.pairwise([0, *ends])
    ]


def timesteps(batch: SampledBatch, naming: Naming) -> tuple[SampledBatch, int]:
    """Return items as their timesteps, one after the other, and how many each of them has.

    Each timestep has its item's place and info. The data is not copied.

    Raises:
      UsageError: an item's columns have different lengths.
    """
    lengths = [
        None if squeezed else column.shape[1]
        for squeezed, column in zip(batch.squeezed, batch.columns, strict=True)
    ]
    length = lengths[0]
    if length is None or lengths.count(length) < len(lengths):
        raise UsageError(_no_timesteps(lengths, naming))
    total = len(batch.places) * length
    columns = [column.reshape(total, *column.shape[2:]) for column in batch.columns]
    flat = batch._replace(squeezed=(True,) * len(columns), columns=columns)
    if length == 1:
        return flat, 1
    info = SampleInfo(*(np.repeat(field, length) for field in batch.info))
    return flat._replace(places=np.repeat(batch.places, length), info=info), length


def join(batches: Sequence[SampledBatch], naming: Naming) -> SampledBatch:
    """Return several batches as one, copied unless there is only one.

    Raises:
      UsageError: the batches' items are not alike. The message names the column.
    """
    first = batches[0]
    if len(batches) == 1:
        return first
    for other in batches[1:]:
        _check_alike(first, other, naming)
    fields = zip(*(batch.info for batch in batches), strict=True)
    columns = zip(*(batch.columns for batch in batches), strict=True)
    return SampledBatch(
        places=np.concatenate([batch.places for batch in batches]),
        info=SampleInfo(*map(np.concatenate, fields)),
        squeezed=first.squeezed,
        columns=list(map(np.concatenate, columns)),
    )


def _check_alike(one: SampledBatch, other: SampledBatch, naming: Naming) -> None:
    if len(one.columns) != len(other.columns):
        raise UsageError(
            f"{naming.what}: some items have {len(one.columns)} columns and others "
            f"{len(other.columns)}, so they cannot be stacked in a batch."
        )
    for index, (left, right) in enumerate(zip(one.columns, other.columns, strict=True)):
        if left.shape[1:] != right.shape[1:] or left.dtype != right.dtype:
            raise UsageError(
                f"{naming.what}: {naming.column(index)} is {_show(left)} in some items and "
                f"{_show(right)} in others, so they cannot be stacked in a batch. Insert items "
                "of one shape, or leave out batch_size and batch them yourself."
            )


def _show(column: AnyArray) -> str:
    return f"{column.dtype}{show_shape(column.shape[1:])}"


def _no_timesteps(lengths: Sequence[int | None], naming: Naming) -> str:
    each = ", ".join(
        f"{naming.column(index)} {'is squeezed' if length is None else f'has {length}'}"
        for index, length in enumerate(lengths)
    )
    return (
        f"{naming.what}: an item's columns do not all have the same steps ({each}), so it cannot "
        "be given as timesteps. Sample it as a whole: with a TrajectoryDataset, or "
        "Client.sample(..., emit_timesteps=False)."
    )
