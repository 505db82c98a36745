"""What it means that tasks of a step have ended, for people."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

from launchpad_lite.launchers.slurm import commands, script
from launchpad_lite.runtime.rundir import tail

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launchpad_lite.launchers.slurm.ended_tasks import EndedTasks
    from launchpad_lite.launchers.slurm.layout import Step
    from launchpad_lite.launchers.slurm.script import Place

_TAIL_LINES = 10
_NO_LOG = "could not connect IO"
"""What SLURM says, among others, if the directory of a task's log is not there."""


def lost_tasks(
    step: Step, place: Place, ended: EndedTasks, jobs: Iterable[str]
) -> tuple[list[str], str]:
    """Return the agents that are gone with tasks, and why.

    Args:
      step: whose tasks they are.
      place: of the run.
      ended: what srun says of them.
      jobs: the numbers of the job that the step is in, or of its components.
    """
    tasks = ended.tasks or range(step.ask.nodes)
    where = ended.machines
    if not where:
        machines = step.machines or commands.machines_of_step(jobs, step.group)
        where = ",".join(machines[task] for task in tasks if task < len(machines))
    said = last_said(step, place, tasks)
    if _NO_LOG in ended.how:
        said = f"\n  Its log is {script.log_of(step, place, tasks[0])}. {script.SHARE}"
    on = f" on {where}" if where else ""
    return [step.agents[task] for task in tasks], f"its task of SLURM{on}: {ended.how}{said}"


def last_said(step: Step, place: Place, tasks: Iterable[int]) -> str:
    """Return what tasks have said last, and what that means.

    Args:
      step: whose tasks they are.
      place: of the run.
      tasks: their numbers in the step.
    """
    logs = [pathlib.Path(script.log_of(step, place, task)) for task in tasks]
    lines = [line for log in logs for line in tail(log).splitlines()]
    if any(f"{place.python}: No such file" in line for line in lines):
        lines.append(script.LAUNCH_WITH)
    return "".join(f"\n  {line}" for line in lines[-_TAIL_LINES:])
