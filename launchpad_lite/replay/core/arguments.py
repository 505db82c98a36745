"""Numbers that users give, checked."""

from __future__ import annotations

import math
import operator
from typing import Any

from launchpad_lite.errors import UsageError


def number(place: str, name: str, value: Any) -> float:
    """Return a number, which may be infinite.

    Args:
      place: whose argument it is, to begin the message with.
      name: the argument's name.
      value: what was given.

    Raises:
      UsageError: it is no number: of another type, or nan.
    """
    try:
        found = math.nan if isinstance(value, bool | str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if math.isnan(found):
        raise UsageError(f"{place}: {name} must be a number, not {value!r}.")
    return found


def count(place: str, name: str, value: Any) -> int:
    """Return a positive integer.

    Args:
      place: whose argument it is, to begin the message with.
      name: the argument's name.
      value: what was given.

    Raises:
      UsageError: it is none.
    """
    try:
        found = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        found = 0
    if found < 1:
        raise UsageError(f"{place}: {name} must be an integer of at least 1, not {value!r}.")
    return found
