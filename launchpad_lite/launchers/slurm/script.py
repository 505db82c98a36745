"""The scripts that sbatch is given, and the commands of the steps. Pure: text from data."""

from __future__ import annotations

import dataclasses
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from launchpad_lite.launchers.slurm.layout import Ask, Component, Layout, Step
    from launchpad_lite.launchers.slurm.options import SlurmOptions

_BATCH = "launchpad_lite.launchers.slurm.batch"
_TASK = "launchpad_lite.launchers.slurm.task"
LAUNCH_WITH = "Launch with an interpreter that all machines see, on a shared file system."
BEGINS = "its tasks begin"
"""What is in a job's log from there on is of its present life: it may have been queued again."""

SHARE = (
    "Is it on a file system that all machines of the cluster share? Set XDG_STATE_HOME to one that "
    "is."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where a run's files and its interpreter are.

    Attributes:
      run_id: the run.
      program: the program's name.
      directory: the run directory.
      python: the interpreter.
      cwd: the working directory.
    """

    run_id: str
    program: str
    directory: str
    python: str
    cwd: str


def scripts(layout: Layout, options: SlurmOptions, place: Place) -> list[str]:
    """Return the script of each job of a run."""
    return [_script(layout, number, options, place) for number in range(len(layout.jobs))]


def _script(layout: Layout, number: int, options: SlurmOptions, place: Place) -> str:
    job = layout.jobs[number]
    components = [
        "\n".join(f"#SBATCH {option}" for option in _options(component, options, place, number))
        for component in job
    ]
    steps = [
        (step, index if len(job) > 1 else None)
        for index, component in enumerate(job)
        for step in component.steps
    ]
    head = [f"# The run {place.run_id} of a launchpad_lite program."]
    if options.limit:
        head.append(f"# {options.limit.capitalize()}.")
    if number == 0:
        head.append("# This job's batch script is the run's controller. It starts these steps:")
        head += [f"#   {shlex.join(command(step, place, options, het))}" for step, het in steps]
        python = shlex.quote(place.python)
        body = [
            f"if ! [ -x {python} ]; then",
            f"  echo $SLURMD_NODENAME has no {python}. {LAUNCH_WITH} >&2",
            "  exit 127",
            "fi",
            f"exec {shlex.join([place.python, '-P', '-m', _BATCH, place.directory])}",
        ]
    else:
        head.append("# Its controller is in another job, and starts before or after this one.")
        body = [f"echo '{BEGINS}'"]
        body += [f"exec {shlex.join(command(step, place, options, het))}" for step, het in steps]
    lines = [
        "#!/bin/bash",
        *head,
        "\n#SBATCH hetjob\n".join(components),
        "",
        "set -eu",
        "umask 077",
        *options.setup,
        *body,
        "",
    ]
    return "\n".join(lines)


def _options(
    component: Component, options: SlurmOptions, place: Place, number: int
) -> Iterator[str]:
    where, ask = component.where, component.ask
    yield f"--job-name={shlex.quote(place.program)}"
    yield f"--chdir={shlex.quote(place.cwd)}"
    yield f"--output={shlex.quote(place.directory)}/slurm/job-%j.log"
    yield "--open-mode=append"
    chosen = {
        "partition": where.partition or options.partition,
        "account": options.account,
        "qos": options.qos,
        "time": options.time,
        "constraint": where.constraint or options.constraint,
    }
    yield from (f"--{name}={shlex.quote(value)}" for name, value in chosen.items() if value)
    yield from _amounts(ask)
    if ask.exclusive:
        yield "--exclusive"
    to_whom = "" if number else "B:"  # the script: the controller; where that is srun, the tasks
    yield f"--signal={to_whom}TERM@{options.notice_s}"
    yield "--requeue" if options.requeue else "--no-requeue"
    yield "--no-kill"  # the controller tells which machine was lost, and ends the rest
    yield from options.extra
    yield from where.extra


def _amounts(ask: Ask) -> Iterator[str]:
    yield f"--nodes={ask.nodes}"
    yield "--ntasks-per-node=1"
    yield f"--cpus-per-task={ask.cpus}"
    if ask.memory_mb is not None:
        yield f"--mem={ask.memory_mb}M"
    if ask.gpus:
        yield f"--gres=gpu:{ask.gpus}"


def command(
    step: Step,
    place: Place,
    options: SlurmOptions,
    het: int | None = None,
    *,
    memory_mb: int | None = None,
    overlap: bool = False,
    setup: Iterable[str] = (),
) -> list[str]:
    """Return what starts a step.

    Args:
      step: the step.
      place: of the run.
      options: the user's.
      het: the component of a heterogeneous job that it runs on; None in any other.
      memory_mb: what it gets where its group asked for none: else SLURM gives it all there is.
      overlap: whether it shares what it has with other steps.
      setup: lines of shell that its tasks begin with.
    """
    ask = step.ask
    words = ["srun", f"--job-name={step.group}", "--exact", "--no-kill", "--mpi=none"]
    words += ["--overlap"] if overlap else []
    words += [f"--nodelist={','.join(step.machines)}"] if step.machines else []
    words += [f"--het-group={het}"] if het is not None else []
    words += [f"--nodes={ask.nodes}", f"--ntasks={ask.nodes}", "--ntasks-per-node=1"]
    words += [f"--cpus-per-task={ask.cpus}"]
    words += [f"--gres=gpu:{ask.gpus}" if ask.gpus else "--gres=none"]
    memory = ask.memory_mb or memory_mb
    words += [f"--mem={memory}M"] if memory is not None else []
    words += [f"--container-image={options.container_image}"] if options.container_image else []
    if options.container_mounts:
        words.append(f"--container-mounts={','.join(options.container_mounts)}")
    words.append(f"--output={log_of(step, place, '%t')}")
    task = [place.python, "-P", "-m", _TASK, place.directory, step.group]
    task += [str(step.first)] if step.first else []
    lines = [*setup]
    if lines:
        task = ["bash", "-c", "\n".join(["set -eu", *lines, f"exec {shlex.join(task)}"])]
    return [*words, *task]


def inside(layout: Layout, options: SlurmOptions, place: Place) -> list[list[str]]:
    """Return what starts each step of a layout inside an allocation that is there."""
    return [
        command(step, place, options, overlap=layout.overlap, setup=options.setup)
        for step in layout.steps
    ]


def log_of(step: Step, place: Place, task: int | str) -> str:
    """Return the file that a task of a step prints to."""
    before = f"{step.first}-" if step.first else ""
    return f"{place.directory}/slurm/{_file(step.group)}-{before}{task}.log"


def _file(group: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "_-." else "_" for letter in group)


def memory_of(step: Step, env: Mapping[str, str]) -> int | None:
    """Return a step's part of its job's memory, by CPUs; None if the job counts no memory.

    Args:
      step: the step.
      env: of the job's batch script.
    """
    memory, cpus = env.get("SLURM_MEM_PER_NODE"), env.get("SLURM_CPUS_PER_TASK")
    if not memory or not cpus:
        return None
    return max(1, int(memory) * step.ask.cpus // int(cpus))
