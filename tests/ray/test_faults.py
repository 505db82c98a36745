"""Whatever is killed, the run ends and says why, and nothing of it is left in the cluster."""

from __future__ import annotations

import contextlib
import importlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults import programs
from tests.faults.bench import Bench, eventually

pytestmark = pytest.mark.ray

SOON_S = 30.0


@pytest.fixture
def bench(tmp_path: Path, joined: Any, address: str) -> Iterator[Bench]:
    """One launching process, after which the cluster holds nothing any more."""
    assert address
    bench = Bench(tmp_path)
    yield bench
    with contextlib.suppress(AttributeError):  # it was never started
        bench.process.kill()
        bench.process.communicate()
    assert eventually(lambda: not bench.processes(), SOON_S), bench.processes()
    assert eventually(lambda: not joined.util.list_named_actors(all_namespaces=True), SOON_S)
    assert eventually(lambda: not placed(), SOON_S)


def placed() -> list[Any]:
    module: Any = importlib.import_module("ray.util.placement_group")
    groups = module.placement_group_table().values()
    return [group for group in groups if group["state"] != "REMOVED"]


def _holder(bench: Bench, who: str) -> psutil.Process:
    """The actor's process: the parent of the relay, which is that of the agent."""
    ancestors = psutil.Process(bench.pid(who)).parents()
    return next(process for process in ancestors if process.name().startswith("ray::"))


def test_the_driver_is_killed(bench: Bench) -> None:
    bench.launch("make_family", "ray")
    bench.wait_for("is up", programs.FAMILY_SIZE)
    bench.kill(bench.process.pid)
    assert bench.nothing_is_left(SOON_S)


def test_ctrl_c_is_a_clean_stop(bench: Bench) -> None:
    bench.lp_launch("make_patient", "ray")
    bench.wait_for("is up", 2)
    bench.interrupt()
    assert bench.ended() == 130, bench.output
    assert sorted(bench.notes[-2:]) == ["returned", "stop handler"]
    assert bench.nothing_is_left(SOON_S)


def test_sigterm_is_a_clean_stop_too(bench: Bench) -> None:
    bench.lp_launch("make_patient", "ray")
    bench.wait_for("is up", 2)
    bench.interrupt(signal.SIGTERM)
    assert bench.ended() == 143, bench.output
    assert sorted(bench.notes[-2:]) == ["returned", "stop handler"]
    assert bench.nothing_is_left(SOON_S)


def test_a_worker_is_killed(bench: Bench) -> None:
    bench.launch("make_patient", "ray")
    bench.wait_for("is up", 2)
    bench.kill(bench.pid("server/0"))
    assert bench.ended() == 1
    assert "node server/0 failed: its process was killed by SIGKILL" in bench.output
    assert bench.nothing_is_left(SOON_S)


def test_an_actor_is_killed(bench: Bench) -> None:
    bench.launch("make_patient", "ray")
    bench.wait_for("is up", 2)
    bench.kill(_holder(bench, "server/0").pid)
    assert bench.ended() == 1
    assert "NodeFailed: node server/0 failed" in bench.output
    assert bench.nothing_is_left(SOON_S)


WAITING = """
import launchpad_lite as lp


def work() -> None: ...


def make() -> lp.Program:
    program = lp.Program("waiting")
    program.add_node(lp.PyNode(work), label="facts")
    return program


if __name__ == "__main__":
    nowhere = {"facts": lp.Resources(custom={"nowhere": 1})}
    lp.launch(make(), "ray", options=lp.RayOptions(wait_s=60.0), resources=nowhere)
"""


def test_ctrl_c_while_it_waits_for_room(bench: Bench, tmp_path: Path) -> None:
    script = tmp_path / "waiting.py"
    script.write_text(WAITING)
    bench.start(str(script))
    bench.wait_for_output("the cluster has no room yet")
    bench.interrupt()
    assert bench.ended() != 0
    assert "KeyboardInterrupt" in bench.output
    assert "Stopped" not in bench.output.splitlines()[-1]
