"""Ctrl-C and TERM in the launching process: handlers are global, so each test has a process."""

from __future__ import annotations

import subprocess
import sys

import pytest

PRELUDE = """
import contextlib, os, signal, sys, threading
from launchpad_lite.runtime.signals import signals

class Run:
    def __init__(self, run_id):
        self.run_id = run_id
        self.ended = threading.Event()
    def request_stop(self, reason, *, immediately=False):
        print(self.run_id, reason, "at once" if immediately else "cleanly", flush=True)

def send(number=signal.SIGINT):
    signal.raise_signal(number)

def handlers():
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

def hold():
    held.enter_context(signals.held())

held = contextlib.ExitStack()
before = handlers()
one, two = Run("one"), Run("two")
"""


def run(body: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + body],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def lines(body: str) -> list[str]:
    """What a script prints that ends well."""
    result = run(body)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_once_is_clean_and_twice_is_immediate() -> None:
    result = run("signals.add(one); hold()\nsend(); send(); send()")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "one SIGINT cleanly",
        "one SIGINT at once",
        "one SIGINT at once",
    ]
    assert "SIGINT: one: stopping; once more to end at once" in result.stderr
    assert "SIGINT: one: ending at once" in result.stderr


def test_a_second_signal_of_the_other_kind_is_immediate_too() -> None:
    body = "signals.add(one); hold()\nsend(signal.SIGTERM); send()"
    assert lines(body) == ["one SIGTERM cleanly", "one SIGINT at once"]


def test_all_runs_that_live_are_stopped() -> None:
    body = "signals.add(one); signals.add(two); hold()\nsend()\n"
    body += "one.ended.set(); send()\n"
    assert lines(body) == ["one SIGINT cleanly", "two SIGINT cleanly", "two SIGINT at once"]


def test_handlers_are_put_back_with_the_last_run() -> None:
    body = """
signals.add(one); signals.add(two)
assert handlers() != before
assert signals.remove(one) == 0
assert handlers() != before
with signals.held():
    send()
assert signals.remove(two) == signal.SIGINT
assert handlers() == before
assert signals.remove(two) == 0
signals.add(one)
assert handlers() != before
"""
    assert lines(body) == ["two SIGINT cleanly"]


def test_other_threads_install_nothing() -> None:
    body = """
thread = threading.Thread(target=signals.add, args=(one,))
thread.start(); thread.join()
assert handlers() == before
thread = threading.Thread(target=signals.remove, args=(one,))
thread.start(); thread.join()
"""
    assert lines(body) == []


def test_the_handler_that_was_there_is_called() -> None:
    body = """
signal.signal(signal.SIGINT, lambda number, frame: print("mine", number, frame is not None))
signals.add(one)
send()
hold()
send()
"""
    assert lines(body) == ["one SIGINT cleanly", "mine 2 True", "one SIGINT at once", "mine 2 True"]


def test_a_signal_before_the_run_that_is_launched_stops_it() -> None:
    body = """
with signals.held():
    send()
    print("launching")
    signals.add(one)
    print("launched")
assert signals.remove(one) == signal.SIGINT
assert handlers() == before
"""
    assert lines(body) == ["launching", "one SIGINT cleanly", "launched"]


@pytest.mark.parametrize(("number", "code"), [("SIGINT", -2), ("SIGTERM", 143)])
def test_a_signal_before_a_run_that_is_not_launched_is_heard_after_all(
    number: str, code: int
) -> None:
    body = """
try:
    with signals.held():
        send(signal.{})
        print("launching")
finally:
    assert handlers() == before
print("went on")
"""
    result = run(body.format(number))
    assert (result.returncode, result.stdout) == (code, "launching\n"), result.stderr


def test_the_handler_that_was_there_hears_an_early_signal_once() -> None:
    body = """
signal.signal(signal.SIGINT, lambda number, frame: print("mine"))
with signals.held():
    send()
    signals.add(one)
"""
    assert lines(body) == ["mine", "one SIGINT cleanly"]


def test_only_the_main_thread_holds_signals() -> None:
    body = """
signals.add(one)
thread = threading.Thread(target=hold)
thread.start(); thread.join()
try:
    send()
except KeyboardInterrupt:
    print("interrupted")
with signals.held():
    with signals.held():
        pass
    send()
"""
    assert lines(body) == ["one SIGINT cleanly", "interrupted", "one SIGINT at once"]


def test_code_that_does_not_wait_is_interrupted() -> None:
    body = """
signals.add(one)
try:
    send()
except KeyboardInterrupt:
    print("interrupted")
try:
    send(signal.SIGTERM)
except SystemExit as error:
    print("exit", error.code)
"""
    assert lines(body) == ["one SIGINT cleanly", "interrupted", "one SIGTERM at once", "exit 143"]


@pytest.mark.parametrize(("number", "code"), [("SIGINT", -2), ("SIGTERM", 143)])
def test_a_process_whose_runs_have_ended_ends_as_ever(number: str, code: int) -> None:
    result = run(f"signals.add(one); one.ended.set()\nsend(signal.{number})\nprint('went on')")
    assert result.returncode == code, result.stderr
    assert "went on" not in result.stdout
    assert "stopping" not in result.stderr


def test_ignored_signals_still_stop_runs() -> None:
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsignals.add(one)\nsend(signal.SIGTERM)"
    assert lines(body) == ["one SIGTERM cleanly"]
