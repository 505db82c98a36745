"""A program that tests launch: workers on several machines, and one node that talks to them."""

from __future__ import annotations

from typing import Any

from absl import app, flags

import launchpad_lite as lp
from tests.machines.nodes import Main, Worker

_WORKERS = flags.DEFINE_integer("workers", 3, "How many workers.")
_NODES = flags.DEFINE_integer("nodes", None, "On how many machines.")
_CPUS = flags.DEFINE_float("cpus", 1.0, "CPUs of each worker.")
_GPUS = flags.DEFINE_integer("gpus", None, "GPUs of each worker.")
_MODE = flags.DEFINE_string("mode", "stop", "What the main node does at last.")
_OPTIONS = flags.DEFINE_multi_string("option", [], "Of SlurmOptions: name=value, in Python.")


def make_program() -> lp.Program:
    program = lp.Program("spread")
    with program.group("worker"):
        workers = [program.add_node(lp.CourierNode(Worker)) for _ in range(_WORKERS.value)]
    program.add_node(lp.CourierNode(Main, workers, _MODE.value), label="main")
    return program


def main(_: Any) -> None:
    options = dict(option.split("=", 1) for option in _OPTIONS.value)
    run = lp.launch(
        make_program(),
        launcher="slurm",
        resources={"worker": lp.Resources(cpus=_CPUS.value, nodes=_NODES.value, gpus=_GPUS.value)},
        options=lp.SlurmOptions(**{name: eval(value) for name, value in options.items()}),
    )
    if "detach" in options:
        return
    run.wait()
    print("left in the queue:", run.leftovers(10.0))


if __name__ == "__main__":
    app.run(main)
