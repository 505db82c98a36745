"""What is to become of a run at Ctrl-C: each test has a process with a terminal of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

PRELUDE = """
import signal, threading
from launchpad_lite.runtime.question import Question, has_terminal
from launchpad_lite.runtime.signals import signals

class Run:
    run_id = "one"
    def __init__(self):
        self.ended = threading.Event()
    def request_stop(self, reason, *, immediately=False):
        print("told", reason, "at once" if immediately else "cleanly", flush=True)
        self.ended.set()

def detach():
    print("detached", flush=True)
    run.ended.set()

def interrupt():
    signal.raise_signal(signal.SIGINT)

def await_idle():
    idle = False
    while not idle:
        with question.idle() as idle:
            pass

run = Run()
assert has_terminal()
question = Question("one", detach)
question.start()
signals.add(run, question)
"""


class Asked:
    """A script on a terminal, and the person before it."""

    def __init__(self) -> None:
        self._person, self._line = os.openpty()
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, body: str) -> None:
        process = subprocess.Popen(
            [sys.executable, "-c", f"{PRELUDE}with signals.held():\n  {body}\nquestion.end()"],
            stdin=self._line,
            stdout=subprocess.PIPE,
            stderr=self._line,
            text=True,
        )
        self._processes.append(process)

    def read_until(self, text: str) -> str:
        shown = ""
        while text not in shown:
            shown += os.read(self._person, 4096).decode()
        return shown

    def answer(self, text: str) -> None:
        """Answer the question, once it is put."""
        self.read_until("goes on as before: ")
        os.write(self._person, text.encode())

    def printed(self) -> list[str]:
        (process,) = self._processes
        printed, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        return printed.splitlines()

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()
        os.close(self._person)
        os.close(self._line)


@pytest.fixture
def asked() -> Iterator[Asked]:
    asked = Asked()
    yield asked
    asked.close()


@pytest.mark.parametrize(
    ("answer", "told"),
    [("s\n", "told SIGINT cleanly"), ("Detach\n", "detached"), ("\x04", "detached")],
)
def test_the_answer_decides(asked: Asked, answer: str, told: str) -> None:
    asked.start("interrupt(); run.ended.wait()")
    asked.answer(answer)
    assert asked.printed() == [told]


def test_what_is_no_answer_is_asked_again(asked: Asked) -> None:
    asked.start("interrupt(); run.ended.wait()")
    asked.answer("what?\n")
    asked.answer("\n")
    asked.answer("d\n")
    assert asked.printed() == ["detached"]


def test_the_second_ctrl_c_stops_and_the_third_at_once(asked: Asked) -> None:
    asked.start("interrupt(); interrupt(); run.ended.clear(); interrupt()")
    assert asked.printed() == ["told SIGINT cleanly", "told SIGINT at once"]


def test_going_on_as_before_may_be_asked_again(asked: Asked) -> None:
    asked.start("interrupt(); await_idle(); interrupt(); run.ended.wait()")
    asked.answer("c\n")
    asked.answer("s\n")
    assert asked.printed() == ["told SIGINT cleanly"]


def test_a_request_to_terminate_asks_nothing(asked: Asked) -> None:
    asked.start("signal.raise_signal(signal.SIGTERM); run.ended.wait()")
    assert asked.printed() == ["told SIGTERM cleanly"]
