"""Clients of a run that another process has launched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite.runtime import rundir
from tests.faults.bench import SOON_S, Bench, eventually
from tests.faults.conftest import bench
from tests.faults.programs import DIRECTORY

PROGRAM = """
import os

import launchpad_lite as lp


class Adder:
    def __init__(self):
        self.total = 0

    def add(self, value: int) -> int:
        self.total += value
        return self.total


def work(adder: Adder) -> None:
    adder.add(0)
    with open(os.path.join(os.environ["{directory}"], "notes"), "a") as file:
        file.write("work is up\\n")
    lp.wait_for_stop()


program = lp.Program("apart")
with program.group("adder"):
    for _ in range(2):
        adder = program.add_node(lp.CourierNode(Adder))
program.add_node(lp.PyNode(work, adder), label="work")

if __name__ == "__main__":
    lp.launch(program, "{launcher}").wait()
"""


__all__ = ["bench"]


def start(bench: Bench, tmp_path: Path, launcher: str) -> str:
    """Launches the program; returns the run's name."""
    script = tmp_path / "apart.py"
    script.write_text(PROGRAM.replace("{launcher}", launcher).replace("{directory}", DIRECTORY))
    bench.start(str(script))
    bench.wait_for("is up", 1)
    assert eventually(lambda: any(run.rendezvous() for run in rundir.list_runs()))
    (run,) = [run for run in rundir.list_runs() if run.rendezvous() is not None]
    return run.run_id


@pytest.fixture
def run_id(bench: Bench, tmp_path: Path) -> Iterator[str]:
    yield start(bench, tmp_path, "process")
    bench.interrupt()
    bench.ended()
    assert bench.nothing_is_left()


def test_its_nodes_are_called(run_id: str) -> None:
    first, second = (lp.connect(run_id, "adder", index) for index in range(2))
    assert first.add(2) == 2
    assert first.add(3) == 5
    assert second.add(1) == 1
    again = lp.connect(run_id[:-2], "adder", call_timeout=SOON_S)
    assert again.add(1) == 6


@pytest.mark.parametrize(
    ("target", "index", "says"),
    [
        ("addr", 0, "did you mean 'adder/0'"),
        ("adder", 2, "has no node 'adder/2' that can be called"),
        ("work", 0, "has no node 'work/0' that can be called"),
    ],
)
def test_nodes_that_cannot_be_called(run_id: str, target: str, index: int, says: str) -> None:
    with pytest.raises(lp.UsageError, match=says):
        lp.connect(run_id, target, index)


def test_the_run_ends(bench: Bench, tmp_path: Path) -> None:
    run_id = start(bench, tmp_path, "process")
    adder = lp.connect(run_id, "adder")
    assert adder.add(1) == 1
    bench.interrupt()
    bench.ended()
    with pytest.raises((lp.Stopped, lp.Unavailable)):
        adder.add(1)
    with pytest.raises(lp.UsageError, match="needs a run that lives"):
        lp.connect(run_id, "adder")


def test_nodes_that_are_threads(bench: Bench, tmp_path: Path) -> None:
    run_id = start(bench, tmp_path, "thread")
    with pytest.raises(lp.UsageError, match="its nodes are threads of one process"):
        lp.connect(run_id, "adder")
    bench.interrupt()
    bench.ended()


def test_no_such_run() -> None:
    with pytest.raises(lp.UsageError, match=r"'no-such' begins: none"):
        lp.connect("no-such", "adder")
    wrong: Any = 3
    with pytest.raises(lp.UsageError, match=r"lp.connect\(run\)"):
        lp.connect(wrong, "adder")
