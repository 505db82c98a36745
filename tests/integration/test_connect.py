"""Clients of a run that another process has launched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import launchpad_lite as lp
from tests.faults.bench import SOON_S, Bench, eventually

PROGRAM = """
import launchpad_lite as lp


class Adder:
    def __init__(self):
        self.total = 0

    def add(self, value: int) -> int:
        self.total += value
        return self.total


def work() -> None:
    lp.wait_for_stop()


program = lp.Program("apart")
with program.group("adder"):
    for _ in range(2):
        program.add_node(lp.CourierNode(Adder))
program.add_node(lp.PyNode(work), label="work")

if __name__ == "__main__":
    lp.launch(program, "{launcher}").wait()
"""


@pytest.fixture(params=["thread", "process"])
def run_id(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    bench = Bench(tmp_path)
    script = tmp_path / "apart.py"
    script.write_text(PROGRAM.replace("{launcher}", request.param))
    bench.start(str(script))
    living: list[str] = []

    def find() -> bool:
        from launchpad_lite.runtime import rundir

        living[:] = [run.run_id for run in rundir.list_runs() if run.rendezvous() is not None]
        return bool(living)

    assert eventually(find)
    yield living[0]
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


def test_the_run_ends(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    script = tmp_path / "apart.py"
    script.write_text(PROGRAM.replace("{launcher}", "process"))
    bench.start(str(script))

    def connected() -> bool:
        try:
            return bool(lp.connect("apart", "adder").add(1) == 1)
        except lp.UsageError:
            return False

    assert eventually(connected)
    adder = lp.connect("apart", "adder")
    bench.interrupt()
    bench.ended()
    with pytest.raises((lp.Stopped, lp.Unavailable)):
        adder.add(1)
    with pytest.raises(lp.UsageError, match="needs a run that lives"):
        lp.connect("apart", "adder")
    assert bench.nothing_is_left()
    assert os.getpid()


def test_no_such_run() -> None:
    with pytest.raises(lp.UsageError, match=r"'no-such' begins: none"):
        lp.connect("no-such", "adder")
    with pytest.raises(lp.UsageError, match=r"lp.connect\(run\)"):
        lp.connect(3, "adder")  # type: ignore[arg-type] # what is refused
