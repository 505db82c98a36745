"""A program that tests launch: workers on two machines, and one node that talks to them."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from typing import Any

from absl import app, flags

import launchpad_lite as lp
from tests.machines.nodes import Main, Worker

_MODE = flags.DEFINE_string("mode", "stop", "What the main node does at last.")
_MAIN = flags.DEFINE_string("main", "head", "The machine that the main node is on.")


class Frail:
    """Its machine is lost."""

    def incarnation(self) -> int:
        return lp.get_context().incarnation


class Caller:
    """Calls a node until it answers for the second time that it was started."""

    def __init__(self, frail: Frail) -> None:
        self._frail = frail

    def run(self) -> None:
        incarnation = -1
        while incarnation < 1:
            with contextlib.suppress(lp.Unavailable):  # it died in the call
                incarnation, before = self._frail.incarnation(), incarnation
                if incarnation != before:
                    print(f"incarnation {incarnation} answers", flush=True)
            time.sleep(0.01)
        lp.stop()


class Mobile(Frail):
    """Its machine is drained."""

    def __init__(self) -> None:
        self._told = "not told"

    def save(self, path: str) -> None:
        left = lp.seconds_left()
        Path(path).write_text("told in time" if left is not None and left > 0 else "told too late")

    def restore(self, path: str) -> None:
        self._told = Path(path).read_text()

    def life(self) -> str:
        return f"life {self.incarnation()} on {socket.gethostname()}: {self._told}"


class Watcher:
    """Shows where a node is, until the run stops."""

    def __init__(self, mobile: Mobile) -> None:
        self._mobile = mobile

    def run(self) -> None:
        before = ""
        while not lp.wait_for_stop(0.01):
            with contextlib.suppress(lp.Unavailable):  # it ended in the call
                life = self._mobile.life()
                if life != before:
                    before = life
                    print(life, flush=True)


def make_mobile() -> tuple[lp.Program, dict[str, lp.Resources]]:
    """A node on either of the side machines, and one on the head that watches it."""
    program = lp.Program("mobile")
    mobile = lp.CourierNode(Mobile)
    colocation = lp.MultiProcessingColocation([mobile], num_retries_on_failure=1)
    program.add_node(colocation, label="mobile")
    program.add_node(lp.CourierNode(Watcher, mobile.create_handle()), label="watcher")
    where = {"mobile": "side", "watcher": "head"}
    return program, {group: lp.Resources(custom={name: 1}) for group, name in where.items()}


def make_frail() -> tuple[lp.Program, dict[str, lp.Resources]]:
    """A node on `side1` that may be started again, and one on the head that calls it."""
    program = lp.Program("frail")
    frail = lp.CourierNode(Frail)
    program.add_node(lp.MultiProcessingColocation([frail], num_retries_on_failure=1), label="frail")
    program.add_node(lp.CourierNode(Caller, frail.create_handle()), label="caller")
    where = {"frail": "side1", "caller": "head"}
    return program, {group: lp.Resources(custom={name: 1}) for group, name in where.items()}


def make_spread() -> tuple[lp.Program, dict[str, lp.Resources]]:
    program = lp.Program("spread")
    workers: list[Worker] = []
    for side in ("side0", "side1"):
        with program.group(side):
            workers += [program.add_node(lp.CourierNode(Worker)) for _ in range(2)]
    program.add_node(lp.CourierNode(Main, workers, _MODE.value), label="main")
    where = {"side0": "side0", "side1": "side1", "main": _MAIN.value}
    return program, {group: lp.Resources(custom={name: 1}) for group, name in where.items()}


def main(_: Any) -> None:
    make = {"frail": make_frail, "mobile": make_mobile}.get(_MODE.value, make_spread)
    program, resources = make()
    lp.launch(program, resources=resources).wait()


if __name__ == "__main__":
    app.run(main)
