"""What users may tell Ray's launcher."""

from __future__ import annotations

from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite.errors import UsageError
from tests.helpers import unchecked


@pytest.mark.parametrize(
    "wrong",
    [
        {"strategy": "TIGHT"},
        {"workers_per_actor": 0},
        {"runtime_env": ["pip"]},
        {"groups": {"actor": 1}},
        {"wait_s": -1.0},
        {"address": 6379},
        {"labels": {"zone": 1}},
    ],
)
def test_options_that_cannot_work(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        unchecked(lp.RayOptions)(**wrong)


def test_environments_of_groups() -> None:
    own = lp.RayGroup(runtime_env={"env_vars": {"A": "2"}, "pip": ["x"]})
    options = lp.RayOptions(runtime_env={"env_vars": {"A": "1", "B": "1"}}, groups={"own": own})
    assert options.runtime_env_of("own") == {"env_vars": {"A": "2", "B": "1"}, "pip": ["x"]}
    assert options.runtime_env_of("other") == {"env_vars": {"A": "1", "B": "1"}}


@pytest.mark.parametrize(
    "wrong",
    [
        {"strategy": "TIGHT"},
        {"beside": 1},
        {"labels": {"zone": "in()"}},
        {"workers_per_actor": 0},
    ],
)
def test_groups_that_cannot_work(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"RayGroup: {next(iter(wrong))}"):
        unchecked(lp.RayGroup)(**wrong)


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ({"a": lp.RayGroup(beside="a")}, "group 'a' is beside itself"),
        (
            {"a": lp.RayGroup(beside="b", strategy="SPREAD")},
            "'a' is to be beside 'b', on one machine, but group 'a' has strategy 'SPREAD'",
        ),
        (
            {"a": lp.RayGroup(beside="b"), "b": lp.RayGroup(strategy="PACK")},
            "'a' is to be beside 'b', on one machine, but group 'b' has strategy 'PACK'",
        ),
    ],
)
def test_contradictions(groups: dict[str, lp.RayGroup], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        lp.RayOptions(groups=groups)


def test_strategies_of_groups() -> None:
    groups = {
        "own": lp.RayGroup(strategy="SPREAD"),
        "beside": lp.RayGroup(beside="other", strategy="STRICT_PACK"),
    }
    options = lp.RayOptions(groups=groups)
    assert {label: options.strategy_of(label) for label in ("own", "beside", "other", "rest")} == {
        "own": "SPREAD",
        "beside": "STRICT_PACK",
        "other": "STRICT_PACK",
        "rest": "PACK",
    }
