"""What is said where SLURM tells a job to end: its time limit is named if that is near."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from launchpad_lite.launchers.slurm import time_limit
from launchpad_lite.launchers.slurm.commands import moment

if TYPE_CHECKING:
    from collections.abc import Mapping

_EARLY_S = 60.0  # by so much SLURM's notice of a time limit may come too soon


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limit:
    """A job's time limit, as it was when the job began; it may be given more time.

    Attributes:
      words: how long it is, for people.
      ends: when it is reached, in seconds since 1970.
    """

    words: str
    ends: float


def limit_of(facts: Mapping[str, str]) -> Limit | None:
    """Return a job's time limit; None if it has none.

    Args:
      facts: what SLURM tells of the job.
    """
    text, ends = facts.get("TimeLimit", ""), moment(facts.get("EndTime", ""))
    if not time_limit.is_time(text) or ends is None:
        return None
    return Limit(words=time_limit.in_words(text), ends=ends)


def told(limit: Limit | None, notice_s: float, now: float) -> str:
    """Return what is said where SIGTERM has come, for people.

    Args:
      limit: the job's time limit.
      notice_s: how long before it SLURM is to tell.
      now: in seconds since 1970.
    """
    text = "SLURM told the job to end (SIGTERM)"
    if limit is None or not 0 <= limit.ends - now <= notice_s + _EARLY_S:
        return text
    return f"{text}, {limit.ends - now:.0f} s before its time limit of {limit.words} is reached"
