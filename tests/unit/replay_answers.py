"""What a replay server answers, made by hand: data that says which item and step it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from launchpad_lite.replay.core.info import SampleInfo
from launchpad_lite.replay.service.protocol import SampledBatch


def answer(
    numbers: Sequence[int], places: Sequence[int] | None = None, length: int = 1
) -> SampledBatch:
    """Items of some steps, whose key is their number.

    A step's first column is `[number, step]` as float32, its second the number.
    """
    keys = np.array(numbers, np.uint64)
    count = len(numbers)
    first = np.empty((count, length, 2), np.float32)
    first[..., 0] = keys[:, np.newaxis]
    first[..., 1] = np.arange(length)
    second = np.repeat(np.array(numbers, np.int64)[:, np.newaxis], length, axis=1)
    return SampledBatch(
        places=np.arange(count) if places is None else np.array(places, np.int64),
        info=SampleInfo(keys, np.ones(count), np.full(count, 9), np.ones(count), np.ones(count)),
        squeezed=(False, False),
        columns=[first, second],
    )
