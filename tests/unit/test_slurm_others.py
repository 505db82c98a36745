"""The jobs of a run that has several, as its controller watches them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite.compiling import compile_program
from launchpad_lite.credentials import Credentials
from launchpad_lite.launchers.slurm import commands, script
from launchpad_lite.launchers.slurm.commands import JobState
from launchpad_lite.launchers.slurm.layout import Machine, Partition, lay_out
from launchpad_lite.launchers.slurm.others import OtherJobs
from launchpad_lite.launchers.slurm.submission import Submission
from launchpad_lite.planning import Capabilities
from launchpad_lite.runtime.rundir import RunDirectory

CLUSTER = {"": Partition(machines=(Machine(cpus=8, memory_mb=4000, gpus=0, count=3),))}


def work() -> None: ...


class PlayedFleet:
    """Awaits some agents; notes those that are given up."""

    def __init__(self, *awaited: str) -> None:
        self._awaited = awaited
        self.gone: list[tuple[list[str], str]] = []

    def awaits(self, agents: Iterable[str]) -> bool:
        return any(agent in self._awaited for agent in agents)

    def give_up(self, agents: Iterable[str], reason: str) -> None:
        self.gone.append((list(agents), reason))


def watch(directory: Path, fleet: Any) -> tuple[OtherJobs, Submission]:
    """Return what watches the job of the group `worker`, and what that was made of."""
    program = lp.Program("prog")
    for label in ("main", "worker", "worker"):
        program.add_node(lp.PyNode(work), label=label)
    plan = compile_program(
        program,
        Capabilities(launcher="slurm", in_process=False),
        resources={"worker": lp.Resources(nodes=2)},
    )
    options = lp.SlurmOptions(layout="jobs")
    submission = Submission(
        plan=plan,
        layout=lay_out(plan.workers, options, CLUSTER),
        options=options,
        place=script.Place(run_id="r", program="prog", directory=str(directory), python="", cwd=""),
        credentials=Credentials.create(),
    )
    return OtherJobs(RunDirectory(directory), submission, fleet), submission


def test_a_run_may_end_before_all_of_its_jobs_are_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(commands, "cancel_waiting", asked.append)
    others, _ = watch(tmp_path, None)  # nothing is to be told
    others.end()
    others._run()  # noqa: SLF001 - its thread: what that raises would only be printed
    assert asked == []


FAILED = "srun: error: node1: task 1: Exited with exit code 2\n"
LOST = [(["worker@1"], "its task of SLURM on node1: Exited with exit code 2")]


@pytest.mark.parametrize(
    ("awaited", "log", "gone"),
    [
        (("worker@1",), f"{script.BEGINS}\n{FAILED}", LOST),
        (("worker@0", "worker@1"), f"{script.BEGINS}\n{FAILED}", []),  # of an earlier life
        (("worker@1",), f"{script.BEGINS}\n{FAILED}{script.BEGINS}\n", []),
        (("worker@1",), f"{script.BEGINS}\n", []),
    ],
)
def test_of_a_job_that_runs_the_log_tells_which_tasks_will_not_come(
    tmp_path: Path, awaited: tuple[str, ...], log: str, gone: list[Any]
) -> None:
    fleet = PlayedFleet(*awaited)
    others, submission = watch(tmp_path, fleet)
    path = submission.log(RunDirectory(tmp_path), 2)
    path.parent.mkdir()
    path.write_text(log)
    states = {2: JobState(state="RUNNING", reason="None")}
    others._give_up(states, {2: submission.layout.steps[1]})  # noqa: SLF001 - waits for no time
    assert fleet.gone == gone
