"""Pdb for a node that has failed, on the terminal of the launching process."""

from __future__ import annotations

import os
import select
import signal

import psutil
import pytest

from tests.faults.bench import SOON_S, Bench, Terminal, eventually

LAUNCHERS = ["thread", "process"]
HEADER = "has failed: ZeroDivisionError: integer division or modulo by zero"


def start(bench: Bench, factory: str, launcher: str, terminal: Terminal) -> None:
    """Launches a program, and waits for the first prompt and for the other node."""
    bench.lp_launch(factory, launcher, "--lp_pdb", terminal=terminal.line)
    os.close(terminal.line)
    terminal.wait_for("(Pdb) ")
    bench.wait_for("talker/0 is up" if factory == "make_wrong" else "both/0/0 is up")


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("keys", [b"q\n", b"\x04"])
def test_a_failed_node_is_debugged_and_then_reported(
    keys: bytes, launcher: str, terminal: Terminal, bench: Bench
) -> None:
    start(bench, "make_wrong", launcher, terminal)
    bench.note("speak")
    bench.wait_for("has spoken")
    terminal.press(b"p dividend // 2\n")
    terminal.wait_for("(Pdb) ", 2)
    terminal.press(b"print(divisor + 7)\n")
    terminal.wait_for("(Pdb) ", 3)
    terminal.press(keys)
    assert bench.ended() == 1, terminal.screen()
    screen = terminal.screen()
    assert f"bad/0 {HEADER}" in screen
    asked, _, after = screen.partition("print(divisor + 7)")
    assert "-> print(dividend // divisor)" in asked
    assert "\n42\r\n" in asked
    assert "said before" in screen.partition(HEADER)[0]
    assert "said meanwhile" not in asked
    assert after.startswith("\r\n7\r\n")
    assert "said meanwhile" in after
    assert "Traceback (most recent call last):" in after
    assert "lp-launch: node bad/0 failed: ZeroDivisionError" in after
    assert bench.nothing_is_left()


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_ctrl_c_ends_pdb_and_the_run(launcher: str, terminal: Terminal, bench: Bench) -> None:
    start(bench, "make_wrong", launcher, terminal)
    terminal.press(b"\x03")
    assert bench.ended() == 1, terminal.screen()
    assert "pdb ends: the run stops (SIGINT)." in terminal.screen()
    assert "stopping; once more to end at once" in terminal.screen()
    assert bench.nothing_is_left()


def test_what_is_typed_while_the_launcher_is_suspended_is_not_for_pdb(
    terminal: Terminal, bench: Bench
) -> None:
    shell = os.dup(terminal.line)
    start(bench, "make_wrong", "process", terminal)
    try:
        os.kill(bench.process.pid, signal.SIGSTOP)
        assert eventually(
            lambda: psutil.Process(bench.process.pid).status() == psutil.STATUS_STOPPED
        )
        terminal.press(b"ls\n")
        assert select.select([shell], [], [], SOON_S)[0]
        assert os.read(shell, 64) == b"ls\n"
    finally:
        os.close(shell)
        os.kill(bench.process.pid, signal.SIGCONT)
    terminal.press(b"q\n")
    assert bench.ended() == 1, terminal.screen()
    assert bench.nothing_is_left()


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_node_inside_another_is_debugged_once(
    launcher: str, terminal: Terminal, bench: Bench
) -> None:
    start(bench, "make_wrong_inside", launcher, terminal)
    terminal.press(b"q\n")
    assert bench.ended() == 1, terminal.screen()
    assert terminal.screen().count("(Pdb) ") == 1
    assert f"both/0/1 {HEADER}" in terminal.screen()
    assert bench.nothing_is_left()


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_without_a_terminal_there_is_a_warning(launcher: str, bench: Bench) -> None:
    bench.lp_launch("make_wrong", launcher, "--lp_pdb")
    assert bench.ended() == 1, bench.output
    assert bench.output.count("warning: pdb: standard input is not a terminal") == 1
    assert "ZeroDivisionError" in bench.output
    assert "(Pdb)" not in bench.output
    assert bench.nothing_is_left()
