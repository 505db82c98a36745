"""Calls a node of a run from a task of Ray's: `python caller.py ADDRESS RUN GROUP MACHINE`."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import launchpad_lite as lp


def ask(run: str, group: str) -> Any:
    return lp.connect(run, group, call_timeout=60.0).where()


if __name__ == "__main__":
    address, run, group, machine = sys.argv[1:]
    ray: Any = importlib.import_module("ray")
    ray.init(address, log_to_driver=False)
    task: Any = ray.remote(ask).options(num_cpus=0, resources={machine: 1})
    print("here:", ask(run, group), "in a task:", ray.get(task.remote(run, group)))
