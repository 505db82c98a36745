"""Which agents leave a machine that Ray drains, together, and until when."""

from __future__ import annotations

from collections.abc import Mapping

import launchpad_lite as lp
from launchpad_lite.compiling import compile_program
from launchpad_lite.config import RunConfig
from launchpad_lite.launchers.ray.groups import Pool
from launchpad_lite.launchers.ray.layout import Bundle
from launchpad_lite.launchers.ray.moves import Departure, departures, elsewhere, latest
from launchpad_lite.launchers.ray.options import Strategy
from launchpad_lite.planning import Capabilities, WorkerSpec
from launchpad_lite.runtime.fleet import Place


def work() -> None: ...


def spec(retries: int) -> WorkerSpec:
    program = lp.Program("prog")
    nodes = [lp.PyNode(work)]
    colocation = lp.MultiProcessingColocation(nodes, num_retries_on_failure=retries)
    program.add_node(colocation, label="main")
    plan = compile_program(program, Capabilities(launcher="ray", in_process=False))
    return plan.workers[0]


def bundle(agent: str, strategy: Strategy) -> Bundle:
    pool = Pool(("learner", "actor"), strategy)
    group = agent.partition("@")[0]
    return Bundle(
        agent=agent, group=group, pool=pool, workers=(group,), resources={"CPU": 1}, labels={}
    )


AGENTS = {"learner@0": "m1", "actor@0": "m1", "actor@1": "m2"}


def occupied(**retries: int) -> dict[str, tuple[Place, tuple[WorkerSpec, ...]]]:
    return {
        agent: (
            Place(host=f"host of {machine}", address="", socket_dir="", machine=machine),
            (spec(retries.get(agent.partition("@")[0], 1)),),
        )
        for agent, machine in AGENTS.items()
    }


def bundles(strategy: Strategy) -> Mapping[str, Bundle]:
    return {agent: bundle(agent, strategy) for agent in AGENTS}


def test_each_agent_leaves_for_itself() -> None:
    found = departures(occupied(learner=0), bundles("PACK"), ["m1", "m7"])
    assert found == [
        Departure("m1", "host of m1", ("learner@0",), movable=False),
        Departure("m1", "host of m1", ("actor@0",), movable=True),
    ]
    assert elsewhere(Pool(("actor",), "PACK"), {"m1"}) == {}


def test_what_is_beside_leaves_together_or_not_at_all() -> None:
    for learner, movable in ((2, True), (0, False)):
        found = departures(occupied(learner=learner), bundles("STRICT_PACK"), ["m1"])
        assert found == [Departure("m1", "host of m1", ("learner@0", "actor@0"), movable=movable)]


def test_what_is_spread_stays_so() -> None:
    pool = Pool(("actor",), "STRICT_SPREAD")
    assert elsewhere(pool, {"m2", "m1"}) == {"ray.io/node-id": "!in(m1,m2)"}


def test_there_is_the_time_for_notice_and_grace() -> None:
    assert latest(1000.0, RunConfig(notice_s=30.0, grace_s=10.0)) < 1000.0 - 30.0 - 10.0
