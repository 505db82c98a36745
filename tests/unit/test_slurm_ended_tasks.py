"""Lines of srun that say which tasks have ended."""

from __future__ import annotations

import pytest

from launchpad_lite.launchers.slurm.ended_tasks import EndedTasks, ended_tasks


@pytest.mark.parametrize(
    ("line", "machines", "tasks", "how"),
    [
        (
            "srun: error: node1: task 1: Exited with exit code 2\n",
            *("node1", (1,), "Exited with exit code 2"),
        ),
        ("srun: error: node[1,3]: tasks 0,2-4: Killed", "node[1,3]", (0, 2, 3, 4), "Killed"),
        ("srun: error: node0: task 0: Terminated", "node0", (0,), "Terminated"),
        (
            "srun: error: task 1 launch failed: Slurmd could not connect IO",
            *("", (1,), "launch failed: Slurmd could not connect IO"),
        ),
        (
            "srun: error: Task launch for StepId=10.1 failed on node node1: Connection refused",
            *("node1", (), "launch failed: Connection refused"),
        ),
    ],
)
def test_tasks_that_have_failed(line: str, machines: str, tasks: tuple[int, ...], how: str) -> None:
    assert ended_tasks(line) == EndedTasks(machines=machines, tasks=tasks, how=how)


@pytest.mark.parametrize(
    "line",
    [
        "srun: error: Node failure on node2",
        "srun: Job step aborted: Waiting up to 32 seconds for job step to finish.",
        "slurmstepd: error: *** STEP 1.0 ON node0 CANCELLED AT 2026-11-26T17:00:00 ***",
        "srun: error: node1: task 1: unknown",
        "",
    ],
)
def test_other_lines(line: str) -> None:
    assert ended_tasks(line) is None
