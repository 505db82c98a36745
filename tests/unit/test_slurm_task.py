"""A task that waits for its controller."""

from __future__ import annotations

import itertools
import socket
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from launchpad_lite.credentials import Credentials
from launchpad_lite.errors import LauncherUnavailableError, UsageError
from launchpad_lite.launchers.slurm import commands, task
from launchpad_lite.launchers.slurm.commands import JobState
from launchpad_lite.launchers.slurm.submission import Submission
from launchpad_lite.owner import Owner
from launchpad_lite.runtime.rundir import RunDirectory

HELD = Owner.elsewhere("job 7", (sys.executable, "-c", "print('RUNNING')"), ())


@pytest.fixture
def endpoint() -> Iterator[str]:
    """Where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"tcp:127.0.0.1:{unused.getsockname()[1]}"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[JobState | None]:
    """What SLURM will answer, the last again and again, to tasks whose minutes pass at once."""
    answers: list[JobState | None] = []

    def states(jobs: tuple[int, ...]) -> dict[int, JobState]:
        state = answers.pop(0) if len(answers) > 1 else answers[0]
        if state is None:
            message = "it is restarted"
            raise commands.SlurmError(message)
        return dict.fromkeys(jobs, state)

    monkeypatch.setattr(commands, "states", states)
    clock = types.SimpleNamespace(monotonic=itertools.count(step=40).__next__, sleep=lambda _: None)
    monkeypatch.setattr(task, "time", clock)
    return answers


def test_a_controller_that_runs_out_of_reach_is_not_waited_for_for_ever(
    tmp_path: Path, endpoint: str, asked: list[JobState | None]
) -> None:
    directory = RunDirectory(tmp_path)
    directory.write_rendezvous(endpoint, Credentials.create())
    directory.write_owner(HELD)
    Submission.write_jobs(directory, [7, 8])
    running = JobState(state="RUNNING", reason="")
    asked += [JobState(state="PENDING", reason="Resources"), running, None, running]
    with pytest.raises(LauncherUnavailableError) as caught:
        task._await_controller(directory, waits_in_queue=True)  # noqa: SLF001 - no way around it
    assert f"cannot reach it at {endpoint.partition(':')[2]}: look for a fire" in str(caught.value)
    assert asked == [running]


def test_a_controller_that_does_not_come_is_told_with_how_long_it_was_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = types.SimpleNamespace(monotonic=itertools.count().__next__, sleep=lambda _: None)
    monkeypatch.setattr(task, "time", clock)
    monkeypatch.setenv("SLURM_NTASKS", "40")
    with pytest.raises(UsageError, match=r"no controller has written to .* within 201 s"):
        task._await_controller(RunDirectory(tmp_path), waits_in_queue=False)  # noqa: SLF001 - no way around it
