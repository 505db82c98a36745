"""Launchers by name: ours, and those of other packages."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

from launchpad_lite.errors import LauncherUnavailableError, UsageError
from launchpad_lite.launchers import registry
from launchpad_lite.launchers.base import Launcher
from launchpad_lite.launchers.process import ProcessLauncher
from launchpad_lite.launchers.thread import ThreadLauncher


class TheirLauncher(ThreadLauncher):
    name = "theirs"
    summary = "a launcher of another package"
    reason: str | None = None

    def unavailable(self) -> str | None:
        return self.reason


class BrokenLauncher(ThreadLauncher):
    def __init__(self) -> None:
        raise OSError("no configuration")


HERE = __name__
DECLARED = {
    "theirs": f"{HERE}:TheirLauncher",
    "broken": f"{HERE}:BrokenLauncher",
    "gone": "a_package_that_is_not_there:Launcher",
    "misspelt": f"{HERE}:TheirLauncer",
    "thread": f"{HERE}:BrokenLauncher",  # a name of ours
}


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a package were installed that declares launchers."""

    def entry_points(*, group: str) -> list[importlib.metadata.EntryPoint]:
        assert group == "launchpad_lite.launchers"
        return [
            importlib.metadata.EntryPoint(name, value, group) for name, value in DECLARED.items()
        ]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)


@pytest.mark.parametrize(
    ("name", "cls"), [("thread", ThreadLauncher), ("process", ProcessLauncher)]
)
def test_ours(name: str, cls: type[Launcher]) -> None:
    launcher = registry.get(name)
    assert type(launcher) is cls
    assert launcher.name == name
    assert launcher.summary
    assert launcher.capabilities().launcher == name
    assert name in registry.entry_points()


def test_an_unknown_name_lists_the_known_ones(declared: None) -> None:
    with pytest.raises(UsageError) as caught:
        registry.get("theers")
    text = str(caught.value)
    assert text.startswith("unknown launcher 'theers'; did you mean 'theirs'?")
    for name in ("broken", "process", "theirs", "thread"):
        assert name in text


def test_theirs_are_merged_with_ours(declared: None) -> None:
    assert {"thread", "process", *DECLARED} <= set(registry.entry_points())
    assert isinstance(registry.get("theirs"), TheirLauncher)


def test_ours_cannot_be_replaced(declared: None) -> None:
    assert type(registry.get("thread")) is ThreadLauncher
    assert type(registry.load(registry.entry_points()["thread"])) is ThreadLauncher


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone", "No module named 'a_package_that_is_not_there'"),
        ("misspelt", "TheirLauncer"),
        ("broken", "no configuration"),
    ],
)
def test_a_broken_one_is_named_and_harms_no_other(declared: None, name: str, reason: str) -> None:
    with pytest.raises(LauncherUnavailableError, match=reason) as caught:
        registry.get(name)
    assert f"launcher {name!r} ({DECLARED[name]}) cannot be imported" in str(caught.value)
    assert caught.value.__cause__ is not None
    assert isinstance(registry.get("theirs"), TheirLauncher)


def test_one_that_cannot_be_used_says_why(declared: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TheirLauncher, "reason", "no cluster. Start one.")
    with pytest.raises(LauncherUnavailableError) as caught:
        registry.get("theirs")
    assert str(caught.value) == "launcher 'theirs' cannot be used here: no cluster. Start one."
    registry.load(registry.entry_points()["theirs"])  # can still be listed


def test_looking_up_ours_does_not_look_at_installed_packages() -> None:
    code = """
import importlib.metadata
def refuse(**_): raise AssertionError
importlib.metadata.entry_points = refuse
from launchpad_lite.launchers import registry
registry.get("thread"), registry.get("process")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
