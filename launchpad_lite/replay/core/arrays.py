"""Arrays that grow, and how often their values occur."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from launchpad_lite.replay.core.types import IntArray

T = TypeVar("T", bound=np.generic)


def grown(array: npt.NDArray[T], length: int, fill: float = 0) -> npt.NDArray[T]:
    """Return an array of at least some length: the same one, or a larger copy.

    Args:
      array: of shape [n, ...].
      length: how long it must be.
      fill: what the new places hold.

    Returns:
      The array itself if it is long enough, or one that is at least twice as long, so that growing
      costs the same for each element on average.
    """
    if length <= len(array):
        return array
    shape = (max(length, 2 * len(array), 64), *array.shape[1:])
    # Of zeros that nobody has written to, the system keeps no memory.
    larger = np.full(shape, fill, array.dtype) if fill else np.zeros(shape, array.dtype)
    larger[: len(array)] = array
    return larger


def native(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array in this machine's order of bytes: the same one, or a copy."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def extremes(values: npt.NDArray[Any]) -> tuple[Any, Any]:
    """Return the least and the greatest of some values, as Python's numbers.

    One NaN makes both NaN. Without any value, both are 0. (Where there is one value, as when items
    are inserted one by one, this is ten times as fast as NumPy.)
    """
    if values.size == 1:
        value = values.item()
        return value, value
    if not values.size:
        return 0, 0
    return values.min().item(), values.max().item()


def greatest(values: npt.NDArray[Any]) -> Any:
    """Return the greatest of some values, or 0 where there are none; see `extremes`."""
    if values.size == 1:
        return values.item()
    return values.max().item() if values.size else 0


def occurrences(values: npt.NDArray[np.integer]) -> IntArray:
    """Return for each value how often it occurred before; shape [n]."""
    times = np.zeros(len(values), np.int64)
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    again = ordered[1:] == ordered[:-1]
    if again.any():
        places = np.arange(len(values))
        first = places.copy()
        first[1:][again] = 0
        times[order] = places - np.maximum.accumulate(first)
    return times
