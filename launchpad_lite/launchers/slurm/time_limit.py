"""A job's time limit in SLURM's notation, and in words: `5:00` is five minutes there."""

from __future__ import annotations

import math
import re

FORMS = "minutes, minutes:seconds, hours:mm:ss, days-hours, or days-hours:mm:ss; 0 for no limit"

_NOTATION = re.compile(r"(\d+-)?\d+(:\d+){0,2}")
_MINUTES = (("day", 24 * 60), ("hour", 60), ("minute", 1))


def is_time(text: str) -> bool:
    """Whether SLURM reads a time limit in a text."""
    return _NOTATION.fullmatch(text) is not None


def minutes(text: str) -> int:
    """Return what SLURM takes a time limit for; 0 is none. It rounds up.

    Args:
      text: one that `is_time`.
    """
    days, dash, clock = text.rpartition("-")
    given = [int(part) for part in clock.split(":")]
    if not dash and len(given) < 3:  # noqa: PLR2004 - without hours
        given.insert(0, 0)
    hours, count, seconds = (*given, 0, 0)[:3]
    return (24 * int(days or 0) + hours) * 60 + count + math.ceil(seconds / 60)


def in_words(text: str) -> str:
    """Return a time limit as SLURM takes it: `1 hour 30 minutes`; nothing for 0, which is none.

    Args:
      text: one that `is_time`.
    """
    left = minutes(text)
    words: list[str] = []
    for unit, size in _MINUTES:
        count, left = divmod(left, size)
        if count:
            words.append(f"{count} {unit}{'s' if count > 1 else ''}")
    return " ".join(words)
