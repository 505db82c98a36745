"""Where the nodes of a program are, what they ask for, and what is said if it is not there."""

from __future__ import annotations

import concurrent.futures
import importlib
import os
from typing import Any

import numpy as np
import psutil
import pytest

import launchpad_lite as lp
from launchpad_lite.errors import UsageError
from tests.ray.conftest import add_machine

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("joined")]

WAIT_S = 60.0


class Facts:
    """Knows where it is."""

    def process(self) -> int:
        return os.getpid()

    def twice(self, array: Any) -> Any:
        return array * 2

    def machine(self) -> str:
        """The raylet that has started the actor which holds this."""
        parents = psutil.Process().parents()
        (raylet,) = (parent for parent in parents if parent.name() == "raylet")
        return str(raylet.pid)

    def variable(self, name: str) -> str | None:
        return os.environ.get(name)

    def square_by_ray(self, value: int) -> int:
        """What a task of Ray answers."""
        ray: Any = importlib.import_module("ray")
        ray.init(os.environ["FACTS_ADDRESS"], log_to_driver=False, ignore_reinit_error=True)
        square: Any = ray.remote(lambda x: x * x)
        return int(ray.get(square.options(num_cpus=0.1).remote(value)))


class Asker:
    """Asks another node, and notes the answer."""

    def __init__(self, other: Facts) -> None:
        self._other = other

    def ask(self, size: int) -> int:
        return int(self._other.twice(np.ones(size, np.int64)).sum())


def make(**sizes: int) -> lp.Program:
    program = lp.Program("placed")
    for label, count in sizes.items():
        with program.group(label):
            for _ in range(count):
                program.add_node(lp.CourierNode(Facts))
    return program


def options(**settings: Any) -> lp.RayOptions:
    return lp.RayOptions(show_output=False, **settings)


def launched(program: lp.Program, given: lp.RayOptions, **resources: lp.Resources) -> lp.Run:
    return lp.launch(program, "ray", options=given, resources=resources)


def stopped(run: lp.Run) -> None:
    run.stop()
    run.wait()


def machines(run: lp.Run, **sizes: int) -> dict[str, set[str]]:
    return {
        label: {run.client(label, index).machine() for index in range(count)}
        for label, count in sizes.items()
    }


def placement_groups() -> list[dict[str, Any]]:
    """Those that have not been removed."""
    util: Any = importlib.import_module("ray.util")
    return [each for each in util.placement_group_table().values() if each["state"] != "REMOVED"]


def test_groups_are_where_their_resources_are() -> None:
    side = {f"side{number}": lp.Resources(custom={f"side{number}": 1}) for number in range(2)}
    run = launched(make(side0=2, side1=2), options(), **side)
    first = {run.client("side0", index).machine() for index in range(2)}
    second = {run.client("side1", index).machine() for index in range(2)}
    assert len(first) == len(second) == 1
    assert first != second
    stopped(run)


def test_calls_cross_machines() -> None:
    program = lp.Program("crossing")
    facts = program.add_node(lp.CourierNode(Facts), label="facts")
    program.add_node(lp.CourierNode(Asker, facts), label="asker")
    run = launched(
        program,
        options(),
        facts=lp.Resources(custom={"side0": 1}),
        asker=lp.Resources(custom={"side1": 1}),
    )
    assert run.client("asker").ask(1_000_000) == 2_000_000
    stopped(run)


@pytest.mark.parametrize(("most", "actors"), [(None, 1), (3, 3), (1, 8)])
def test_an_actor_holds_so_many_nodes(most: int | None, actors: int) -> None:
    run = launched(make(facts=8), options(workers_per_actor=most), facts=lp.Resources(cpus=1))
    ray: Any = importlib.import_module("ray")
    named = ray.util.list_named_actors(all_namespaces=True)
    mine = [each["name"] for each in named if each["name"].startswith(f"{run.id}:facts")]
    assert sorted(mine) == [f"{run.id}:facts@{number}" for number in range(actors)]
    assert len({run.client("facts", index).process() for index in range(8)}) == 8
    stopped(run)


def test_spread_is_over_machines() -> None:
    run = launched(make(facts=3), options(strategy="STRICT_SPREAD"))
    assert len({run.client("facts", index).machine() for index in range(3)}) == 3
    stopped(run)


def test_a_group_has_a_strategy_of_its_own() -> None:
    groups = {"facts": lp.RayGroup(strategy="STRICT_SPREAD", workers_per_actor=1)}
    run = launched(make(facts=3, other=2), options(groups=groups))
    found = machines(run, facts=3, other=2)
    assert (len(found["facts"]), len(found["other"])) == (3, 1)
    assert len(placement_groups()) == 2
    stopped(run)


def test_a_group_is_beside_another() -> None:
    given = options(groups={"facts": lp.RayGroup(beside="learner")})
    run = launched(make(facts=2, learner=1), given, learner=lp.Resources(custom={"side1": 1}))
    found = machines(run, facts=2, learner=1)
    assert len(found["learner"]) == 1
    assert found["facts"] == found["learner"]
    stopped(run)


def test_groups_are_where_the_labels_are() -> None:
    groups = {"other": lp.RayGroup(labels={"zone": "in(nowhere, side0)"})}
    given = options(labels={"zone": "side1"}, groups=groups)
    program = make(facts=2, other=1, side1=1)
    run = launched(program, given, side1=lp.Resources(custom={"side1": 1}))
    found = machines(run, facts=2, other=1, side1=1)
    assert found["facts"] == found["side1"]
    assert found["other"].isdisjoint(found["facts"])
    stopped(run)


def test_labels_that_no_machine_has() -> None:
    with pytest.raises(UsageError, match="No machine has zone=sied1; did you mean 'side1'"):
        launched(make(facts=1), options(labels={"zone": "sied1"}))


def test_all_placement_groups_come_or_none() -> None:
    held = launched(make(facts=1), options(), facts=lp.Resources(custom={"side0": 4}))
    before = len(placement_groups())
    groups = {"late": lp.RayGroup(strategy="PACK")}
    with pytest.raises(UsageError, match="no room for the program now") as caught:
        launched(
            make(facts=1, late=1), options(groups=groups), late=lp.Resources(custom={"side0": 1})
        )
    assert "There would be room for facts@0; but it is all or nothing." in str(caught.value)
    assert len(placement_groups()) == before
    stopped(held)


def test_many_nodes_of_one_group() -> None:
    run = launched(make(facts=64), options())
    assert len({run.client("facts", index).process() for index in range(64)}) == 64
    stopped(run)


def test_two_programs_at_once() -> None:
    runs = [launched(make(facts=2), options()) for _ in range(2)]
    processes = {run.client("facts", index).process() for run in runs for index in range(2)}
    assert len(processes) == 4
    for run in runs:
        stopped(run)


def test_environments_of_groups() -> None:
    group = lp.RayGroup(runtime_env={"env_vars": {"FACTS": "own"}})
    given = options(runtime_env={"env_vars": {"FACTS": "all", "MORE": "1"}}, groups={"own": group})
    run = launched(make(own=1, other=1), given)
    assert [run.client("own").variable(name) for name in ("FACTS", "MORE")] == ["own", "1"]
    assert run.client("other").variable("FACTS") == "all"
    stopped(run)


def test_a_node_uses_ray_itself(address: str) -> None:
    given = options(runtime_env={"env_vars": {"FACTS_ADDRESS": address}})
    run = launched(make(facts=1), given)
    assert run.client("facts").square_by_ray(12) == 144
    stopped(run)


def test_room_that_comes_later(cluster: Any) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        later = pool.submit(
            launched,
            make(facts=2),
            options(wait_s=WAIT_S),
            facts=lp.Resources(custom={"late": 1}),
        )
        machine = add_machine(cluster, "late")
        run = later.result(WAIT_S)
    assert run.client("facts", 1).twice(21) == 42
    stopped(run)
    cluster.remove_node(machine)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (
            lp.Resources(custom={"sied0": 1}),
            "No machine has a resource 'sied0'; did you mean 'side0'?",
        ),
        (lp.Resources(gpus=1), "Each node of group 'facts' asks for GPU 1, which no machine has."),
        (lp.Resources(cpus=1000), "Asked for: 'facts' asks for 2 x (CPU 1000)."),
        (lp.Resources(cpus=12), "Ask for less with lp.Resources"),
    ],
)
def test_what_no_machine_has(asked: lp.Resources, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        launched(make(facts=2), options(), facts=asked)
    assert says in str(caught.value)


def test_what_others_hold() -> None:
    run = launched(make(facts=1), options(), facts=lp.Resources(custom={"side0": 4}))
    with pytest.raises(UsageError, match="no room for the program now") as caught:
        launched(make(facts=1), options(), facts=lp.Resources(custom={"side0": 3}))
    assert "side0 0 of" in str(caught.value) or "Free:" in str(caught.value)
    stopped(run)


def test_an_environment_that_cannot_be_made() -> None:
    environment = {"conda": "no-such-environment"}
    with pytest.raises(UsageError, match=r"(?s)Ray cannot start the controller .*Conda"):
        launched(make(facts=1), options(runtime_env=environment))
    group = {"facts": lp.RayGroup(runtime_env=environment)}
    run = launched(make(facts=1), options(groups=group))
    with pytest.raises(lp.NodeFailed, match="conda"):
        run.wait()


def test_an_environment_that_ray_refuses() -> None:
    with pytest.raises(UsageError, match=r"refuses .*: /no/such/directory is not"):
        launched(make(facts=1), options(runtime_env={"working_dir": "/no/such/directory"}))
    group = {"facts": lp.RayGroup(runtime_env={"working_dir": "/no/such/directory"})}
    with pytest.raises(UsageError, match=r"refuses .* 'facts': /no/such/directory"):
        launched(make(facts=1), options(groups=group))


def test_a_machine_is_lost(cluster: Any) -> None:
    machine = add_machine(cluster, "doomed")
    run = launched(
        make(facts=1, other=1),
        options(),
        facts=lp.Resources(custom={"doomed": 1}),
        other=lp.Resources(custom={"side0": 1}),
    )
    assert run.client("facts").twice(4) == 8
    cluster.remove_node(machine, allow_graceful=False)
    with pytest.raises(lp.NodeFailed, match="facts/0"):
        run.wait()


def test_another_address_than_the_one_joined() -> None:
    with pytest.raises(UsageError, match="has joined the cluster at"):
        launched(make(facts=1), options(address="127.0.0.1:1"))
