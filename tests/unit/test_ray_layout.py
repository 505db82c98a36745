"""Which actors programs need of Ray: arithmetic, without Ray."""

from __future__ import annotations

from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite.compiling import compile_program
from launchpad_lite.errors import UsageError
from launchpad_lite.launchers.ray.layout import LEAST_CPU, Bundle, Machine, lay_out
from launchpad_lite.planning import Capabilities
from tests.helpers import unchecked


def machine(name: str, total: dict[str, float], free: dict[str, float] | None = None) -> Machine:
    return Machine(name=name, total=total, free=total if free is None else free)


CLUSTER = (
    machine("big", {"CPU": 8, "GPU": 2, "memory": 16e9, "node:big": 1}),
    machine("small", {"CPU": 4, "TPU": 4, "memory": 8e9}),
)


def work() -> None: ...


def laid_out(
    sizes: dict[str, int],
    resources: dict[str, lp.Resources] | None = None,
    machines: tuple[Machine, ...] = CLUSTER,
    **options: Any,
) -> tuple[Bundle, ...]:
    program = lp.Program("prog")
    for label, count in sizes.items():
        with program.group(label):
            for _ in range(count):
                program.add_node(lp.PyNode(work))
    capabilities = Capabilities(launcher="ray", in_process=False)
    plan = compile_program(program, capabilities, resources=resources)
    return lay_out(plan.workers, lp.RayOptions(**options), machines)


def sizes(bundles: tuple[Bundle, ...]) -> dict[str, int]:
    return {bundle.agent: len(bundle.workers) for bundle in bundles}


def test_a_group_that_asks_for_nothing_is_one_actor() -> None:
    (bundle,) = laid_out({"actor": 64})
    assert bundle.agent == "actor@0"
    assert bundle.workers == tuple(f"actor/{index}" for index in range(64))
    assert bundle.resources == {"CPU": LEAST_CPU}


def test_an_actor_asks_for_the_sum() -> None:
    asked = lp.Resources(cpus=0.5, gpus=1, memory_gb=2)
    (bundle,) = laid_out({"learner": 2}, {"learner": asked})
    assert bundle.resources == {"CPU": 1.0, "GPU": 2, "memory": 4e9}


def test_as_many_as_a_machine_has_room_for() -> None:
    bundles = laid_out({"actor": 12}, {"actor": lp.Resources(cpus=1)})
    assert sizes(bundles) == {"actor@0": 8, "actor@1": 4}
    assert [name for bundle in bundles for name in bundle.workers] == [
        f"actor/{index}" for index in range(12)
    ]


def test_what_others_hold_is_left_to_them_if_there_is_room() -> None:
    cluster = (machine("a", {"CPU": 8}, {"CPU": 2}), machine("b", {"CPU": 8}))
    bundles = laid_out({"actor": 9}, {"actor": lp.Resources(cpus=1)}, cluster)
    assert sizes(bundles) == {"actor@0": 8, "actor@1": 1}


def test_what_does_not_fit_now_is_laid_out_for_later() -> None:
    cluster = (machine("a", {"CPU": 8}, {"CPU": 0}),)
    (bundle,) = laid_out({"actor": 8}, {"actor": lp.Resources(cpus=1)}, cluster)
    assert bundle.resources == {"CPU": 8}


def test_so_many_to_an_actor() -> None:
    bundles = laid_out({"actor": 8, "other": 3}, workers_per_actor=3)
    assert sizes(bundles) == {"actor@0": 3, "actor@1": 3, "actor@2": 2, "other@0": 3}
    groups = {"other": lp.RayGroup(workers_per_actor=1)}
    bundles = laid_out({"actor": 2, "other": 2}, groups=groups)
    assert sizes(bundles) == {"actor@0": 2, "other@0": 1, "other@1": 1}


def test_over_so_many_machines() -> None:
    bundles = laid_out({"actor": 5}, {"actor": lp.Resources(nodes=2)})
    assert sizes(bundles) == {"actor@0": 3, "actor@1": 2}
    assert sizes(laid_out({"actor": 5}, strategy="SPREAD")) == {"actor@0": 3, "actor@1": 2}


def test_members_of_a_unit_stay_together() -> None:
    program = lp.Program("prog")
    with program.group("pair"):
        for _ in range(2):
            nodes = [lp.PyNode(work), lp.PyNode(work)]
            program.add_node(lp.MultiProcessingColocation(nodes))
    plan = compile_program(program, Capabilities(launcher="ray", in_process=False))
    bundles = lay_out(plan.workers, lp.RayOptions(workers_per_actor=1), CLUSTER)
    assert [len(bundle.workers) for bundle in bundles] == [2, 2]


def test_for_machines_that_may_come() -> None:
    asked = {"actor": lp.Resources(custom={"later": 1})}
    bundles = laid_out({"actor": 2}, asked, wait_s=10.0)
    assert [bundle.resources for bundle in bundles] == [{"later": 1}, {"later": 1}]


@pytest.mark.parametrize(
    ("resources", "says"),
    [
        (
            lp.Resources(custom={"TPUU": 1}),
            "No machine has a resource 'TPUU'; did you mean 'TPU'? Known: TPU.",
        ),
        (
            lp.Resources(cpus=9),
            "Each node of group 'actor' asks for CPU 9, which no machine has.",
        ),
        (lp.Resources(gpus=1), "There: big has CPU 8, GPU 2, memory 16 GB; small has"),
        (lp.Resources(cpus=5), "Asked for: 'actor' asks for 3 x (CPU 5)."),
    ],
)
def test_no_room(resources: lp.Resources, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        laid_out({"actor": 3}, {"actor": resources})
    assert says in str(caught.value)


def test_a_group_that_there_is_not() -> None:
    with pytest.raises(UsageError, match=r"no group 'actr'; did you mean 'actor'\?"):
        laid_out({"actor": 1}, groups={"actr": lp.RayGroup()})


@pytest.mark.parametrize(
    "wrong",
    [
        {"strategy": "TIGHT"},
        {"workers_per_actor": 0},
        {"runtime_env": ["pip"]},
        {"groups": {"actor": 1}},
        {"wait_s": -1.0},
        {"address": 6379},
    ],
)
def test_options_that_cannot_work(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        unchecked(lp.RayOptions)(**wrong)


def test_environments_of_groups() -> None:
    own = lp.RayGroup(runtime_env={"env_vars": {"A": "2"}, "pip": ["x"]})
    options = lp.RayOptions(runtime_env={"env_vars": {"A": "1", "B": "1"}}, groups={"own": own})
    assert options.runtime_env_of("own") == {"env_vars": {"A": "2", "B": "1"}, "pip": ["x"]}
    assert options.runtime_env_of("other") == {"env_vars": {"A": "1", "B": "1"}}


def test_what_needs_most_of_a_machine_is_placed_first() -> None:
    cluster = (machine("a", {"CPU": 8, "memory": 8e9}), machine("b", {"CPU": 4, "memory": 8e9}))
    asked = {"many": lp.Resources(cpus=1, memory_gb=1), "one": lp.Resources(cpus=8)}
    assert sizes(laid_out({"many": 4, "one": 1}, asked, cluster)) == {"one@0": 1, "many@0": 4}


def test_at_least_so_many_actors() -> None:
    cluster = tuple(machine(name, {"CPU": 8}) for name in "abcd")
    bundles = laid_out({"actor": 5}, {"actor": lp.Resources(nodes=4)}, cluster)
    assert sizes(bundles) == {"actor@0": 2, "actor@1": 1, "actor@2": 1, "actor@3": 1}


def test_each_actor_on_a_machine_of_its_own() -> None:
    cluster = tuple(machine(name, {"CPU": 8}) for name in "abc")
    bundles = laid_out({"learner": 1, "actor": 8}, None, cluster, strategy="STRICT_SPREAD")
    assert sizes(bundles) == {"learner@0": 1, "actor@0": 8}
