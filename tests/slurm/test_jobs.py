"""A job for each group: those that are not the controller's are watched too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.slurm.lab import Lab
from tests.slurm.login import Launched, Login

pytestmark = pytest.mark.slurm


class Blocked:
    """Jobs that sleep, and leave room on the cluster for some."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.jobs: list[int] = []

    def add(self, *size: str) -> None:
        words = ("sbatch", "--parsable", *size, "--output=/dev/null", "--wrap", "sleep 600")
        self.jobs.append(int(self._lab.run(*words).stdout))

    def are_all(self) -> bool:
        """Whether no other job is in the queue."""
        return sorted(self._lab.queue()) == self.jobs

    def end(self) -> None:
        self._lab.run("scancel", "--quiet", *map(str, self.jobs))
        self._lab.until(lambda: not self._lab.queue(), "jobs do not end")


@pytest.fixture
def blocked(lab: Lab) -> Iterator[Blocked]:
    blocked = Blocked(lab)
    yield blocked
    blocked.end()


@pytest.fixture
def room_for_three(blocked: Blocked) -> Blocked:
    """There is room for a group of three nodes, and for no other."""
    blocked.add("-N2", "--exclusive", "--nodelist=node1,node2")
    blocked.add("-N1", "-c5", "--nodelist=node0")
    return blocked


def launch(login: Login) -> Launched:
    return login.launch("--workers=3", "--nodes=1", "--option=layout='jobs'")


def test_a_later_job_that_waits_is_told_and_awaited(login: Login, room_for_three: Blocked) -> None:
    run = launch(login)
    job = room_for_three.jobs[-1] + 2
    run.await_text(f"[slurm] job {job}, of group main, is pending (Resources)")
    room_for_three.end()
    assert run.end() == 0, run.text()


def test_a_later_job_that_is_cancelled_fails_its_nodes(
    login: Login, room_for_three: Blocked
) -> None:
    run = launch(login)
    run.await_text("[slurm] job")
    job = max(login.lab.queue())
    login.lab.run("scancel", str(job))
    assert run.process.wait(90) == 1
    assert f"node main/0 failed: its job {job} ended as CANCELLED" in run.text()
    login.lab.until(room_for_three.are_all, "jobs are left in the queue")


def test_the_end_of_the_run_cancels_what_waits(login: Login, room_for_three: Blocked) -> None:
    run = launch(login)
    run.await_text("[slurm] job")
    run.interrupt()
    run.process.wait(90)
    login.lab.until(room_for_three.are_all, "jobs are left in the queue")


def test_a_later_job_that_is_cancelled_before_the_first_begins(
    login: Login, blocked: Blocked
) -> None:
    blocked.add("-N3", "--exclusive")
    run = launch(login)
    job = blocked.jobs[-1] + 2
    run.await_text(f"job {job}, of group main, is pending")
    login.lab.run("scancel", str(job))
    assert run.process.wait(90) == 1
    assert f"job {job}, of group main, was cancelled before it began." in run.text()
    login.lab.until(blocked.are_all, "jobs are left in the queue")
