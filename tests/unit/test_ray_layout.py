"""Which actors programs need of Ray: arithmetic, without Ray."""

from __future__ import annotations

from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite.compiling import compile_program
from launchpad_lite.errors import UsageError
from launchpad_lite.launchers.ray.groups import LEAST_CPU, Pool
from launchpad_lite.launchers.ray.layout import Bundle, by_pool, describe, lay_out
from launchpad_lite.launchers.ray.machines import Machine
from launchpad_lite.planning import Capabilities


def machine(
    name: str, total: dict[str, float], free: dict[str, float] | None = None, **labels: str
) -> Machine:
    return Machine(name=name, total=total, free=total if free is None else free, labels={**labels})


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


# --- groups that are placed by themselves, or beside another ---

THREE = tuple(machine(name, {"CPU": 4}, zone=name) for name in "abc")
ONE_CPU = lp.Resources(cpus=1)


def test_groups_with_a_strategy_of_their_own() -> None:
    groups = {"actor": lp.RayGroup(strategy="STRICT_SPREAD")}
    bundles = laid_out({"learner": 1, "replay": 1, "actor": 6}, None, THREE, groups=groups)
    assert {
        pool: [each.agent for each in members] for pool, members in by_pool(bundles).items()
    } == {
        Pool(("learner", "replay"), "PACK"): ["learner@0", "replay@0"],
        Pool(("actor",), "STRICT_SPREAD"): ["actor@0", "actor@1", "actor@2"],
    }


def test_groups_beside_another() -> None:
    groups = {"replay": lp.RayGroup(beside="learner")}
    asked = {"learner": lp.Resources(cpus=3), "replay": ONE_CPU, "actor": ONE_CPU}
    bundles = laid_out({"actor": 8, "learner": 1, "replay": 1}, asked, THREE, groups=groups)
    assert {pool: len(members) for pool, members in by_pool(bundles).items()} == {
        Pool(("learner", "replay"), "STRICT_PACK"): 2,
        Pool(("actor",), "PACK"): 2,
    }


@pytest.mark.parametrize(
    "beside", [{"a": "b", "b": "c"}, {"a": "b", "b": "c", "c": "a"}, {"a": "b", "c": "b"}]
)
def test_chains_and_circles_share_one_machine(beside: dict[str, str]) -> None:
    groups = {label: lp.RayGroup(beside=other) for label, other in beside.items()}
    bundles = laid_out({"a": 1, "b": 1, "c": 1, "d": 1}, groups=groups)
    assert set(by_pool(bundles)) == {Pool(("a", "b", "c"), "STRICT_PACK"), Pool(("d",), "PACK")}


def test_what_shares_a_machine_may_be_several_actors() -> None:
    groups = {"actor": lp.RayGroup(beside="learner", workers_per_actor=1)}
    bundles = laid_out({"learner": 1, "actor": 2}, groups=groups)
    assert sizes(bundles) == {"learner@0": 1, "actor@0": 1, "actor@1": 1}


def test_too_much_for_one_machine() -> None:
    groups = {"actor": lp.RayGroup(beside="learner")}
    asked = {"learner": lp.Resources(cpus=2), "actor": ONE_CPU}
    with pytest.raises(UsageError) as caught:
        laid_out({"learner": 1, "actor": 3}, asked, THREE, groups=groups)
    assert (
        "All nodes of 'learner', 'actor' are to be on one machine: they ask for CPU 5, which no "
        "machine has." in str(caught.value)
    )
    assert sizes(laid_out({"learner": 1, "actor": 2}, asked, THREE, groups=groups)) == {
        "learner@0": 1,
        "actor@0": 2,
    }


def test_what_asks_for_nothing_needs_a_little_of_the_one_machine() -> None:
    groups = {"actor": lp.RayGroup(beside="learner")}
    with pytest.raises(UsageError, match=r"they ask for CPU 4\.001"):
        laid_out(
            {"learner": 1, "actor": 3}, {"learner": lp.Resources(cpus=4)}, THREE, groups=groups
        )


def test_too_much_for_one_machine_with_the_strategy_of_all() -> None:
    with pytest.raises(UsageError, match=r"'actor' are to be on one machine: they ask for CPU 5"):
        laid_out({"actor": 5}, {"actor": ONE_CPU}, THREE, strategy="STRICT_PACK")


def test_too_few_machines_for_an_actor_on_each() -> None:
    groups = {"actor": lp.RayGroup(strategy="STRICT_SPREAD", workers_per_actor=1)}
    with pytest.raises(UsageError, match="'actor' need 4 machines; there are 3"):
        laid_out({"actor": 4, "other": 9}, None, THREE, groups=groups)
    assert len(laid_out({"actor": 3}, None, THREE, groups=groups)) == 3


def test_pools_share_machines() -> None:
    groups = {label: lp.RayGroup(strategy="STRICT_SPREAD") for label in ("a", "b")}
    bundles = laid_out({"a": 3, "b": 3}, None, THREE, groups=groups)
    assert len(bundles) == 6


def test_a_pool_does_not_put_more_actors_than_there_is_room_for_each_on_a_machine() -> None:
    cluster = (*THREE, machine("none", {"CPU": 0.5}))
    bundles = laid_out({"a": 8}, {"a": ONE_CPU}, cluster, strategy="STRICT_SPREAD")
    assert sizes(bundles) == {"a@0": 3, "a@1": 3, "a@2": 2}


def test_for_machines_that_may_come_to_be_shared() -> None:
    groups = {"actor": lp.RayGroup(beside="learner")}
    asked = {"learner": lp.Resources(cpus=64), "actor": ONE_CPU}
    bundles = laid_out({"learner": 1, "actor": 4}, asked, THREE, groups=groups, wait_s=1.0)
    assert sizes(bundles) == {"learner@0": 1, "actor@0": 4}


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        (
            {"actor": lp.RayGroup(beside="lerner")},
            (
                r"RayGroup\(beside=\) of group 'actor': the program has no group 'lerner'; "
                "did you mean 'learner'"
            ),
        ),
        (
            {"actr": lp.RayGroup(beside="learner")},
            r"RayOptions\(groups=\): the program has no group 'actr'; did you mean 'actor'",
        ),
    ],
)
def test_groups_beside_that_there_are_not(groups: dict[str, lp.RayGroup], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        laid_out({"actor": 1, "learner": 1}, groups=groups)


# --- labels ---


def test_only_machines_with_the_labels_count() -> None:
    groups = {"actor": lp.RayGroup(labels={"zone": "in(a,b)"})}
    bundles = laid_out({"actor": 8}, {"actor": ONE_CPU}, THREE, groups=groups)
    assert sizes(bundles) == {"actor@0": 4, "actor@1": 4}
    assert [dict(each.labels) for each in bundles] == [{"zone": "in(a,b)"}] * 2
    with pytest.raises(UsageError, match="the cluster has no room"):
        laid_out({"actor": 9}, {"actor": ONE_CPU}, THREE, groups=groups)


def test_labels_of_all_and_of_a_group() -> None:
    groups = {"own": lp.RayGroup(labels={"zone": "b"})}
    bundles = laid_out({"own": 1, "other": 1}, None, THREE, labels={"zone": "!c"}, groups=groups)
    assert {each.group: dict(each.labels) for each in bundles} == {
        "own": {"zone": "b"},
        "other": {"zone": "!c"},
    }


def test_spread_over_machines_with_the_labels() -> None:
    bundles = laid_out({"actor": 4}, None, THREE, strategy="SPREAD", labels={"zone": "!a"})
    assert sizes(bundles) == {"actor@0": 2, "actor@1": 2}


def test_who_has_the_least_choice_is_placed_first() -> None:
    groups = {"b": lp.RayGroup(labels={"zone": "a"})}
    asked = {"a": lp.Resources(cpus=4), "b": lp.Resources(cpus=2)}
    bundles = laid_out({"a": 2, "b": 1}, asked, THREE, groups=groups)
    assert [each.agent for each in bundles] == ["b@0", "a@0", "a@1"]


def test_what_is_beside_another_needs_all_labels() -> None:
    groups = {
        "actor": lp.RayGroup(beside="learner", labels={"zone": "a"}),
        "learner": lp.RayGroup(labels={"zone": "!b"}),
    }
    laid_out({"actor": 1, "learner": 1}, None, THREE, groups=groups)
    groups["learner"] = lp.RayGroup(labels={"zone": "!a"})
    with pytest.raises(UsageError, match="which no machine with such labels has"):
        laid_out({"actor": 1, "learner": 1}, None, THREE, groups=groups)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({"zoen": "a"}, "No machine has a label 'zoen'; did you mean 'zone'? Known: zone."),
        ({"zone": "d"}, "No machine has zone=d. Known: a, b, c."),
        ({"zone": "d"}, "Asked for: 'actor' asks for 2 x (nothing) where zone=d."),
        ({"zone": "d"}, "There: a has CPU 4 and zone=a; b has"),
    ],
)
def test_labels_that_no_machine_has(labels: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        laid_out({"actor": 2}, None, THREE, labels=labels)
    assert says in str(caught.value)


def test_machines_with_labels_may_come() -> None:
    (bundle,) = laid_out({"actor": 1}, None, THREE, labels={"zone": "d"}, wait_s=1.0)
    assert bundle.labels == {"zone": "d"}


def test_for_people() -> None:
    groups = {
        "replay": lp.RayGroup(beside="learner"),
        "actor": lp.RayGroup(labels={"zone": "!a"}),
    }
    bundles = laid_out({"learner": 1, "replay": 1, "actor": 2}, None, THREE, groups=groups)
    assert describe(bundles) == (
        "# 1 actor(s) in a placement group, strategy PACK:\n"
        "actor@0 CPU 0.001 where zone=!a: actor/0, actor/1\n"
        "\n"
        "# 2 actor(s) in a placement group, strategy STRICT_PACK:\n"
        "learner@0 CPU 0.001: learner/0\n"
        "replay@0 CPU 0.001: replay/0"
    )
