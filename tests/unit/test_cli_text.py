"""Help entries, and time spans."""

from __future__ import annotations

import pytest

from launchpad_lite.cli import text


def test_entries_stand_beside_or_below() -> None:
    shown = text.entries(
        [
            ("--a", "one two three four five six seven"),
            ("--a_very_long_one=VALUE|OTHER", "x"),
            ("b", ""),
        ],
        60,
    )
    assert shown.splitlines() == [
        "  --a                       one two three four five six",
        "                            seven",
        "  --a_very_long_one=VALUE|OTHER",
        "                            x",
        "  b",
    ]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "0s"),
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (3600, "1h"),
        (200_000, "2d"),
    ],
)
def test_age(seconds: float, shown: str) -> None:
    assert text.age(seconds) == shown
