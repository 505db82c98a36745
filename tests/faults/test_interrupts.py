"""Ctrl-C and TERM: once for a clean end, twice for an immediate one."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from launchpad_lite.runtime import rundir
from tests.faults.bench import SOON_S, Bench, Terminal

LAUNCHERS = ["thread", "process"]
ROOT = Path(__file__).resolve().parents[2]
CLEAN = ["stop handler", "returned"]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_ctrl_c_once_is_a_clean_stop(launcher: str, bench: Bench) -> None:
    bench.lp_launch("make_patient", launcher)
    bench.wait_for("is up", 2)
    bench.interrupt()
    assert bench.ended() == 130, bench.output
    assert sorted(bench.notes[-2:]) == sorted(CLEAN)
    assert "SIGINT: patient-" in bench.output
    assert "stopping; once more to end at once" in bench.output
    assert "Traceback" not in bench.output
    assert bench.nothing_is_left()


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_ctrl_c_in_a_script(launcher: str, bench: Bench) -> None:
    bench.launch("make_patient", launcher)
    bench.wait_for("is up", 2)
    bench.interrupt()
    assert bench.ended() in (-signal.SIGINT, 130)  # a shell shows both as 130
    assert sorted(bench.notes[-2:]) == sorted(CLEAN)
    assert bench.nothing_is_left()


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_sigterm_is_a_clean_stop_too(launcher: str, bench: Bench) -> None:
    bench.launch("make_patient", launcher)
    bench.wait_for("is up", 2)
    bench.process.terminate()
    assert bench.ended() == 128 + signal.SIGTERM
    assert sorted(bench.notes[-2:]) == sorted(CLEAN)
    assert bench.nothing_is_left()


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_ctrl_c_while_the_run_is_launched(launcher: str, bench: Bench) -> None:
    bench.lp_launch("make_early", launcher)
    assert bench.ended() == 130, bench.output
    assert "stopping; once more to end at once" in bench.output
    assert "Traceback" not in bench.output
    assert bench.nothing_is_left()


SLEEP = """
import os, time
with open(f"{os.environ['LP_FAULTS_DIRECTORY']}/notes", "a") as notes:
    notes.write("importing\\n")
time.sleep(3600)
"""


@pytest.mark.parametrize("what", ["the package", "the program"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_while_modules_are_imported(
    what: str, number: int, tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "cloudpickle.py" if what == "the package" else "program.py"
    path = tmp_path / "modules" / name
    path.parent.mkdir()
    path.write_text(SLEEP)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(path.parent), str(ROOT)]))
    bench.start("-m", "lp_launch", str(path.parent / "program.py"))
    bench.wait_for("importing")
    bench.interrupt(number)
    assert bench.ended() in (-number, 128 + number), bench.output  # a shell shows them as one
    assert bench.output == ("lp-launch: interrupted\n" if number == signal.SIGINT else "")
    assert rundir.list_runs() == []


@pytest.mark.parametrize(
    ("launcher", "code"),
    [("thread", 5), ("process", 130)],  # a thread cannot be killed, so its process says so
)
def test_ctrl_c_twice_is_immediate(launcher: str, code: int, bench: Bench) -> None:
    bench.lp_launch("make_stubborn", launcher)  # its notice would be 10 s, its grace 5 s
    bench.wait_for("is up", 2)
    bench.interrupt()
    bench.wait_for_output("once more to end at once")
    bench.wait_for_output(": still waiting for server/0, stubborn/0\n")
    bench.interrupt()
    assert bench.ended(SOON_S) == code, bench.output
    assert "ending at once" in bench.output
    if launcher == "thread":
        assert "stubborn/0 did not end in time" in bench.output
        assert "time.sleep(FOREVER_S)" in bench.output  # its stack
    assert bench.nothing_is_left()


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_ctrl_c_in_a_terminal(launcher: str, terminal: Terminal, bench: Bench) -> None:
    bench.lp_launch("make_patient", launcher, terminal=terminal.line)
    os.close(terminal.line)
    bench.wait_for("is up", 2)
    terminal.press(b"\x03")
    assert bench.ended() == 130, terminal.screen()
    assert sorted(bench.notes[-2:]) == sorted(CLEAN)
    assert "stopping; once more to end at once" in terminal.screen()
    assert bench.nothing_is_left()


def test_hanging_up_the_terminal_ends_the_run(terminal: Terminal, bench: Bench) -> None:
    bench.lp_launch("make_patient", "process", terminal=terminal.line)
    os.close(terminal.line)
    bench.wait_for("is up", 2)
    bench.interrupt(signal.SIGHUP)
    assert bench.ended() == -signal.SIGHUP
    assert bench.nothing_is_left()
