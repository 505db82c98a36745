"""Runs that SLURM queues again, and runs that it must not."""

from __future__ import annotations

import pytest

from tests.slurm.login import Launched, Login

pytestmark = pytest.mark.slurm

REQUEUE = "--option=requeue=True"


def begun(login: Login, *arguments: str) -> Launched:
    """Launch a program that waits for its end the first time, and saves then."""
    run = login.launch("--mode=restored", REQUEUE, *arguments)
    run.await_text("waiting, restored 0")
    return run


def test_told_to_end_it_starts_again_from_what_was_saved(login: Login) -> None:
    run = begun(login)
    job = run.job()
    login.lab.run("scancel", "--signal=TERM", "--batch", str(job))  # as before the time limit
    assert run.end() == 0, run.text()
    assert "waiting, restored 1" in run.text()


def test_it_may_be_requeued_by_hand(login: Login) -> None:
    run = begun(login)
    job = run.job()
    login.lab.run("scontrol", "requeue", str(job))
    assert run.end() == 0, run.text()
    assert "waiting, restored 1" in run.text()


def test_all_of_its_jobs_come_back(login: Login) -> None:
    run = begun(login, "--nodes=2", "--option=layout='jobs'")
    jobs = sorted(login.lab.queue())
    login.lab.run("scancel", "--signal=TERM", str(jobs[1]))  # its tasks
    assert run.end() == 0, run.text()
    assert "waiting, restored 1" in run.text()
    assert [login.lab.job(job)["Restarts"] for job in jobs] == ["1", "1"]


def test_a_preempted_run_gets_notice_and_comes_back(login: Login) -> None:
    lab = login.lab
    run = begun(login, "--nodes=3", "--option=partition='spare'")
    job = run.job()
    urgent = lab.run(
        *("sbatch", "--parsable", "--partition=urgent", "-N3", "--exclusive", "--output=/dev/null"),
        *("--wrap", "sleep 600"),
    ).stdout.strip()
    lab.until(lambda: lab.queue().get(int(urgent)) == "RUNNING", "it is not preempted")
    run.await_text("told to stop: True")
    assert lab.job(job)["Restarts"] == "1"
    assert lab.queue()[job] == "PENDING"
    lab.run("scancel", urgent)
    assert run.end() == 0, run.text()
    assert "waiting, restored 1" in run.text()


def test_cancelled_it_ends(login: Login) -> None:
    run = begun(login)
    job = run.job()
    login.lab.run("scancel", str(job))
    assert run.end() == 1, run.text()
    assert "SLURM told the job to end (SIGTERM)" in run.text()
    assert login.lab.job(job)["JobState"] == "CANCELLED"
