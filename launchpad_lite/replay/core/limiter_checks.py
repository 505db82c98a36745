"""Settings of rate limiters that would deadlock, and why.

`SampleToInsertRatio` is refused, or warned of, where google-deepmind/reverb does so
(reverb/rate_limiters.py).
"""

from __future__ import annotations

import logging
import math
import sys
from typing import Any

from launchpad_lite.errors import UsageError
from launchpad_lite.validation import number

_log = logging.getLogger(__name__)

UNLIMITED = sys.float_info.max
"""An error that no table ever has, for a range without an end."""


def positive_ratio(value: Any) -> float:
    """Return a number of samples per insert.

    Raises:
      UsageError: it is no finite number above 0.
    """
    ratio = number("samples_per_insert", value)
    if not 0 < ratio < math.inf:
        raise UsageError(
            f"samples_per_insert must be a finite number above 0, not {value!r}: with "
            "less, inserts allow no samples and sampling ends for ever; with more, the first "
            "insert blocks all others. For no ratio at all take MinSize(min_size_to_sample)."
        )
    return ratio


def error_range(middle: float, error_buffer: Any) -> tuple[float, float]:
    """Return the least and the greatest error that a user allows.

    Args:
      middle: the error around which one number means a range.
      error_buffer: what was given.

    Raises:
      UsageError: it is neither a number nor two.
    """
    if hasattr(error_buffer, "__float__"):
        buffer = number("error_buffer", error_buffer)
        return middle - buffer, middle + buffer
    try:
        low, high = error_buffer
    except (TypeError, ValueError):
        raise UsageError(
            f"error_buffer must be a number, or a least and a greatest error, not {error_buffer!r}."
        ) from None
    return number("error_buffer[0]", low), number("error_buffer[1]", high)


def check_width(place: str, ratio: float, low: float, high: float, least: float) -> None:
    """Check that a range of errors is wide enough for inserts and samples to alternate.

    Args:
      place: what the range is, to begin the message with.
      ratio: how many samples an insert allows.
      low: the least error.
      high: the greatest.
      least: how wide it must be.

    Raises:
      UsageError: it is narrower.
    """
    if not high - low >= least:  # two infinite ends differ by nan
        raise UsageError(
            f"{place}: the error may range from {low:g} to {high:g}, which is {high - low:g} wide, "
            f"and must be at least {least:g} wide. An insert raises the error by {ratio:g} and a "
            "sample lowers it by 1: in a narrower range both could be blocked at once, for ever."
        )


def check_range(place: str, ratio: float, size: int, low: float, high: float) -> None:
    """Check that a range of errors lets a program go on at the end of the first stage.

    Args:
      place: what the range is, to begin the message with.
      ratio: how many samples an insert allows.
      size: how many items there are at that time.
      low: the least error.
      high: the greatest.

    Raises:
      UsageError: it is too narrow, or begins too high.
    """
    check_width(f"{place} is too small", ratio, low, high, 2 * max(1.0, ratio))
    if low > ratio * size:
        raise UsageError(
            f"{place} begins too high: a table with min_size_to_sample={size} items has an error "
            f"of {ratio * size:g}, and sampling would still be blocked below {low:g}. A program "
            "that fills the table to that size and then samples would wait for ever. Lower the "
            f"first number to {ratio * size - 1:g} or less."
        )
    if high < ratio * size:
        _log.warning(
            "%s ends low: a table with min_size_to_sample=%d items has an error of %g, above %g, "
            "so inserts are blocked until samples are taken. A program that inserts and samples "
            "in one thread can wait for ever.",
            *(place, size, ratio * size, high),
        )


def check_beginning(place: str, ratio: float, size: int, low: float, high: float) -> None:
    """Check that there are inserts after which the first sample is allowed.

    Args:
      place: whose settings these are, to begin the message with.
      ratio: how many samples an insert allows.
      size: how many items must be there, and may always be inserted.
      low: the least error.
      high: the greatest.

    Raises:
      UsageError: there are none.
    """
    most = max(size * ratio, high - math.fmod(high, ratio))  # each a multiple of the ratio
    if most - 1 < low:
        raise UsageError(
            f"{place}: sampling could never begin, and inserting would end: before the first "
            f"sample the error, inserts * samples_per_insert, can only grow to {most:g} "
            f"(min_size_to_sample={size}, samples_per_insert={ratio:g}, max_diff={high:g}), and a "
            f"sample must leave at least min_diff={low:g} after taking 1 away."
        )
