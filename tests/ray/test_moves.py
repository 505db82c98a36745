"""Nodes that may be started again come up elsewhere when their machine is lost."""

from __future__ import annotations

import importlib
import os
import signal
from typing import Any

import psutil
import pytest

import launchpad_lite as lp
from launchpad_lite.runtime.rundir import RunDirectory
from tests.faults.bench import eventually
from tests.ray.conftest import add_machine, raylet
from tests.ray.test_placement import Facts, options, stopped

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("joined")]

SOON_S = 60.0


class Asker:
    """Calls the other node, again and again with the same client."""

    def __init__(self, other: Facts) -> None:
        self._other = other

    def process(self) -> int:
        return self._other.process()

    def machine(self) -> str:
        return self._other.machine()


def launched(restarts: int, **asked: float) -> lp.Run:
    program = lp.Program("moving")
    facts: Any = lp.CourierNode(Facts)
    colocation = lp.MultiProcessingColocation([facts], num_retries_on_failure=restarts)
    program.add_node(colocation, label="facts")
    program.add_node(lp.CourierNode(Asker, facts.create_handle()), label="asker")
    resources = {
        "facts": lp.Resources(custom=asked),
        "asker": lp.Resources(custom={"side0": 1}),
    }
    return lp.launch(program, "ray", options=options(), resources=resources)


def _lose(cluster: Any, machines: dict[str, Any], process: str) -> None:
    cluster.remove_node(machines.pop(process), allow_graceful=False)


def _moved(run: lp.Run, before: int) -> bool:
    """Waits until the client that was there before reaches another process."""
    return eventually(lambda: run.client("asker").process() != before, SOON_S)


def test_a_node_of_a_lost_machine_comes_up_on_another(cluster: Any, pair: dict[str, Any]) -> None:
    run = launched(1, spare=1)
    asker = run.client("asker")
    process, machine = asker.process(), asker.machine()
    assert machine in pair
    _lose(cluster, pair, machine)
    assert _moved(run, process)
    assert {asker.machine()} == set(pair)
    assert [(node.name, node.restarts) for node in run.status().nodes] == [
        ("facts/0/0", 1),
        ("asker/0", 0),
    ]
    assert run.directory is not None
    assert RunDirectory(run.directory).rendezvous() is not None  # the lost agent has left it
    _lose(cluster, pair, asker.machine())
    with pytest.raises(lp.NodeFailed, match=r"facts/0/0 failed: .* is gone, or the agent"):
        run.wait()


def test_a_node_waits_for_a_machine(cluster: Any, pair: dict[str, Any]) -> None:
    run = launched(1, spare=3)
    asker = run.client("asker")
    process, machine = asker.process(), asker.machine()
    other = next(each for each in pair if each != machine)
    _lose(cluster, pair, other)
    _lose(cluster, pair, machine)
    assert eventually(lambda: run.status().nodes[0].state == "starting", SOON_S)
    assert "restart 1 of 1 of facts/0" in run.status().nodes[0].note
    added = add_machine(cluster, "spare")
    pair[str(raylet(added))] = added
    assert _moved(run, process)
    assert {asker.machine()} == set(pair)
    stopped(run)


def test_a_run_ends_while_a_node_waits_for_a_machine(cluster: Any, pair: dict[str, Any]) -> None:
    run = launched(1, spare=3)
    asker = run.client("asker")
    asker.process()
    for machine in list(pair):
        _lose(cluster, pair, machine)
    assert eventually(lambda: run.status().nodes[0].state == "starting", SOON_S)
    stopped(run)


def test_an_actor_that_is_killed_comes_up_again(pair: dict[str, Any]) -> None:
    run = launched(1, spare=1)
    asker = run.client("asker")
    process, machine = asker.process(), asker.machine()
    holder = next(
        each for each in psutil.Process(process).parents() if each.name().startswith("ray::")
    )
    os.kill(holder.pid, signal.SIGKILL)
    assert _moved(run, process)
    assert asker.machine() in pair
    ray: Any = importlib.import_module("ray")
    named = [each["name"] for each in ray.util.list_named_actors(all_namespaces=True)]
    assert f"{run.id}:facts@0~1" in named
    assert machine in pair
    stopped(run)
