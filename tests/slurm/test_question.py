"""Ctrl-C on the terminal that has launched a program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.faults.bench import Terminal
from tests.slurm.login import PROGRAM, Launched, Login

pytestmark = pytest.mark.slurm

CTRL_C = b"\x03"
QUESTION = "goes on as before: "


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


@pytest.fixture
def run(login: Login, terminal: Terminal) -> Launched:
    """A program that was launched on a terminal, and runs."""
    words = login.lab.words("setsid", "--ctty", sys.executable, str(PROGRAM), "--mode=wait")
    process = subprocess.Popen(
        words,
        env={**login.lab.env, **login.env},
        stdin=terminal.line,
        stdout=terminal.line,
        stderr=terminal.line,
        text=True,
    )
    os.close(terminal.line)
    run = Launched(process, login.home / "nothing", login.home, login.lab)
    login.launched.append(run)
    terminal.wait_for("waiting")
    return run


def test_it_may_go_on_without_the_terminal(run: Launched, login: Login, terminal: Terminal) -> None:
    terminal.press(CTRL_C)
    terminal.wait_for(QUESTION)
    terminal.press(b"d\n")
    assert run.process.wait(60) == 0
    assert "goes on without this process: lp-launch status spread-" in terminal.screen()
    assert "Traceback" not in terminal.screen()
    assert list(login.lab.queue().values()) == ["RUNNING"]
    stopped = login.lp_launch("stop", run.run.name)
    assert stopped.returncode == 0, stopped.stderr
    assert run.end() == 0


def test_it_may_be_stopped(run: Launched, terminal: Terminal) -> None:
    terminal.press(CTRL_C)
    terminal.wait_for(QUESTION)
    terminal.press(b"s\n")
    assert run.end() == -signal.SIGINT
    assert "told to stop: True" in terminal.screen()


def test_a_second_ctrl_c_stops_it(run: Launched, terminal: Terminal) -> None:
    terminal.press(CTRL_C)
    terminal.wait_for(QUESTION)
    terminal.press(CTRL_C)
    assert run.end() == -signal.SIGINT
    assert "told to stop: True" in terminal.screen()
