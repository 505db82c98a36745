"""Pdb on a terminal: one node at a time, and none when the run stops."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from launchpad_lite.runtime.postmortem import Debugger
from launchpad_lite.stop_token import StopToken


class Screen:
    """The person's side of a terminal."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read_until(self, text: str) -> str:
        shown = ""
        while text not in shown:
            shown += os.read(self._descriptor, 4096).decode()
        return shown

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())


@pytest.fixture
def pty() -> Iterator[tuple[Screen, str]]:
    person, line = os.openpty()
    yield Screen(person), os.ttyname(line)
    os.close(person)
    os.close(line)


@pytest.fixture
def debugger(pty: tuple[Screen, str], tmp_path: Path) -> Debugger:
    turn = tmp_path / "turn"
    turn.touch()
    return Debugger(pty[1], turn, os.getpid())


@pytest.fixture
def screen(pty: tuple[Screen, str]) -> Screen:
    return pty[0]


def boom(value: int) -> None:
    raise ValueError(f"boom {value}")


def failed(value: int) -> BaseException:
    with pytest.raises(ValueError, match="boom") as caught:
        boom(value)
    return caught.value


def debug(debugger: Debugger, value: int, stop: StopToken) -> threading.Thread:
    thread = threading.Thread(target=debugger, args=(f"node/{value}", failed(value), stop))
    thread.start()
    return thread


def test_one_node_after_another(debugger: Debugger, screen: Screen) -> None:
    threads = [debug(debugger, value, StopToken()) for value in range(2)]
    seen: set[str] = set()
    for _ in range(2):
        shown = screen.read_until("(Pdb) ")
        assert shown.count("has failed: ValueError: boom") == 1
        with debugger.idle() as idle:
            assert not idle
        screen.type("p value\n")
        seen.add(screen.read_until("(Pdb) ").splitlines()[1])
        screen.type("q\n")
    assert seen == {"0", "1"}
    for thread in threads:
        thread.join()
    with debugger.idle() as idle:
        assert idle


def test_nobody_begins_while_the_terminal_is_used(debugger: Debugger, screen: Screen) -> None:
    stop = StopToken()
    with debugger.idle() as idle:
        assert idle
        thread = debug(debugger, 0, stop)
        stop.notice(1.0, "done")
        thread.join()
    screen.type("nothing\n")
    assert "failed" not in screen.read_until("nothing")


def test_the_end_of_the_run_ends_it(debugger: Debugger, screen: Screen) -> None:
    stop = StopToken()
    thread = debug(debugger, 0, stop)
    screen.read_until("(Pdb) ")
    stop.notice(1.0, "done")
    thread.join()
    assert "pdb ends: the run stops (done)." in screen.read_until("(done).")


@pytest.mark.parametrize("command", ["q", "c", "run"])
def test_commands_that_end_it(command: str, debugger: Debugger, screen: Screen) -> None:
    thread = debug(debugger, 0, StopToken())
    screen.read_until("(Pdb) ")
    screen.type(f"{command}\n")
    thread.join()


def test_there_is_no_second_interpreter(debugger: Debugger, screen: Screen) -> None:
    thread = debug(debugger, 0, StopToken())
    screen.read_until("(Pdb) ")
    screen.type("interact\n")
    assert "no interpreter here" in screen.read_until("(Pdb) ")
    screen.type("q\n")
    thread.join()


def test_a_terminal_that_is_gone_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turn = tmp_path / "turn"
    turn.touch()
    Debugger(str(tmp_path / "gone"), turn, os.getpid())("node/0", failed(0), StopToken())
    assert "warning: node/0: pdb has ended: FileNotFoundError" in capsys.readouterr().err


def test_what_was_never_raised_has_no_place(debugger: Debugger) -> None:
    debugger("node/0", ValueError("never raised"), StopToken())


def test_it_is_idle_when_the_run_has_ended(tmp_path: Path) -> None:
    with Debugger("/dev/null", tmp_path / "gone", os.getpid()).idle() as idle:
        assert idle
