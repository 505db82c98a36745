"""How programs are laid out on a cluster, and the scripts that come of it, as text."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite.compiling import compile_program
from launchpad_lite.errors import UsageError
from launchpad_lite.launchers.slurm import script
from launchpad_lite.launchers.slurm.layout import Layout, Machine, Partition, lay_out
from launchpad_lite.planning import Capabilities
from tests.helpers import unchecked

MACHINES = (Machine(cpus=8, memory_mb=4000, gpus=4, count=3),)
MAIN = Partition(machines=MACHINES)
BIG = Partition(machines=(Machine(cpus=64, memory_mb=0, gpus=0, count=1),))
CLUSTER = {"": MAIN, "main": MAIN, "big": BIG}
PLACE = script.Place(
    run_id="prog-1", program="prog", directory="/home/me/runs/prog-1", python="/env/bin/python",
    cwd="/home/me/my code",
)  # fmt: skip

PLAIN = lp.SlurmOptions()


def work() -> None: ...


def laid_out(
    sizes: dict[str, int],
    resources: dict[str, lp.Resources] | None = None,
    cluster: dict[str, Partition] = CLUSTER,
    **options: Any,
) -> Layout:
    program = lp.Program("prog")
    for label, count in sizes.items():
        with program.group(label):
            for _ in range(count):
                program.add_node(lp.PyNode(work))
    capabilities = Capabilities(launcher="slurm", in_process=False)
    plan = compile_program(program, capabilities, resources=resources)
    return lay_out(plan.workers, lp.SlurmOptions(**options), cluster)


@pytest.mark.parametrize(
    ("settled", "actors", "job"),
    [
        ({"mb_per_cpu": 100}, 300, 1254),
        ({"mb_per_node": 700}, 700, 1654),
        ({}, 1500, 2454),  # a part of a machine's 4000
    ],
)
def test_who_asks_for_no_memory_beside_one_who_does_gets_the_default(
    settled: dict[str, int], actors: int, job: int
) -> None:
    counting = Partition(machines=MACHINES, counts_memory=True, **settled)
    layout = laid_out(
        {"learner": 1, "actor": 3}, {"learner": lp.Resources(memory_gb=1)}, {"": counting}
    )
    assert [step.ask.memory_mb for step in layout.steps] == [954, actors]
    (text,) = script.scripts(layout, lp.SlurmOptions(), PLACE)
    assert f"#SBATCH --mem={job}M\n" in text
    assert f" --mem={actors}M " in text


def test_where_nobody_asks_for_memory_slurm_decides() -> None:
    counting = {"": Partition(machines=MACHINES, counts_memory=True, mb_per_cpu=100)}
    assert "--mem" not in script.scripts(laid_out({"a": 1}, {}, counting), PLAIN, PLACE)[0]


def test_where_memory_is_not_counted_only_what_is_asked_for_is() -> None:
    layout = laid_out({"learner": 1, "actor": 3}, {"learner": lp.Resources(memory_gb=1)})
    assert [step.ask.memory_mb for step in layout.steps] == [954, None]
    assert layout.jobs[0][0].ask.memory_mb == 954


@pytest.mark.parametrize(
    ("memory_gb", "advice"),
    [
        (999, "or choose another partition."),
        (4.1, " Say memory_gb for a too: SLURM's default is too much."),
    ],
)
def test_memory_that_no_machine_has_is_told(memory_gb: float, advice: str) -> None:
    counting = {"": Partition(machines=MACHINES, counts_memory=True, mb_per_cpu=100)}
    with pytest.raises(UsageError) as caught:
        laid_out({"a": 1, "b": 1}, {"b": lp.Resources(memory_gb=memory_gb)}, counting)
    assert "the cluster cannot hold the program: it asks for a: 1 x (cpus=1), " in str(caught.value)
    assert str(caught.value).endswith(advice)


def test_what_fits_on_one_machine_gets_one() -> None:
    ((component,),) = laid_out({"learner": 1, "actor": 4}).jobs
    assert (component.ask.nodes, component.ask.cpus) == (1, 5)
    assert [step.ask.cpus for step in component.steps] == [1, 4]
    assert component.steps[1].agents == ("actor@0",)


def test_what_does_not_fit_spreads_evenly() -> None:
    ((component,),) = laid_out({"learner": 1, "actor": 20}).jobs
    assert (component.ask.nodes, component.ask.cpus) == (3, 8)
    learner, actor = component.steps
    assert (learner.ask.nodes, actor.ask.nodes) == (1, 3)
    assert [len(names) for names in actor.workers] == [7, 7, 6]
    assert [name for names in actor.workers for name in names] == [f"actor/{i}" for i in range(20)]


def test_a_group_may_say_over_how_many_machines_it_spreads() -> None:
    layout = laid_out({"actor": 4}, {"actor": lp.Resources(nodes=2, cpus=2, gpus=1, memory_gb=1)})
    (step,) = layout.steps
    assert dataclasses.astuple(step.ask) == (2, 4, 2, 1908, False)


def test_members_of_a_colocation_share_a_machine() -> None:
    program = lp.Program("prog")
    with program.group("pair"):
        for _ in range(3):
            program.add_node(lp.MultiProcessingColocation([lp.PyNode(work), lp.PyNode(work)]))
    plan = compile_program(program, Capabilities(launcher="slurm", in_process=False))
    wide = (Machine(cpus=1, memory_mb=1, gpus=0, count=9),)
    (step,) = lay_out(plan.workers, lp.SlurmOptions(), {"": Partition(machines=wide)}).steps
    assert step.workers == tuple((f"pair/{n}/0", f"pair/{n}/1") for n in range(3))


def test_groups_that_differ_become_a_heterogeneous_job() -> None:
    big = {"learner": lp.SlurmGroup(partition="big")}
    layout = laid_out({"learner": 1, "actor": 4}, groups=big)
    ((learner, actor),) = layout.jobs
    assert (layout.name, learner.where.partition, actor.where.partition) == ("het", "big", None)
    exclusive = {"learner": lp.Resources(exclusive=True)}
    assert laid_out({"learner": 1, "actor": 4}, exclusive).name == "het"


def test_a_job_for_each_group() -> None:
    layout = laid_out({"learner": 1, "actor": 4}, layout="jobs")
    assert [len(job) for job in layout.jobs] == [1, 1]


@pytest.mark.parametrize(
    ("groups", "resources", "options", "message"),
    [
        (
            {"a": 25},
            {},
            {},
            "the cluster cannot hold the program: it asks for a: 25 x (cpus=1); ",
        ),
        ({"a": 1}, {"a": lp.Resources(gpus=5)}, {}, "3 machines with 8 CPUs, 4 GPUs and 4 GB"),
        ({"a": 1}, {}, {"partition": "mian"}, "no partition 'mian'; did you mean 'main'?"),
        ({"a": 1}, {}, {"groups": {"b": lp.SlurmGroup()}}, "no group 'b'"),
        (
            {"a": 1, "b": 1},
            {},
            {"layout": "steps", "groups": {"b": lp.SlurmGroup(partition="big")}},
            "Use layout 'het' or 'jobs'",
        ),
    ],
)
def test_what_no_cluster_can_hold(
    groups: dict[str, int], resources: dict[str, lp.Resources], options: Any, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        laid_out(groups, resources, **options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time": "1:2:3:4"}, "SlurmOptions: time='1:2:3:4': give a time as SLURM reads it"),
        ({"time": "tomorrow"}, "give a time as SLURM reads it"),
        ({"extra": "--reservation=x"}, "give a tuple of strings"),
        ({"extra": ("reservation",)}, "give options of sbatch, such as --reservation=x"),
        ({"extra": ("--nodes=3",)}, "'--nodes=3' is set by this package"),
        ({"extra": ("--no-kill=off",)}, "'--no-kill=off' is set by this package"),
        ({"layout": "step"}, "layout='step'"),
        ({"groups": {"a": 1}}, "give a dict of lp.SlurmGroup"),
        ({"notice_s": 0}, "notice_s=0"),
        ({"setup": "module load cuda"}, "setup='module load cuda': give a tuple of strings"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        unchecked(lp.SlurmOptions)(**options)
    assert message in str(caught.value)


def test_the_script_of_one_allocation() -> None:
    options = lp.SlurmOptions(
        partition="main",
        account="us",
        time="1-0:00:00",
        setup=("module load cuda",),
        extra=("--reservation=x",),
        requeue=True,
    )
    layout = laid_out({"learner": 1, "actor": 14}, {"learner": lp.Resources(gpus=1)})
    (text,) = script.scripts(layout, options, PLACE)
    step = (
        "srun --job-name=actor --exact --no-kill --mpi=none --nodes=2 --ntasks=2 "
        "--ntasks-per-node=1 --cpus-per-task=7 --gres=none "
        "--output=/home/me/runs/prog-1/slurm/actor-%t.log "
        "/env/bin/python -P -m launchpad_lite.launchers.slurm.task /home/me/runs/prog-1 actor"
    )
    assert f"#   {step}\n" in text
    assert "# Time limit: 1 day; nodes get notice 60 s before.\n" in text
    assert text.endswith(
        """\
#SBATCH --job-name=prog
#SBATCH --chdir='/home/me/my code'
#SBATCH --output=/home/me/runs/prog-1/slurm/job-%j.log
#SBATCH --open-mode=append
#SBATCH --partition=main
#SBATCH --account=us
#SBATCH --time=1-0:00:00
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gres=gpu:1
#SBATCH --signal=B:TERM@60
#SBATCH --requeue
#SBATCH --no-kill
#SBATCH --reservation=x

set -eu
umask 077
module load cuda
if ! [ -x /env/bin/python ]; then
  echo $SLURMD_NODENAME has no /env/bin/python. Launch with an interpreter that all machines see, \
on a shared file system. >&2
  exit 127
fi
exec /env/bin/python -P -m launchpad_lite.launchers.slurm.batch /home/me/runs/prog-1
"""
    )


def test_the_script_of_a_heterogeneous_job() -> None:
    layout = laid_out({"learner": 1, "actor": 4}, layout="het")
    (text,) = script.scripts(layout, lp.SlurmOptions(), PLACE)
    assert text.count("#SBATCH hetjob\n") == 1
    assert "--het-group=0 " in text
    assert "--het-group=1 " in text


def test_the_scripts_of_a_job_for_each_group() -> None:
    layout = laid_out({"learner": 1, "actor": 4}, layout="jobs")
    first, second = script.scripts(layout, lp.SlurmOptions(), PLACE)
    assert first.splitlines()[-1].endswith("launchers.slurm.batch /home/me/runs/prog-1")
    assert second.splitlines()[-1].startswith("exec srun --job-name=actor ")
    assert "#SBATCH --signal=B:TERM@60\n" in first
    assert "#SBATCH --signal=TERM@60\n" in second  # srun would kill the tasks


def test_containers_are_pyxis() -> None:
    layout = laid_out({"actor": 1})
    options = lp.SlurmOptions(container_image="us/image:1", container_mounts=("/data:/data",))
    words = script.command(layout.steps[0], PLACE, options)
    assert "--container-image=us/image:1" in words
    assert "--container-mounts=/data:/data" in words


def test_a_step_gets_its_part_of_its_jobs_memory() -> None:
    layout = laid_out({"learner": 1, "actor": 3})
    env = {"SLURM_MEM_PER_NODE": "4000", "SLURM_CPUS_PER_TASK": "4"}
    assert [script.memory_of(step, env) for step in layout.steps] == [1000, 3000]
    assert script.memory_of(layout.steps[0], {}) is None
