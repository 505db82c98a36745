"""Programs that go wrong, run by the tests as a file in a process of its own.

    python programs.py FACTORY LAUNCHER [NOTICE_S GRACE_S]

What the nodes do they note in a file, a line each, for the test to wait for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

import launchpad_lite as lp

DIRECTORY = "LP_FAULTS_DIRECTORY"
FOREVER_S = 600.0

GRANDCHILD = """
import os, sys, time
if sys.argv[1] == "daemon":
    if os.fork(): os._exit(0)
    os.setsid()
    if os.fork(): os._exit(0)
descriptor = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
os.write(descriptor, f"{sys.argv[1]} is up, {os.getpid()}\\n".encode())
time.sleep(600)
"""


def notes() -> Path:
    return Path(os.environ[DIRECTORY]) / "notes"


def note(text: str) -> None:
    descriptor = os.open(notes(), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, f"{text}\n".encode())
    finally:
        os.close(descriptor)


def note_up() -> None:
    note(f"{lp.get_context().name} is up, {os.getpid()}")


def wait_until_up(count: int) -> None:
    while not notes().exists() or notes().read_text().count("is up") < count:
        time.sleep(0.01)


class Server:
    def __init__(self) -> None:
        note_up()

    def work(self, item: int) -> int:
        return item


class Parent:
    """Has a child, and a grandchild that went its own way."""

    def __init__(self) -> None:
        for kind in ("child", "daemon"):
            subprocess.Popen([sys.executable, "-c", GRANDCHILD, kind, str(notes())])
        note_up()

    def run(self) -> None:
        lp.wait_for_stop()


class Patient:
    """Uses its notice."""

    def run(self) -> None:
        lp.register_stop_handler(lambda: note("stop handler"))
        note_up()
        lp.wait_for_stop()
        note("returned")


class Early(Patient):
    """Presses Ctrl-C while the run is being launched."""

    def __init__(self) -> None:
        process = psutil.Process()
        agent = process.parent()
        launcher = (
            agent.parent() if agent and "runtime.agent" in " ".join(agent.cmdline()) else process
        )
        assert launcher is not None
        launcher.send_signal(signal.SIGINT)


class Stubborn:
    """Hears nothing and ends for nobody."""

    def run(self) -> None:
        lp.stop_event()  # so it gets its notice
        note_up()
        while True:
            try:
                time.sleep(FOREVER_S)
            except BaseException:
                note("stubborn")


class Deaf:
    """Ignores SIGTERM, and Python code is never reached."""

    def run(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        note_up()
        threading.Event().wait()


class Stopper:
    """Stops the run when all are up."""

    def __init__(self, others: int) -> None:
        self._others = others

    def run(self) -> None:
        wait_until_up(self._others)
        lp.stop()


def fail() -> None:
    print("said before")
    raise ValueError("boom")


def make_family() -> lp.Program:
    """Processes of all kinds: forked, started cold, that ignore SIGTERM, with descendants."""
    program = lp.Program("family")
    with program.group("server"):
        program.add_node(lp.CourierNode(Server))
        program.add_node(lp.CourierNode(Server).options(env={"OMP_NUM_THREADS": "1"}))
    program.add_node(lp.CourierNode(Parent), label="parent")
    program.add_node(lp.PyClassNode(Deaf), label="deaf")
    return program


FAMILY_SIZE = 6


def make_patient() -> lp.Program:
    program = lp.Program("patient")
    program.add_node(lp.CourierNode(Server), label="server")
    program.add_node(lp.PyClassNode(Patient), label="patient")
    return program


def make_early() -> lp.Program:
    """Many nodes after the one that does it, so that there is still much to start."""
    program = lp.Program("early")
    program.add_node(lp.PyClassNode(Early), label="early")
    with program.group("server"):
        for _ in range(32):
            program.add_node(lp.CourierNode(Server))
    return program


def make_stubborn() -> lp.Program:
    program = lp.Program("stubborn")
    program.add_node(lp.CourierNode(Server), label="server")
    program.add_node(lp.PyClassNode(Stubborn), label="stubborn")
    return program


def make_deaf() -> lp.Program:
    program = lp.Program("deaf")
    program.add_node(lp.CourierNode(Parent), label="parent")
    program.add_node(lp.PyClassNode(Deaf), label="deaf")
    program.add_node(lp.PyClassNode(Stopper, 4), label="stopper")
    return program


def make_failing() -> lp.Program:
    program = lp.Program("failing")
    program.add_node(lp.CourierNode(Server), label="server")
    program.add_node(lp.PyNode(fail), label="bad")
    return program


class Caller:
    """Calls a server each time the test says so."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def run(self) -> None:
        note_up()
        for turn in range(2):
            while f"call {turn}" not in notes().read_text():
                time.sleep(0.01)
            note(f"got {self._server.work(turn)}")


def divide() -> None:
    dividend, divisor = 84, 0
    print("said before")
    print(dividend // divisor)


def talk() -> None:
    note_up()
    while "speak" not in notes().read_text():
        time.sleep(0.01)
    print("said meanwhile")
    note("has spoken")
    lp.wait_for_stop()


def make_wrong() -> lp.Program:
    program = lp.Program("wrong")
    program.add_node(lp.PyNode(divide), label="bad")
    program.add_node(lp.PyNode(talk), label="talker")
    return program


def make_wrong_inside() -> lp.Program:
    program = lp.Program("inside")
    colocation = lp.MultiThreadingColocation([lp.PyNode(talk), lp.PyNode(divide)])
    program.add_node(colocation, label="both")
    return program


def make_colocation() -> lp.Program:
    program = lp.Program("colocation")
    server = lp.CourierNode(Server)
    parent = lp.CourierNode(Parent)
    colocation = lp.MultiProcessingColocation([server, parent], num_retries_on_failure=2)
    program.add_node(lp.CourierNode(Caller, server.create_handle()), label="caller")
    program.add_node(colocation, label="machine")
    return program


COLOCATION_SIZE = 5


def use_pool() -> None:
    note_up()
    while "go on" not in notes().read_text():
        time.sleep(0.01)
    with ThreadPoolExecutor() as pool:
        note(f"pool: {sum(pool.map(int, '123'))}")


def make_pool() -> lp.Program:
    program = lp.Program("pool")
    program.add_node(lp.PyNode(use_pool), label="pool")
    return program


def make_good() -> lp.Program:
    program = lp.Program("good")
    program.add_node(lp.PyNode(note, "good"), label="good")
    return program


def main() -> None:
    factory, launcher, *seconds = sys.argv[1:]
    notice_s, grace_s = map(float, seconds or ["30", "10"])
    config = lp.RunConfig(notice_s=notice_s, grace_s=grace_s)
    run = lp.launch(globals()[factory](), launcher, config=config)
    threading.Thread(target=obey, daemon=True).start()
    run.wait()
    note("main goes on")


def obey() -> None:
    """Do what the test writes on standard input."""
    for line in sys.stdin:
        if line == "exit\n":
            os._exit(9)
        if line == "fork\n" and os.fork() == 0:
            note(f"fork is up, {os.getpid()}")
            time.sleep(FOREVER_S)


if __name__ == "__main__":
    main()
