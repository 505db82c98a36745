"""SLURM's time limits in words."""

from __future__ import annotations

import pytest

import launchpad_lite as lp
from launchpad_lite.errors import UsageError
from launchpad_lite.launchers.slurm.time_limit import in_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1", "1 minute"),
        ("5:00", "5 minutes"),
        ("5:01", "6 minutes"),
        ("90", "1 hour 30 minutes"),
        ("5:00:00", "5 hours"),
        ("1-12", "1 day 12 hours"),
        ("2-0:30", "2 days 30 minutes"),
        ("1-02:03:00", "1 day 2 hours 3 minutes"),
        ("0", ""),
    ],
)
def test_words(text: str, words: str) -> None:
    assert in_words(text) == words


@pytest.mark.parametrize(
    ("time", "limit"),
    [
        ("5:00", "time limit: 5 minutes; nodes get notice 60 s before"),
        (10, "time limit: 10 minutes; nodes get notice 60 s before"),
        ("0", "time limit: none"),
        (
            "0:50",
            "time limit: 1 minute, and notice_s=60 is as long: nodes get notice from the start",
        ),
        ("2", "time limit: 2 minutes; nodes get notice 60 s before"),
        (None, ""),
    ],
)
def test_the_limit_that_options_ask_for(time: str | None, limit: str) -> None:
    assert lp.SlurmOptions(time=time).limit.partition("; ask")[0] == limit


@pytest.mark.parametrize("text", ["", "UNLIMITED", "soon", "1:2:3:4", "1-", "-5", "5m", "1.5"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(
        UsageError, match=r"give a time as SLURM reads it: minutes.*; 0 for no limit"
    ):
        lp.SlurmOptions(time=text)
