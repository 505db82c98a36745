"""Nodes of a machine that Ray drains are told, and come up elsewhere before it goes."""

from __future__ import annotations

import importlib
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import launchpad_lite as lp
from tests.faults.bench import eventually
from tests.ray.conftest import add_machine, raylet
from tests.ray.test_moves import SOON_S
from tests.ray.test_placement import Facts, options, placement_groups, stopped

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("joined")]

PREEMPTION = 2


class Saving(Facts):
    """Notes how much time it is given, for its next life."""

    def __init__(self) -> None:
        self._before = ""

    def save(self, path: str) -> None:
        Path(path).write_text(f"{self._before}{lp.seconds_left() or 0:.0f} ")

    def restore(self, path: str) -> None:
        self._before = Path(path).read_text()

    def before(self) -> str:
        return self._before

    def stops(self) -> bool:
        return lp.stop_event().is_set()


class Running(Saving):
    """Returns when it is told."""

    def run(self) -> None:
        lp.wait_for_stop()


def make(retries: int, *labels: str) -> tuple[lp.Program, list[Any]]:
    """Colocations of two nodes each, and one node for itself; with handles of the first ones."""
    program = lp.Program("drained")
    handles: list[Any] = []
    for label in labels:
        nodes: list[Any] = [lp.CourierNode(Saving), lp.CourierNode(Running)]
        handles += [node.create_handle() for node in nodes]
        program.add_node(
            lp.MultiProcessingColocation(nodes, num_retries_on_failure=retries), label=label
        )
    program.add_node(lp.CourierNode(Saving), label="other")
    return program, handles


def launched(program: lp.Program, given: lp.RayOptions, **spare: float) -> lp.Run:
    resources = {label: lp.Resources(custom={"spare": amount}) for label, amount in spare.items()}
    resources["other"] = lp.Resources(custom={"side0": 1})
    return lp.launch(program, "ray", options=given, resources=resources)


def drain(machine: Any, seconds: float) -> None:
    worker: Any = importlib.import_module("ray._private.worker")
    accepted, why = worker.global_worker.gcs_client.drain_node(
        machine.node_id, PREEMPTION, "spot", int((time.time() + seconds) * 1000)
    )
    assert accepted, why


def restarts(run: lp.Run) -> list[int]:
    return [node.restarts for node in run.status().nodes]


def test_nodes_move_before_their_machine_goes(
    cluster: Any, pair: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    program, handles = make(1, "facts")
    run = launched(program, options(), facts=1)
    nodes = [run.client(handle) for handle in handles]
    machine = nodes[0].machine()
    drain(pair[machine], 600.0)
    assert eventually(lambda: {node.machine() for node in nodes} == {*pair} - {machine}, SOON_S)
    assert all(0 < float(node.before()) <= 10 for node in nodes)  # each has saved once
    assert not run.client("other").stops()
    cluster.remove_node(pair.pop(machine), allow_graceful=False)
    process = nodes[0].process()
    os.kill(process, signal.SIGKILL)  # that it was moved has left the one restart that it has
    assert eventually(lambda: nodes[0].process() != process, SOON_S)
    assert restarts(run) == [2, 1, 0]
    stopped(run)
    lines = [each.message for each in caplog.records if "again" in each.message]
    assert len(lines) == 2, lines
    told = (
        r"is drained by Ray and goes in \d+ s; to be started again elsewhere: facts/0/0, facts/0/1"
    )
    assert re.search(told, lines[0])
    assert "restart 1 of 1 of facts/0" in lines[1]


def test_what_is_beside_moves_together_and_leaves_the_machine(pair: dict[str, Any]) -> None:
    program, handles = make(1, "first", "second")
    groups = {"first": lp.RayGroup(beside="second")}
    run = launched(program, options(groups=groups), first=1, second=1)
    nodes = [run.client(handle) for handle in handles]
    machine = nodes[0].machine()
    drained = pair[machine].node_id
    drain(pair[machine], 600.0)
    assert eventually(lambda: {node.machine() for node in nodes} == {*pair} - {machine}, SOON_S)
    ray: Any = importlib.import_module("ray")
    # Ray itself ends a drained machine that nobody has room on.
    assert eventually(lambda: drained not in {each["NodeID"] for each in alive(ray)}, SOON_S)
    assert len(placement_groups()) == 2
    stopped(run)


def test_what_is_spread_stays_so(cluster: Any, pair: dict[str, Any]) -> None:
    for _ in range(2):
        added = add_machine(cluster, "spare")
        pair[str(raylet(added))] = added
    program, handles = make(1, "facts", "facts")
    spread = lp.RayGroup(strategy="STRICT_SPREAD", workers_per_actor=2)
    run = launched(program, options(groups={"facts": spread}), facts=1)
    nodes = [run.client(handle) for handle in handles]
    drained = {node.machine() for node in nodes}
    assert len(drained) == 2
    for machine in drained:
        drain(pair[machine], 600.0)
    assert eventually(lambda: {node.machine() for node in nodes} == {*pair} - drained, SOON_S)
    stopped(run)


def test_nodes_wait_for_room_elsewhere(cluster: Any, pair: dict[str, Any]) -> None:
    program, handles = make(1, "facts")
    run = launched(program, options(), facts=3)
    nodes = [run.client(handle) for handle in handles]
    machine = nodes[0].machine()
    (other,) = {*pair} - {machine}
    cluster.remove_node(pair.pop(other), allow_graceful=False)
    drain(pair[machine], 17.0)  # so that there is just the time to end them
    assert eventually(lambda: restarts(run) == [1, 1, 0], SOON_S)
    states = [(node.state, node.note) for node in run.status().nodes[:2]]
    assert all("with no room elsewhere yet" in note for _, note in states), states
    cluster.remove_node(pair.pop(machine), allow_graceful=False)
    added = add_machine(cluster, "spare")
    pair[str(raylet(added))] = added
    assert eventually(lambda: {node.machine() for node in nodes} == {*pair}, SOON_S)
    assert [node.before() != "" for node in nodes] == [True, True]
    stopped(run)


def test_a_node_that_is_not_started_again_is_told_in_time(
    pair: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    program, handles = make(0, "facts")
    run = launched(program, options(), facts=1)
    machine = run.client(handles[0]).machine()
    drain(pair[machine], 600.0)
    assert eventually(lambda: "will be lost with it: facts/0/0, facts/0/1" in caplog.text, SOON_S)
    assert not run.client(handles[0]).stops()  # it works on
    drain(pair[machine], 17.0)
    with pytest.raises(lp.NodeFailed, match=r"facts/0/1 failed: it ended .* is drained by Ray"):
        run.wait()


def alive(ray: Any) -> list[dict[str, Any]]:
    return [each for each in ray.nodes() if each["Alive"]]
