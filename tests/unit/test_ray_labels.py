"""Labels of machines, and what is asked of them, as Ray understands it."""

from __future__ import annotations

from typing import Any

import pytest

from launchpad_lite.errors import UsageError
from launchpad_lite.launchers.ray.labels import match, selector, shortages, text

SPOT = {"market-type": "spot", "zone": "a"}
OWNED = {"market-type": "owned"}


@pytest.mark.parametrize(
    ("asked", "spot", "owned"),
    [
        ({}, True, True),
        ({"market-type": "spot"}, True, False),
        ({"market-type": "!spot"}, False, True),
        ({"market-type": "in(spot,owned)"}, True, True),
        ({"market-type": "!in(owned,lent)"}, True, False),
        ({"zone": "a"}, True, False),
        ({"zone": "!b"}, True, True),  # one that has no such label has another value, too
        ({"zone": "!a", "market-type": "spot"}, False, False),
    ],
)
def test_what_is_asked(asked: dict[str, str], spot: bool, owned: bool) -> None:
    assert (match(asked, SPOT), match(asked, OWNED)) == (spot, owned)


def test_spaces_which_ray_would_take_for_parts_of_the_values() -> None:
    asked = selector("labels", {"zone": "in(a, b)"})
    assert asked == {"zone": "in(a,b)"}
    assert match(asked, {"zone": "b"})


@pytest.mark.parametrize(
    "wrong",
    [
        "spot",
        ["zone"],
        {"zone": 1},
        {1: "a"},
        {"": "a"},
        {"zone": ""},
        {"zone": "!"},
        {"zone": "in()"},
        {"zone": "in(a,)"},
        {"zone": "(a)"},
        {"zone": "!!a"},
        {"zone": "not in(a)"},
        {"zone": "-a"},
        {"zone": "a" * 64},
    ],
)
def test_what_ray_would_not_understand(wrong: Any) -> None:
    with pytest.raises(UsageError, match=r"labels=.*: give a dict of labels"):
        selector("labels", wrong)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"market-type": "spot"}, []),
        (
            {"market-typ": "spot"},
            [
                (
                    "No machine has a label 'market-typ'; did you mean 'market-type'? "
                    "Known: market-type, zone."
                )
            ],
        ),
        (
            {"market-type": "spott"},
            ["No machine has market-type=spott; did you mean 'spot'? Known: owned, spot."],
        ),
        (
            {"market-type": "!in(owned,spot)"},
            ["No machine has market-type=!in(owned,spot). Known: owned, spot."],
        ),
        (
            {"market-type": "owned", "zone": "a"},
            ["No machine has all of market-type=owned, zone=a."],
        ),
    ],
)
def test_what_no_machine_has(asked: dict[str, str], says: list[str]) -> None:
    assert list(shortages(asked, [SPOT, OWNED])) == says


def test_for_people() -> None:
    assert text({"zone": "!a", "market-type": "spot"}) == "zone=!a, market-type=spot"
