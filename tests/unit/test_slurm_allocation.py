"""The allocation that a process is in, as scontrol tells it, and programs laid out over one."""

from __future__ import annotations

import dataclasses
import shlex

import pytest

import launchpad_lite as lp
from launchpad_lite.compiling import compile_program
from launchpad_lite.errors import UsageError
from launchpad_lite.launchers.slurm import allocation, commands, inside, script
from launchpad_lite.launchers.slurm.allocation import Allocation, Part
from launchpad_lite.launchers.slurm.layout import Layout
from launchpad_lite.launchers.slurm.placing import place
from launchpad_lite.planning import Capabilities, LaunchPlan

SAID = (
    "JobId=7 JobName=interactive JobState=RUNNING Reason=None TimeLimit=01:00:00 "
    "EndTime=2026-11-26T16:36:06 NodeList=node[0-2] NumNodes=3 JOB_GRES=gpu:4   "
    "Nodes=node[0-1] CPU_IDs=0-3,6-7 Mem=768 GRES=gpu:a100:2(IDX:0-1)   "
    "Nodes=node2 CPU_IDs=5 Mem=128 GRES= MinCPUsNode=3 Features=(null)\n"
)
PLACE = script.Place(
    run_id="prog-1", program="prog", directory="/runs/prog-1", python="/env/python", cwd="/home/me"
)


def scontrol(*words: str, **_: object) -> str:
    if words[1:] == ("show", "hostnames", "node[0-1]"):
        return "node0\nnode1\n"
    if words[-1] == "8":
        raise commands.SlurmError("scontrol: slurm_load_jobs error: Invalid job id specified")
    changed = {"9": ("RUNNING", "COMPLETED"), "10": ("JobId=7", "JobId=7 HetJobId=7")}
    return SAID.replace(*changed.get(words[-1], ("", "")))


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "run", scontrol)


def test_no_allocation_without_its_number() -> None:
    assert allocation.find({}) is None


def test_what_an_allocation_has() -> None:
    found = allocation.find({"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "4294967290"})
    assert found is not None
    assert found.parts == (
        Part(machine="node0", cpus=6, memory_mb=768, gpus=2),
        Part(machine="node1", cpus=6, memory_mb=768, gpus=2),
        Part(machine="node2", cpus=1, memory_mb=128, gpus=0),
    )
    assert found.ends is not None
    assert not found.in_step  # that is the shell of salloc
    assert str(found).endswith("; node2 with 1 CPUs, 0 GPUs and 0.1 GB")
    within = allocation.find({"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"})
    assert within == dataclasses.replace(found, in_step=True)


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ("8", "SLURM knows no such job. Unset SLURM_JOB_ID, or get a new allocation."),
        ("9", "but that job is completed"),
        ("10", "SLURM's job 10, which is heterogeneous"),
    ],
)
def test_an_allocation_that_cannot_be_used(job: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        allocation.find({"SLURM_JOB_ID": job})
    assert message in str(caught.value)
    assert "--slurm_submit" in str(caught.value)


def work() -> None: ...


def planned(sizes: dict[str, int], **resources: lp.Resources) -> LaunchPlan:
    program = lp.Program("prog")
    for label, count in sizes.items():
        with program.group(label):
            for _ in range(count):
                program.add_node(lp.PyNode(work))
    capabilities = Capabilities(launcher="slurm", in_process=False)
    return compile_program(program, capabilities, resources=resources)


def having(*parts: tuple[int, int, int], in_step: bool = False) -> Allocation:
    """Return an allocation, of machines with CPUs, memory and GPUs."""
    return Allocation(
        job=7,
        parts=tuple(
            Part(machine=f"node{number}", cpus=cpus, memory_mb=memory, gpus=gpus)
            for number, (cpus, memory, gpus) in enumerate(parts)
        ),
        ends=None,
        in_step=in_step,
    )


def counts(layout: Layout, group: str) -> dict[str, int]:
    return {
        machine: len(names)
        for step in layout.steps
        if step.group == group
        for machine, names in zip(step.machines, step.workers, strict=True)
    }


def test_a_program_spreads_evenly_over_all_machines() -> None:
    layout = place(planned({"learner": 1, "actor": 6}).workers, having(*[(8, 0, 0)] * 3))
    assert counts(layout, "actor") == {"node0": 2, "node1": 2, "node2": 2}
    assert len(layout.steps) == 2
    assert layout.steps[1].agents == ("actor@0", "actor@1", "actor@2")


def test_machines_with_unlike_parts_have_steps_of_their_own() -> None:
    layout = place(planned({"actor": 11}).workers, having((8, 0, 0), (3, 0, 0)))
    assert counts(layout, "actor") == {"node0": 8, "node1": 3}
    assert [step.agents for step in layout.steps] == [("actor@0",), ("actor@1",)]
    workers = [name for step in layout.steps for names in step.workers for name in names]
    assert workers == [f"actor/{number}" for number in range(11)]


def test_gpus_come_before_what_could_be_anywhere() -> None:
    plan = planned({"actor": 2, "learner": 1}, learner=lp.Resources(gpus=1, cpus=2))
    layout = place(plan.workers, having((2, 0, 1), (2, 0, 0)))
    assert counts(layout, "learner") == {"node0": 1}
    assert counts(layout, "actor") == {"node1": 2}


def test_a_group_may_say_over_how_many_machines() -> None:
    plan = planned({"actor": 4}, actor=lp.Resources(nodes=2))
    assert counts(place(plan.workers, having(*[(4, 0, 0)] * 3)), "actor") == {
        "node0": 2,
        "node1": 2,
    }


def test_memory_that_nobody_asked_for_is_shared_by_cpus() -> None:
    plan = planned({"a": 1, "b": 2, "c": 1}, c=lp.Resources(memory_gb=1.048576))
    layout = place(plan.workers, having((8, 4000, 0)))
    assert [step.ask.memory_mb for step in layout.steps] == [1000, 2000, 1000]


@pytest.mark.parametrize(
    ("sizes", "resources"),
    [
        ({"a": 9}, lp.Resources()),
        ({"a": 1}, lp.Resources(gpus=2)),
        ({"a": 2}, lp.Resources(gpus=1)),
        ({"a": 1}, lp.Resources(memory_gb=5)),
        ({"a": 3}, lp.Resources(nodes=3)),
    ],
)
def test_what_does_not_fit(sizes: dict[str, int], resources: lp.Resources) -> None:
    with pytest.raises(UsageError) as caught:
        place(planned(sizes, a=resources).workers, having((4, 4000, 1), (4, 4000, 0)))
    asked = dataclasses.replace(resources, cpus=1)
    assert f"it asks for a: {sizes['a']} x ({asked}); SLURM's job 7 has" in str(caught.value)


def test_groups_with_gpus_cannot_share_a_step() -> None:
    gpu = lp.Resources(gpus=1)
    plan = planned({"a": 1, "b": 1}, a=gpu, b=gpu)
    with pytest.raises(UsageError, match="several groups would get the same ones"):
        place(plan.workers, having((8, 0, 4), in_step=True))


def test_the_steps_of_a_dry_run() -> None:
    plan = planned({"actor": 3})
    here = having((2, 512, 0), (1, 256, 0), in_step=True)
    layout = place(plan.workers, here)
    text = inside.describe(layout, lp.SlurmOptions(setup=("module load x",)), here, PLACE)
    head, first, *_, last = text.splitlines()
    assert head.startswith("# Inside of SLURM's job 7 nothing is submitted.")
    assert first.startswith("srun --job-name=actor --exact --no-kill --mpi=none --overlap --nodel")
    assert "--nodelist=node0 --nodes=1 --ntasks=1 --ntasks-per-node=1 --cpus-per-task=2" in first
    assert last == (
        "exec /env/python -P -m launchpad_lite.launchers.slurm.task /runs/prog-1 actor 1'"
    )
    command = script.inside(layout, lp.SlurmOptions(setup=("module load x",)), PLACE)[0]
    assert shlex.join(command).count("module load x") == 1


def test_what_an_allocation_settles_is_told() -> None:
    here, plan = having((2, 0, 0)), planned({"a": 1}, a=lp.Resources(exclusive=True))
    options = lp.SlurmOptions(time="10", requeue=True, setup=("module load x",))
    (told,) = inside.unheeded(plan, options, here)
    assert (
        "inside of SLURM's job 7 these have no effect: time, requeue, Resources(exclusive=); "
        in told
    )
    assert inside.unheeded(planned({"a": 1}), lp.SlurmOptions(), here) == []
    with pytest.raises(UsageError, match="detach: inside of SLURM's job 7"):
        inside.check(lp.SlurmOptions(detach=True), here)
