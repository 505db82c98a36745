"""Where nodes' output is shown: terminals that are there, and those that are not."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import launchpad_lite as lp
from launchpad_lite.testing.conformance.launcher_parts.base import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator


class Talker:
    """Says one line."""

    def __init__(self) -> None:
        print("a line of it", flush=True)

    def ping(self) -> str:
        return "pong"


def talkers(number: int = 2) -> lp.Program:
    program = lp.Program("talkers")
    with program.group("talker"):
        for _ in range(number):
            program.add_node(lp.CourierNode(Talker))
    return program


@pytest.fixture
def tmux(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A tmux server of the test's own."""
    if shutil.which("tmux") is None:  # no dependency of ours, in CI neither
        pytest.skip("tmux is not installed")
    monkeypatch.delenv("TMUX", raising=False)
    with tempfile.TemporaryDirectory(prefix="lp-tmux-") as directory:
        monkeypatch.setenv("TMUX_TMPDIR", directory)
        try:
            yield
        finally:
            subprocess.run(["tmux", "kill-server"], check=False, capture_output=True)


def ask_tmux(*command: str) -> str:
    return subprocess.run(["tmux", *command], check=True, capture_output=True, text=True).stdout


@pytest.mark.usefixtures("tmux")
def test_tmux_has_a_window_for_each_node(capfd: pytest.CaptureFixture[str]) -> None:
    options = lp.LaunchOptions(terminal="tmux_session", tmux_session_name="our.talkers")
    with lp.launch(talkers(), "process", options=options) as run:
        assert run.client("talker", 1).ping() == "pong"
        windows = ask_tmux("list-windows", "-t", "our_talkers", "-F", "#{window_name}").split()
        assert windows == ["talker/0", "talker/1"]
        pane = ("capture-pane", "-p", "-t", "our_talkers:talker/1")
        assert eventually(lambda: "a line of it" in ask_tmux(*pane))
        with pytest.raises(lp.UsageError, match="a tmux session 'our_talkers' already"):
            lp.launch(talkers(), "process", options=options)
        run.stop()
    assert eventually(lambda: "the run has ended" in ask_tmux(*pane))
    captured = capfd.readouterr()
    assert "a line of it" not in captured.out
    assert "tmux attach -t our_talkers" in captured.err


def test_output_goes_to_files_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with lp.launch(talkers(1), "process", terminal="output_to_files") as run:
        assert run.client("talker", 0).ping() == "pong"
        run.stop()
        assert run.directory is not None
        log = Path(run.directory) / "logs" / "talker-0.log"
    assert log.read_text() == "a line of it\n"
    assert capfd.readouterr().out == ""


def test_a_failure_that_was_not_shown_is_told_whole() -> None:
    program = lp.make_program(lp.PyNode(int, "no number"))
    with pytest.raises(lp.NodeFailed) as caught:
        lp.launch(program, "process", terminal="output_to_files").wait()
    assert not caught.value.shown


def test_windows_of_another_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    fake = tmp_path / "bin" / "xterm"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$1 $2 $3" >> {seen}\n')
    fake.chmod(0o700)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
    with lp.launch(talkers(1), "process", terminal="xterm") as run:
        assert eventually(lambda: seen.exists() and "-T talker/0 -e" in seen.read_text())
        run.stop()


@pytest.mark.parametrize("terminal", ["tmux_session", "xterm", "gnome-terminal"])
def test_what_is_not_installed_is_an_error_before_anything_starts(
    terminal: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with pytest.raises(lp.UsageError, match="is not installed, or not in PATH"):
        lp.launch(talkers(), "process", terminal=terminal)
    assert not (tmp_path / "state").exists()


def test_a_misspelt_name_is_an_error_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        lp.UsageError, match="unknown terminal 'tmux_sesion'; did you mean 'tmux_session'"
    ):
        lp.launch(talkers(), "process", terminal="tmux_sesion")
    monkeypatch.setenv("LAUNCHPAD_LAUNCH_LOCAL_TERMINAL", "xtrem")
    with pytest.raises(lp.UsageError, match="'xtrem'; did you mean 'xterm'"):
        lp.launch(talkers(), "process")


@pytest.mark.usefixtures("tmux")
@pytest.mark.parametrize("name", ["a#(touch /nowhere/x)", "a;", "-a", ""])
def test_a_name_that_tmux_would_read_otherwise(name: str) -> None:
    options = lp.LaunchOptions(terminal="tmux_session", tmux_session_name=name)
    with pytest.raises(lp.UsageError, match="cannot be a session's name"):
        lp.launch(talkers(), "process", options=options)


def test_threads_get_a_warning(capfd: pytest.CaptureFixture[str]) -> None:
    with lp.launch(talkers(), "thread", terminal="tmux_session") as run:
        run.stop()
    assert "warning: terminal 'tmux_session' has no effect: nodes are" in capfd.readouterr().err


def test_tmux_can_be_opened_only_from_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    monkeypatch.delenv("TMUX", raising=False)
    options = lp.LaunchOptions(terminal="tmux_session", tmux_open_window=True)
    with pytest.raises(lp.UsageError, match="not in a tmux"):
        lp.launch(talkers(), "process", options=options)
