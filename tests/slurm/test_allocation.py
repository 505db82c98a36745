"""Programs launched from inside of an allocation: nothing is submitted."""

from __future__ import annotations

import shlex
import signal
import sys

import psutil
import pytest

from tests.slurm.lab import Lab
from tests.slurm.login import PROGRAM, Launched, Login

pytestmark = pytest.mark.slurm

AFTER = "echo steps: $(squeue -h -s -o %j -j $SLURM_JOB_ID); echo job: $(squeue -h -o %T)"


def salloc(login: Login, sizes: str, *arguments: str, after: str = AFTER) -> Launched:
    """Launch the program from a shell of salloc, which then says what is left."""
    program = shlex.join([sys.executable, str(PROGRAM), *arguments])
    script = f"{program}; code=$?; {after}; exit $code"
    return login.start("salloc", *sizes.split(), "bash", "-c", script)


def launching(login: Login) -> psutil.Process:
    """Return the process that has launched the program that waits."""
    words = [sys.executable, str(PROGRAM), "--mode=wait"]
    (found,) = [each for each in login.processes(words[1]) if each.info["cmdline"] == words]
    return found


def test_it_spreads_over_the_allocation_and_leaves_it(login: Login, lab: Lab) -> None:
    run = salloc(login, "-N3 -n3 -c3", "--workers=6")
    assert run.end() == 0, run.text()
    assert f"machines: {[(node, None) for node in lab.nodes for _ in range(2)]}" in run.text()
    assert "ways: ['TlsStream', 'UnixStream']" in run.text()
    assert "steps:\n" in run.text()
    assert "job: RUNNING" in run.text()
    assert not (run.run / "submission.pickle").exists()
    assert not (run.run / "rendezvous.json").exists()


def test_machines_with_unlike_parts_hold_what_they_can(login: Login) -> None:
    run = salloc(login, "-n11", "--workers=10")  # 8 CPUs of one machine, 3 of another
    assert run.end() == 0, run.text()
    machines = ["node0"] * 7 + ["node1"] * 3
    assert f"machines: {[(machine, None) for machine in machines]}" in run.text()


def test_gpus_of_the_allocation_are_handed_out(login: Login) -> None:
    run = salloc(login, "-N2 -n2 -c3 --gres=gpu:2", "--workers=4", "--gpus=1")
    assert run.end() == 0, run.text()
    nodes = [(node, gpu) for node in ("node1", "node2") for gpu in ("0", "1")]
    assert f"machines: {nodes}" in run.text()


def test_from_a_step_of_the_allocation(login: Login) -> None:
    program = (sys.executable, str(PROGRAM), "--workers=3", "--gpus=1")
    run = login.start("srun", "-N1", "-c4", "--gres=gpu:3", *program)
    assert run.end() == 0, run.text()
    assert "machines: [('node1', '0'), ('node1', '1'), ('node1', '2')]" in run.text()


def test_what_does_not_fit_is_told(login: Login) -> None:
    run = salloc(login, "-N2 -n2 -c2", "--workers=6")
    assert run.end() == 1
    assert (
        "cannot hold the program: it asks for worker: 6 x (cpus=1), main: 1 x (cpus=1)"
        in run.text()
    )
    assert "node0 with 2 CPUs, 0 GPUs and 0.5 GB; node1 with 2 CPUs" in run.text()
    assert "--slurm_submit" in run.text()


def test_options_of_a_job_have_no_effect(login: Login) -> None:
    options = ("--option=time='1:00'", "--option=layout='jobs'", "--option=setup=('export A=1',)")
    run = salloc(login, "-n4", *options)
    assert run.end() == 0, run.text()
    assert "these have no effect: time, layout; lp.SlurmOptions(submit=True), or" in run.text()


def test_it_submits_when_told_to(login: Login) -> None:
    run = salloc(login, "-N1 --mem=300", "--option=submit=True", "--workers=6")
    assert run.end() == 0, run.text()
    assert (run.run / "job-0.sh").exists()


def test_a_dry_run_says_what_it_would_start(login: Login) -> None:
    run = salloc(login, "-n4", "--lp_dry_run")
    assert run.end() == 0, run.text()
    assert "inside of SLURM's job" in run.text().replace("Inside", "inside")
    assert "--nodelist=node0" in run.text()
    assert not list(run.state.glob("launchpad_lite/runs/*"))


def test_an_allocation_that_is_over_is_told(login: Login) -> None:
    login.env["SLURM_JOB_ID"] = "9999999"
    run = login.launch()
    assert run.end() == 1
    assert "SLURM knows no such job. Unset SLURM_JOB_ID" in run.text()


def test_ctrl_c_ends_the_steps(login: Login) -> None:
    run = salloc(login, "-N2 -n2 -c3", "--mode=wait")
    run.await_text("waiting")
    launching(login).send_signal(signal.SIGINT)
    assert run.end() == 128 + signal.SIGINT, run.text()
    assert "told to stop: True" in run.text()
    assert "steps:\n" in run.text()
    assert "job: RUNNING" in run.text()


def test_the_end_of_the_launching_process_ends_the_steps(login: Login, lab: Lab) -> None:
    after = 'while [ -n "$(squeue -h -s -o %j -j $SLURM_JOB_ID)" ]; do sleep 0.2; done; echo gone'
    run = salloc(login, "-N2 -n2 -c3", "--mode=wait", after=after)
    run.await_text("waiting")
    launching(login).kill()
    assert run.end() == 128 + signal.SIGKILL, run.text()
    assert "gone" in run.text()
    lab.until(lambda: not login.processes(str(run.run)), "processes are left")


def test_the_end_of_the_allocation_gives_notice_and_is_told(login: Login) -> None:
    run = salloc(login, "-N2 -n2 -c3", "--mode=wait", after="true")
    run.await_text("waiting")
    login.lab.run("scancel", str(run.job()))
    assert run.end() == 1, run.text()
    assert "told to stop: True" in run.text()
    assert "RunError: spread-" in run.text()
    assert "SLURM told the job to end (SIGTERM)" in run.text()


def test_the_time_limit_of_the_allocation_ends_the_run_before(login: Login) -> None:
    run = salloc(login, "-p short -t1 -n4", "--mode=wait", "--option=notice_s=58")
    assert run.end() == 1, run.text()
    assert "is over in 58 s" in run.text()
    assert "job: RUNNING" in run.text()
