"""GPUs are handed out by `CUDA_VISIBLE_DEVICES`, before anything starts."""

from __future__ import annotations

from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite.launchers import gpus


def work() -> None: ...


def planned(
    wanted: dict[str, int], *, nodes: int = 1, env: dict[str, str] | None = None
) -> lp.LaunchPlan:
    program = lp.Program("p")
    for label in ("learner", "actor"):
        for _ in range(nodes):
            program.add_node(lp.PyNode(work).options(env=env or {}), label=label)
    resources = {label: lp.Resources(gpus=count) for label, count in wanted.items()}
    return lp.plan(program, "process", resources=resources)


def handed_out(plan: lp.LaunchPlan) -> dict[str, str]:
    workers = gpus.hand_out(plan).workers
    return {worker.name: worker.env.get(gpus.VARIABLE, "unsaid") for worker in workers}


@pytest.mark.parametrize(
    ("variable", "there"),
    [
        ("0,1, 2", ("0", "1", "2")),
        ("GPU-8932f937,MIG-1", ("GPU-8932f937", "MIG-1")),
        ("", ()),
        ("-1", ()),
        ("1,-1,2", ("1",)),
        ("0,0,1", ("0", "1")),
    ],
)
def test_the_launching_environment_limits_what_is_there(
    variable: str, there: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(gpus.VARIABLE, variable)
    assert gpus.visible() == there


def test_each_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gpus.VARIABLE, "3,4,5,6")
    given = handed_out(planned({"learner": 2}, nodes=2))
    assert given == {
        "learner/0": "3,4",
        "learner/1": "5,6",
        "actor/0": "unsaid",
        "actor/1": "unsaid",
    }


def test_none_is_said_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gpus.VARIABLE, "3")
    assert handed_out(planned({"learner": 0})) == {"learner/0": "", "actor/0": "unsaid"}


def test_a_program_that_asks_for_none_is_left_alone() -> None:
    plan = planned({})
    assert gpus.hand_out(plan) is plan


def test_too_few_are_an_error_that_says_who_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gpus.VARIABLE, "0,1,2")
    with pytest.raises(lp.UsageError) as caught:
        gpus.hand_out(planned({"learner": 1, "actor": 1}, nodes=2))
    assert str(caught.value) == (
        "too few GPUs: group 'learner' asks for 1 GPU(s) for each of 2 node(s), group 'actor' asks "
        "for 1 GPU(s) for each of 2 node(s): 4 in all, and CUDA_VISIBLE_DEVICES=0,1,2 has 3. Ask "
        "for fewer with lp.Resources(gpus=...), or for fewer nodes."
    )


def test_two_opinions_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gpus.VARIABLE, "0,1")
    with pytest.raises(lp.UsageError, match="learner/0: its env sets CUDA_VISIBLE_DEVICES"):
        gpus.hand_out(planned({"learner": 1}, env={gpus.VARIABLE: "1"}))


def test_threads_get_a_warning() -> None:
    program = lp.Program("p")
    program.add_node(lp.PyNode(work), label="learner")
    plan = lp.plan(program, "thread", resources={"learner": lp.Resources(gpus=1)})
    assert plan.warnings[0].startswith("group learner: no GPUs are handed out to it, since")


def test_gpus_are_whole() -> None:
    half: Any = 1.5
    with pytest.raises(lp.UsageError, match=r"gpus=1.5.*whole GPUs"):
        lp.Resources(gpus=half)
