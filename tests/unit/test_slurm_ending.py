"""What is said where SLURM tells a job to end."""

from __future__ import annotations

import pytest

from launchpad_lite.launchers.slurm import ending
from launchpad_lite.launchers.slurm.commands import moment
from launchpad_lite.launchers.slurm.ending import Limit

TOLD = "SLURM told the job to end (SIGTERM)"
LIMIT = Limit(words="2 minutes", ends=1000.0)


@pytest.mark.parametrize(
    ("limit", "now", "text"),
    [
        (LIMIT, 941.6, f"{TOLD}, 58 s before its time limit of 2 minutes is reached"),
        (LIMIT, 885.0, f"{TOLD}, 115 s before its time limit of 2 minutes is reached"),
        (LIMIT, 870.0, TOLD),  # somebody else has
        (LIMIT, 1010.0, TOLD),  # it was given more time
        (None, 941.6, TOLD),
    ],
)
def test_a_time_limit_that_is_near_is_named(limit: Limit | None, now: float, text: str) -> None:
    assert ending.told(limit, 60, now) == text


def test_the_limit_of_a_job() -> None:
    ends = "2026-11-27T17:41:19"
    limit = ending.limit_of({"TimeLimit": "00:02:00", "EndTime": ends})
    assert limit == Limit(words="2 minutes", ends=moment(ends) or 0.0)


@pytest.mark.parametrize(
    "facts",
    [{"TimeLimit": "UNLIMITED", "EndTime": "2027-11-27T17:41:19"}, {"EndTime": "Unknown"}, {}],
)
def test_a_job_without_a_limit(facts: dict[str, str]) -> None:
    assert ending.limit_of(facts) is None
