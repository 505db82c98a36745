"""Splitting the command line of `lp-launch`."""

from __future__ import annotations

from typing import Any

import pytest
from absl import flags as absl_flags

from launchpad_lite import flags
from launchpad_lite.cli import arguments
from launchpad_lite.errors import UsageError


def test_every_spelling_of_our_flags_is_understood() -> None:
    line = arguments.split(
        [
            *("--launcher=process", "-launcher", "thread", "--lp_launcher", "ray", "-lp_seed=3"),
            *("--dry_run", "--nodry_run", "-lp_dry_run=true", "--nolp_dry_run"),
            "program.py",
        ]
    )
    assert line.ours == (
        ("lp_launcher", "process"),
        ("lp_launcher", "thread"),
        ("lp_launcher", "ray"),
        ("lp_seed", "3"),
        ("lp_dry_run", "true"),
        ("lp_dry_run", "false"),
        ("lp_dry_run", "true"),
        ("lp_dry_run", "false"),
    )
    assert line.short == {"launcher", "dry_run"}
    assert line.target == "program.py"
    assert line.rest == ()


def test_what_is_not_ours_is_left_alone_and_in_order() -> None:
    line = arguments.split(
        ["program.py", "--size", "3", "--lp_seed=1", "-v", "x", "--", "--launcher=mine", "-h"]
    )
    assert line.rest == ("--size", "3", "-v", "x", "--", "--launcher=mine", "-h")
    assert line.ours == (("lp_seed", "1"),)
    assert line.short == frozenset()
    assert not line.wants_help


@pytest.mark.parametrize("option", ["-h", "--help", "-help"])
def test_help_may_stand_anywhere(option: str) -> None:
    assert arguments.split([option]).wants_help
    assert arguments.split(["program.py", "--size=3", option]).wants_help


def test_no_arguments() -> None:
    line = arguments.split([])
    assert (line.target, line.rest, line.wants_help) == (None, (), False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["program.py", "--lp_launchr=x"], "unknown flag --lp_launchr; did you mean"),
        (["program.py", "--nolp_dry_rum"], "unknown flag --nolp_dry_rum; did you mean"),
        (["program.py", "--nolp_launcher"], "unknown flag --nolp_launcher"),
        (["program.py", "--lp_seed"], "--lp_seed needs a value: --lp_seed=..."),
        (["--size=3", "program.py"], "--size=3 is no flag of lp-launch"),
    ],
)
def test_a_wrong_command_line(given: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        arguments.split(given)
    assert message in str(caught.value)


@pytest.fixture
def fresh_flags(monkeypatch: pytest.MonkeyPatch) -> absl_flags.FlagValues:
    make: Any = absl_flags.FlagValues  # its constructor has no types
    values: absl_flags.FlagValues = make()
    absl_flags.DEFINE_string("lp_launcher", None, "", flag_values=values)
    absl_flags.DEFINE_bool("lp_dry_run", False, "", flag_values=values)
    absl_flags.DEFINE_integer("lp_seed", 0, "", flag_values=values, lower_bound=0)
    absl_flags.DEFINE_multi_string("lp_resources", [], "", flag_values=values)
    monkeypatch.setattr(flags, "FLAGS", values)
    return values


def test_our_flags_become_defaults_that_later_parsing_keeps(
    fresh_flags: absl_flags.FlagValues,
) -> None:
    arguments.apply([("lp_launcher", "process"), ("lp_dry_run", "true"), ("lp_seed", "3")])
    given = {"lp_launcher": "process", "lp_dry_run": True, "lp_seed": 3, "lp_resources": []}
    assert fresh_flags.flag_values_dict() == given
    fresh_flags(["script"])
    assert fresh_flags.flag_values_dict() == given


def test_of_flags_given_twice_the_last_counts_unless_they_may_be_repeated(
    fresh_flags: absl_flags.FlagValues,
) -> None:
    given = [("lp_seed", "1"), ("lp_resources", "a:cpus=1"), ("lp_resources", "b:cpus=1")]
    arguments.apply([*given, ("lp_seed", "2")])
    values = fresh_flags.flag_values_dict()
    assert values["lp_seed"] == 2
    assert values["lp_resources"] == ["a:cpus=1", "b:cpus=1"]


@pytest.mark.parametrize(
    ("name", "text"), [("lp_seed", "x"), ("lp_seed", "-1"), ("lp_dry_run", "perhaps")]
)
def test_a_wrong_value_of_ours(fresh_flags: absl_flags.FlagValues, name: str, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        arguments.apply([(name, text)])
    assert f"--{name}={text}" in str(caught.value)


def test_collisions_are_only_those_that_were_used() -> None:
    arguments.check_collisions([], ["launcher"], "program.py")
    arguments.check_collisions(["dry_run"], ["launcher"], "program.py")
    with pytest.raises(UsageError) as caught:
        arguments.check_collisions(["launcher"], ["launcher"], "program.py")
    assert "Write --lp_launcher for lp-launch's" in str(caught.value)
