"""Programs on a real cluster, when something of it dies: what is said, and what is left."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.slurm.lab import Lab
from tests.slurm.login import SECRETS, Launched, Login

pytestmark = pytest.mark.slurm

SLEEP = ("--output=/dev/null", "--wrap", "sleep 600")


def busy(login: Login, *arguments: str) -> Launched:
    """Launch a program that calls a worker on each machine again and again."""
    run = login.launch("--mode=call", "--nodes=3", *arguments)
    run.await_text("calling")
    return run


def of_step(login: Login, run: Launched, group: str) -> list[psutil.Process]:
    """Return the tasks of a group on all machines, by the machine."""
    found = login.processes(f"launchers.slurm.task {run.run} {group}")
    return [process for process in found if process.name() != "srun"]


def test_a_killed_srun_fails_the_nodes_of_its_step(login: Login) -> None:
    run = busy(login)
    sruns = [each for each in login.processes(f"{run.run} worker") if each.name() == "srun"]
    sruns.sort(key=lambda process: process.parent() in sruns, reverse=True)
    for process in sruns:  # a helper ends the step when its parent is gone
        with contextlib.suppress(psutil.NoSuchProcess):  # it was there for a moment only
            process.kill()
    assert run.end() == 1
    assert "its step of SLURM has ended (srun exited with -9)" in run.text()


def test_a_killed_slurmstepd_fails_its_nodes(login: Login) -> None:
    run = busy(login)
    task = of_step(login, run, "worker")[0]
    stepd = task.parent()
    assert stepd is not None
    assert stepd.name() == "slurmstepd"
    stepd.kill()
    assert run.end() == 1
    assert "failed" in run.text()


def test_a_killed_task_fails_its_nodes(login: Login) -> None:
    run = busy(login)
    of_step(login, run, "worker")[0].kill()
    assert run.end() == 1
    assert "or the agent there that held it" in run.text()


def test_slurmd_may_be_restarted(login: Login) -> None:
    run = busy(login)
    for node in login.lab.nodes:
        login.lab.kill_slurmd(node)
        login.lab.start_slurmd(node)
    login.lab.wait_ready()
    run.interrupt()
    assert run.end() == -signal.SIGINT, run.text()


def test_slurmd_may_be_away_at_the_end(login: Login) -> None:
    run = busy(login)
    login.lab.kill_slurmd("node2")
    run.interrupt()
    assert run.process.wait(90) == -signal.SIGINT, run.text()
    login.lab.start_slurmd("node2")


def test_a_machine_that_loses_power_while_it_is_called(login: Login) -> None:
    run = busy(login)
    login.lab.power_off("node2")
    assert run.process.wait(90) == 1
    assert "node2 is gone: nothing has come from it for 10 s" in run.text()
    login.lab.reset()


def test_the_controllers_machine_loses_power(login: Login) -> None:
    run = busy(login)
    login.lab.power_off("node0")
    assert run.process.wait(90) == 1
    assert "ControllerLost" in run.text()
    login.lab.reset()


def test_a_job_that_may_not_be_requeued_runs_on(login: Login) -> None:
    run = busy(login)
    refused = login.run("scontrol", "requeue", str(run.job()))
    assert refused.returncode != 0
    run.interrupt()
    assert run.end() == -signal.SIGINT, run.text()


def test_a_waiting_job_that_is_cancelled_from_outside(login: Login) -> None:
    blocker = login.lab.run("sbatch", "--parsable", "-N3", "--exclusive", *SLEEP).stdout.strip()
    run = login.launch("--mode=call")
    run.await_text("pending (Resources)")
    (job,) = [number for number, state in login.lab.queue().items() if state == "PENDING"]
    login.lab.run("scancel", str(job))
    code = run.process.wait(60)
    login.lab.run("scancel", blocker)
    assert code == 1
    assert f"job {job} was cancelled before it began.\n" in run.text()


def test_two_hundred_workers_on_three_machines(login: Login) -> None:
    run = login.launch("--workers=199", "--nodes=3", "--cpus=0.1")  # and the main one
    assert run.end() == 0, run.text()
    assert "ways: ['TlsStream', 'UnixStream']" in run.text()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that is soon full; machines that are booted later share it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


def fill(disk: Path) -> None:
    with (disk / "filling").open("wb", 0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_full_shared_disk(small_disk: Path, tmp_path: Path, directory: Path) -> None:
    with Lab.boot(directory, nodes=2) as lab:
        login = Login(lab, tmp_path)
        login.env["XDG_STATE_HOME"] = str(small_disk)
        run = login.launch("--mode=wait", "--nodes=2")
        run.await_text("waiting")
        fill(small_disk)
        run.interrupt()
        assert run.end() == 1
        assert f"No space left on device\nwhile saving {small_disk}" in run.text()
        again = login.launch()
        assert again.end() == 1
        assert f"the run cannot be launched: {small_disk}" in again.text()
        assert "submission.pickle: No space left on device." in again.text()
        assert [path for name in SECRETS for path in small_disk.rglob(name)] == []
