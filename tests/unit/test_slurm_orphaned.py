"""What a task does to its job when the controller is gone without a word."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite.compiling import compile_program
from launchpad_lite.credentials import Credentials
from launchpad_lite.errors import ControllerLost
from launchpad_lite.launchers.slurm import commands, orphaned, script
from launchpad_lite.launchers.slurm.commands import JobState
from launchpad_lite.launchers.slurm.layout import Layout, Machine, Partition, lay_out
from launchpad_lite.launchers.slurm.submission import Submission
from launchpad_lite.owner import Owner
from launchpad_lite.planning import Capabilities
from launchpad_lite.runtime.rundir import Rendezvous, RunDirectory
from launchpad_lite.runtime.status import RunStatus
from launchpad_lite.runtime.supervisor import Phase

CLUSTER = {"": Partition(machines=(Machine(cpus=8, memory_mb=4000, gpus=0, count=3),))}
STATUS = RunStatus("prog-1", "prog", "slurm", Phase.RUNNING.value, "", 0.0, ())


def work() -> None: ...


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    (tmp_path / "prog-1").mkdir()
    return RunDirectory(tmp_path / "prog-1")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What SLURM was told."""
    said: list[Any] = []
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "node0")
    monkeypatch.setattr(orphaned, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(commands, "requeue", lambda job: said.append(("requeue", job)))
    monkeypatch.setattr(commands, "cancel", lambda jobs: said.append(("cancel", *jobs)))
    handler = signal.getsignal(signal.SIGTERM)
    yield said
    signal.signal(signal.SIGTERM, handler)


def settle(
    directory: RunDirectory,
    group: str,
    state: str | None,
    monkeypatch: pytest.MonkeyPatch,
    *,
    inside: bool = False,
    **options: Any,
) -> None:
    """Settle a job of the groups `main` and `worker` that is in a state."""
    program = lp.Program("prog")
    for label in ("main", "worker"):
        program.add_node(lp.PyNode(work), label=label)
    plan = compile_program(program, Capabilities(launcher="slurm", in_process=False))
    chosen = lp.SlurmOptions(**options)
    layout = lay_out(plan.workers, chosen, CLUSTER)
    path = str(directory.path)
    submission = Submission(
        plan=plan,
        layout=Layout(name="inside", jobs=layout.jobs) if inside else layout,
        options=chosen,
        place=script.Place(run_id="prog-1", program="prog", directory=path, python="", cwd=""),
        credentials=Credentials.create(),
    )
    submission.write(directory)
    submission.write_jobs(directory, [7] if len(layout.jobs) == 1 else [6, 7])
    found = {} if state is None else {6: state, 7: state}

    def states(jobs: list[int]) -> dict[int, JobState]:
        return {job: JobState(state=found[job], reason="") for job in jobs if job in found}

    monkeypatch.setattr(commands, "states", states)
    lost = Rendezvous(
        endpoint="tcp:127.0.0.1:9",
        credentials=submission.credentials,
        owner=Owner.elsewhere("job", (), ()),
    )
    orphaned.settle(directory, submission, group, lost)


def secrets(directory: RunDirectory) -> list[str]:
    return [path.name for path in directory.path.glob("*.pickle") if path.stem == "submission"]


def test_a_job_that_runs_on_without_its_script_is_cancelled(
    directory: RunDirectory, told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.write_status(STATUS)
    settle(directory, "worker", "RUNNING", monkeypatch)
    assert told == [("cancel", 7)]
    assert secrets(directory) == []
    outcome = directory.outcome()
    assert outcome is not None
    assert isinstance(outcome[0], ControllerLost)
    why = "prog-1: node0 is gone, and with it the run's controller; job 7 is cancelled"
    assert str(outcome[0]) == why
    status = directory.status()
    assert status is not None
    assert (status.phase, status.error) == ("ended", why)


def test_or_it_is_queued_again(
    directory: RunDirectory, told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(directory, "worker", "RUNNING", monkeypatch, requeue=True)
    assert told == [("requeue", 7)]
    assert secrets(directory) == ["submission.pickle"]  # it starts from it again
    assert directory.outcome() is None


@pytest.mark.parametrize("state", ["COMPLETING", "FAILED", None])
def test_a_job_that_slurm_ends_is_left_to_it(
    directory: RunDirectory,
    told: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    state: str | None,
) -> None:
    directory.write_owner(Owner.elsewhere("SLURM's job 7"))
    settle(directory, "worker", state, monkeypatch)
    assert told == []
    assert secrets(directory) == []
    assert directory.owner() is not None  # others see by it that the run is lost
    assert directory.outcome() is None


def test_a_script_that_waits_for_its_tasks_is_no_lost_one(
    directory: RunDirectory, told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.write_status(dataclasses.replace(STATUS, phase="ended"))
    settle(directory, "worker", "RUNNING", monkeypatch)
    assert told == []
    assert directory.outcome() is None


@pytest.mark.parametrize(
    ("state", "comes_back"),
    [("RUNNING", True), ("PENDING", True), ("COMPLETING", False), ("FAILED", False), (None, False)],
)
def test_another_job_comes_back_with_the_first(
    directory: RunDirectory,
    told: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    state: str | None,
    *,
    comes_back: bool,
) -> None:
    settle(directory, "worker", state, monkeypatch, layout="jobs", requeue=True)
    assert told == [("requeue", 7)] * comes_back


def test_an_allocation_of_the_users_and_another_job_are_left_alone(
    directory: RunDirectory, told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.write_owner(Owner.elsewhere("process 3 on login, inside of SLURM's job 7,"))
    directory.write_status(STATUS)
    settle(directory, "worker", "RUNNING", monkeypatch, inside=True)
    status = directory.status()
    assert status is not None
    assert "process 3 on login, inside of SLURM's job 7, which held" in status.error
    assert directory.owner() is None
    directory.write_status(STATUS)
    settle(directory, "worker", "RUNNING", monkeypatch, layout="jobs")
    assert told == []
    settle(directory, "main", "RUNNING", monkeypatch, layout="jobs")
    assert told == [("cancel", 7)]
