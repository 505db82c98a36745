"""Flags travel as parsed values, and only those that differ from their defaults."""

from __future__ import annotations

import enum
import pickle
import threading
from typing import Any

import pytest
from absl import flags as absl_flags

from launchpad_lite import flags
from launchpad_lite.config import RunConfig
from launchpad_lite.errors import UnpicklableError


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


def no_flags() -> Any:
    make: Any = absl_flags.FlagValues
    return make()


def program_flags() -> Any:
    """The flags that a program defines, with a bool, a list and a class of its own."""
    values = no_flags()
    absl_flags.DEFINE_integer("steps", 3, "", flag_values=values, short_name="s")
    absl_flags.DEFINE_bool("verbose", False, "", flag_values=values)
    absl_flags.DEFINE_list("names", ["a"], "", flag_values=values)
    absl_flags.DEFINE_multi_integer("sizes", [1], "", flag_values=values)
    absl_flags.DEFINE_enum_class("colour", Colour.RED, Colour, "", flag_values=values)
    absl_flags.DEFINE_string("path", None, "", flag_values=values)
    return values


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The flags of this process, as if it were the program's."""
    values = program_flags()
    monkeypatch.setattr(flags, "FLAGS", values)
    return values


def in_a_worker(monkeypatch: pytest.MonkeyPatch, travelling: dict[str, object]) -> Any:
    """The flags of another process, after those that travelled have been set."""
    values = program_flags()
    monkeypatch.setattr(flags, "FLAGS", values)
    flags.apply(travelling)
    return values


def test_values_arrive_as_they_were_parsed(there: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    there(["prog", "--steps=7", "--verbose", "--names=b,c", "--sizes=2", "--sizes=3"])
    there.colour = Colour.BLUE
    expected = {
        "steps": 7,
        "s": 7,
        "verbose": True,
        "names": ["b", "c"],
        "sizes": [2, 3],
        "colour": Colour.BLUE,
    }
    assert flags.snapshot() == expected
    travelling = pickle.loads(pickle.dumps(flags.pickled(flags.snapshot())))
    here = in_a_worker(monkeypatch, travelling)
    assert {name: here[name].value for name in expected} == expected
    assert here.path is None
    assert here["steps"].present
    assert not here["path"].present
    assert flags.snapshot() == expected


def test_defaults_do_not_travel(there: Any) -> None:
    there(["prog", "--steps=3", "--noverbose"])
    assert flags.snapshot() == {}


def test_a_process_whose_command_line_was_not_parsed_has_nothing_to_send(
    there: Any,
) -> None:
    assert not there.is_parsed()
    assert flags.snapshot() == {}


def test_flags_that_are_defined_late_are_set_when_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = no_flags()
    monkeypatch.setattr(flags, "FLAGS", values)
    flags.apply(flags.pickled({"late": 7, "l": 7, "nobody_knows_it": 8, "colour": Colour.BLUE}))
    assert values.is_parsed()
    absl_flags.DEFINE_integer("late", 3, "", flag_values=values, short_name="l")
    absl_flags.DEFINE_enum_class("colour", Colour.RED, Colour, "", flag_values=values)
    absl_flags.DEFINE_integer("later", 4, "", flag_values=values)
    assert (values.late, values.l, values.colour, values.later) == (7, 7, Colour.BLUE, 4)
    assert flags.snapshot() == {"late": 7, "l": 7, "colour": Colour.BLUE}


def test_a_value_of_a_class_that_is_not_known_yet_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = no_flags()
    monkeypatch.setattr(flags, "FLAGS", values)
    flags.apply({"colour": flags.Pickled(b"nobody can read this yet")})
    assert values.is_parsed()


def test_a_value_that_cannot_be_pickled_names_its_flag() -> None:
    with pytest.raises(UnpicklableError, match=r"flag --lock: .* cannot be sent to a worker"):
        flags.pickled({"lock": threading.Lock()})


def test_without_a_command_line_a_runs_settings_are_the_defaults() -> None:
    assert flags.run_config() == RunConfig()
    assert flags.value(flags.LAUNCHER) is None
    assert flags.value(flags.DRY_RUN) is False


def test_a_runs_settings_are_what_the_flags_say() -> None:
    ours: Any = absl_flags.FLAGS  # those of this process, parsed for the length of the test
    was_parsed = ours.is_parsed()
    names = (
        *("lp_termination_notice_secs", "lp_grace_secs", "lp_seed"),
        *("lp_checkpoint_dir", "lp_max_payload_bytes", "lp_launcher", "lp_transport"),
        "lp_busy_poll_us",
    )
    before = {name: ours[name].value for name in names}
    try:
        flags.apply(dict(zip(names, (1.0, 2.0, 3, "/there", 4, "process", "tcp", 5), strict=True)))
        assert flags.run_config() == RunConfig(
            notice_s=1.0,
            grace_s=2.0,
            seed=3,
            checkpoint_dir="/there",
            max_payload_bytes=4,
            transport="tcp",
            busy_poll_us=5,
        )
        assert flags.value(flags.LAUNCHER) == "process"
    finally:
        flags.apply(before)
        for name in names:
            ours[name].using_default_value = True
            ours[name].present = 0
        if not was_parsed:
            ours.unparse_flags()


def test_our_flags_begin_with_lp() -> None:
    every: Any = absl_flags.FLAGS
    ours = [flag.name for flag in every.flags_by_module_dict()[flags.__name__]]
    assert ours
    assert all(name.startswith("lp_") for name in ours)
