"""A program that tests launch: workers on two machines, and one node that talks to them."""

from __future__ import annotations

from typing import Any

from absl import app, flags

import launchpad_lite as lp
from tests.machines.nodes import Main, Worker

_MODE = flags.DEFINE_string("mode", "stop", "What the main node does at last.")
_MAIN = flags.DEFINE_string("main", "head", "The machine that the main node is on.")


def main(_: Any) -> None:
    program = lp.Program("spread")
    workers: list[Worker] = []
    for side in ("side0", "side1"):
        with program.group(side):
            workers += [program.add_node(lp.CourierNode(Worker)) for _ in range(2)]
    program.add_node(lp.CourierNode(Main, workers, _MODE.value), label="main")
    where = {"side0": "side0", "side1": "side1", "main": _MAIN.value}
    resources = {group: lp.Resources(custom={name: 1}) for group, name in where.items()}
    lp.launch(program, resources=resources).wait()


if __name__ == "__main__":
    app.run(main)
