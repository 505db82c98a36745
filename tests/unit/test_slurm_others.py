"""The jobs of a run that has several, as its controller watches them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite.compiling import compile_program
from launchpad_lite.credentials import Credentials
from launchpad_lite.launchers.slurm import commands, script
from launchpad_lite.launchers.slurm.layout import Machine, Partition, lay_out
from launchpad_lite.launchers.slurm.others import OtherJobs
from launchpad_lite.launchers.slurm.submission import Submission
from launchpad_lite.planning import Capabilities
from launchpad_lite.runtime.rundir import RunDirectory

CLUSTER = {"": Partition(machines=(Machine(cpus=8, memory_mb=4000, gpus=0, count=3),))}


def work() -> None: ...


def test_a_run_may_end_before_all_of_its_jobs_are_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = lp.Program("prog")
    for label in ("main", "worker"):
        program.add_node(lp.PyNode(work), label=label)
    plan = compile_program(program, Capabilities(launcher="slurm", in_process=False))
    options = lp.SlurmOptions(layout="jobs")
    fleet: Any = None  # nothing is to be told
    submission = Submission(
        plan=plan,
        layout=lay_out(plan.workers, options, CLUSTER),
        options=options,
        place=script.Place(run_id="r", program="prog", directory="", python="", cwd=""),
        credentials=Credentials.create(),
    )
    asked: list[Any] = []
    monkeypatch.setattr(commands, "cancel_waiting", asked.append)
    others = OtherJobs(RunDirectory(tmp_path), submission, fleet)
    others.end()
    others._run()  # noqa: SLF001 - its thread: what that raises would only be printed
    assert asked == []
