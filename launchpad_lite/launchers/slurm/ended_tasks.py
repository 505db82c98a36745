"""Which tasks of a step have ended, as srun says it: it goes on itself until all have."""

from __future__ import annotations

import dataclasses
import re

_TASKS = re.compile(r"srun: error: (?P<machines>\S+): tasks? (?P<tasks>[\d,-]+): (?P<how>.+)")
_OVER = ("exited", "killed", "terminated", "aborted", "segmentation", "bus error", "out of memory")
_NOT_BEGUN = re.compile(r"srun: error: task (?P<task>\d+) (?P<how>launch failed: .+)")
_NOT_REACHED = re.compile(
    r"srun: error: Task launch for \S+ failed on node (?P<machine>\S+): (?P<why>.+)"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EndedTasks:
    """Tasks of a step that have failed.

    Attributes:
      how: they have ended, in SLURM's words.
      machines: where they were, as SLURM names them; empty where it does not.
      tasks: their numbers in the step; empty for all of them.
    """

    how: str
    machines: str = ""
    tasks: tuple[int, ...] = ()


def ended_tasks(line: str) -> EndedTasks | None:
    """Return what a line of srun's says of tasks that have failed; None if it does not.

    Args:
      line: `srun: error: node1: task 1: Exited with exit code 2`, say.
    """
    line = line.strip()
    if (found := _NOT_BEGUN.match(line)) is not None:
        return EndedTasks(tasks=(int(found["task"]),), how=found["how"])
    if (found := _NOT_REACHED.match(line)) is not None:
        return EndedTasks(machines=found["machine"], how=f"launch failed: {found['why']}")
    found = _TASKS.match(line)
    if found is None or not found["how"].lower().startswith(_OVER):
        return None
    tasks: list[int] = []
    for part in found["tasks"].split(","):
        first, _, last = part.partition("-")
        tasks += range(int(first), int(last or first) + 1)
    return EndedTasks(machines=found["machines"], tasks=tuple(tasks), how=found["how"])
