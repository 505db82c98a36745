"""Programs on a real cluster: what works, and how it ends."""

from __future__ import annotations

import signal
import stat

import pytest

from tests.slurm.lab import Lab
from tests.slurm.login import Login

pytestmark = pytest.mark.slurm

SLEEP = ("--output=/dev/null", "--wrap", "sleep 600")


def test_a_program_spreads_over_machines_and_calls_between_them_are_encrypted(
    login: Login, lab: Lab
) -> None:
    run = login.launch("--workers=6", "--nodes=3")
    assert run.end() == 0, run.text()
    assert f"machines: {[(node, None) for node in lab.nodes for _ in range(2)]}" in run.text()
    assert "ways: ['TlsStream', 'UnixStream']" in run.text()
    assert "left in the queue: []" in run.text()


@pytest.mark.parametrize("layout", ["steps", "het", "jobs"])
def test_every_layout(login: Login, layout: str) -> None:
    run = login.launch("--workers=3", "--nodes=2", f"--option=layout={layout!r}")
    assert run.end() == 0, run.text()
    assert "ways: " in run.text()
    scripts = sorted(run.run.glob("job-*.sh"))
    assert len(scripts) == (2 if layout == "jobs" else 1)
    assert ("hetjob" in scripts[0].read_text()) == (layout == "het")


def test_each_worker_has_its_own_gpus(login: Login) -> None:
    run = login.launch("--workers=4", "--nodes=2", "--gpus=2")
    assert run.end() == 0, run.text()
    nodes = [("node1", "0,1"), ("node1", "2,3"), ("node2", "0,1"), ("node2", "2,3")]
    assert f"machines: {nodes}" in run.text()


def test_one_group_may_ask_for_memory(login: Login) -> None:
    run = login.launch("--lp_resources=main:memory_gb=3")
    assert run.end() == 0, run.text()
    assert "#SBATCH --mem=3630M" in (run.run / "job-0.sh").read_text()  # 256 for each other CPU


def test_no_secret_is_where_others_see_it(login: Login) -> None:
    run = login.launch("--mode=wait")
    run.await_text("waiting")
    secrets = [run.run / "submission.pickle", run.run / "rendezvous.json"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in secrets] == [0o600, 0o600]
    assert stat.S_IMODE(run.run.stat().st_mode) == 0o700
    run.interrupt()
    assert run.end() == -signal.SIGINT, run.text()
    assert not any(path.exists() for path in secrets)


def test_a_failing_node_is_told_with_its_traceback(login: Login) -> None:
    run = login.launch("--mode=raise")
    assert run.end() == 1
    assert "node main/0 failed: ValueError: on purpose" in run.text()
    assert 'raise ValueError("on purpose")' in run.text()


def test_a_killed_worker_ends_the_run(login: Login) -> None:
    run = login.launch("--mode=die")
    assert run.end() == 1
    assert "node worker/2 failed: its process was killed by SIGKILL" in run.text()


def test_what_double_forks_ends_with_the_run(login: Login) -> None:
    run = login.launch("--workers=2", "--nodes=2", "--mode=leave")
    assert run.end() == 0, run.text()
    assert "left: [0, 0]" in run.text()
    assert login.processes("time.sleep(600)") == []


def test_ctrl_c_stops_it_and_nodes_get_notice(login: Login) -> None:
    run = login.launch("--mode=wait", "--nodes=3")
    run.await_text("waiting")
    run.interrupt()
    assert run.end() == -signal.SIGINT, run.text()
    assert "told to stop: True" in run.text()


def test_another_terminal_sees_and_stops_it(login: Login) -> None:
    run = login.launch("--mode=wait", "--nodes=3")
    run.await_text("waiting")
    listed = login.lp_launch("ps")
    assert run.run.name in listed.stdout
    assert "running" in listed.stdout
    shown = login.lp_launch("status", run.run.name).stdout
    assert "tcp:" in shown
    stopped = login.lp_launch("stop", run.run.name)
    assert stopped.returncode == 0, stopped.stderr
    assert run.end() == 0, run.text()
    assert "told to stop: True" in run.text()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_it_outlives_the_launching_process(login: Login, number: signal.Signals) -> None:
    run = login.launch("--mode=wait")
    run.await_text("waiting")
    run.process.send_signal(number)
    assert run.process.wait(60) == -number
    assert list(login.lab.queue().values()) == ["RUNNING"]
    stopped = login.lp_launch("stop", run.run.name)
    assert stopped.returncode == 0, stopped.stderr
    login.lab.until(lambda: not login.lab.queue(), "jobs are left in the queue")
    assert "told to stop: True" in login.lp_launch("logs", run.run.name).stdout


def test_scancel_gives_notice_and_is_told(login: Login) -> None:
    run = login.launch("--mode=wait", "--nodes=3")
    run.await_text("waiting")
    login.lab.run("scancel", str(run.job()))
    assert run.end() == 1
    assert "told to stop: True" in run.text()
    assert "SLURM told the job to end (SIGTERM)" in run.text()


def test_a_time_limit_is_told(login: Login) -> None:
    run = login.launch("--mode=wait", "--option=time='0:50'")
    run.await_text("time limit: 1 minute, and notice_s=60 is as long")
    assert run.end() == 1
    assert "told to stop: True" in run.text()
    assert " s before its time limit of 1 minute is reached" in run.text()


def test_a_cancelled_step_fails_its_nodes(login: Login) -> None:
    run = login.launch("--mode=wait", "--nodes=3")
    run.await_text("waiting")
    steps = login.lab.run("squeue", "-s", "-h", "-o", "%i %j").stdout.splitlines()
    (step,) = [line.split()[0] for line in steps if line.endswith(" worker")]
    login.lab.run("scancel", step)
    assert run.end() == 1
    assert "or the agent there that held it" in run.text()


def test_a_controller_that_is_killed_is_lost(login: Login) -> None:
    run = login.launch("--mode=wait", "--nodes=3")
    run.await_text("waiting")
    (controller,) = login.processes(f"launchers.slurm.batch {run.run}")
    controller.kill()
    assert run.end() == 1
    assert "ControllerLost" in run.text()
    assert "ended as FAILED" in run.text()


def test_slurms_controller_may_be_restarted(login: Login) -> None:
    run = login.launch("--mode=wait", "--nodes=3")
    run.await_text("waiting")
    saved = login.lab.directory / "state" / "job_state"  # what is not there it forgets
    written = saved.stat().st_mtime if saved.exists() else 0.0
    login.lab.run("scontrol", "update", f"jobid={run.job()}", "comment=changed")
    login.lab.until(
        lambda: saved.exists() and saved.stat().st_mtime > written, "slurmctld does not save"
    )
    login.lab.kill_slurmctld()
    login.lab.start_slurmctld()
    login.lab.wait_ready()
    run.interrupt()
    assert run.end() == -signal.SIGINT, run.text()


def test_a_job_that_waits_says_why_and_can_be_cancelled(login: Login) -> None:
    blocker = login.lab.run("sbatch", "--parsable", "-N3", "--exclusive", *SLEEP)
    run = login.launch("--mode=wait")
    run.await_text("pending (Resources)")
    run.interrupt()
    code = run.process.wait(60)
    login.lab.run("scancel", blocker.stdout.strip())
    assert code == -signal.SIGINT, run.text()


def test_a_job_that_waits_can_be_stopped_from_another_terminal(login: Login) -> None:
    blocker = login.lab.run("sbatch", "--parsable", "-N3", "--exclusive", *SLEEP)
    run = login.launch("--option=detach=True", "--mode=wait")
    assert run.process.wait(60) == 0
    assert "starting" in login.lp_launch("ps").stdout
    stopped = login.lp_launch("stop", run.run.name)
    assert stopped.returncode == 0
    assert "is cancelled; it had not begun" in stopped.stderr
    assert list(login.lab.queue()) == [int(blocker.stdout)]
    shown = login.lp_launch("ps", "--all").stdout
    assert "ended" in shown
    assert "spread" in shown
    login.lab.run("scancel", blocker.stdout.strip())


def test_who_has_launched_it_ends_well_then(login: Login) -> None:
    run = login.launch("--option=extra=('--hold',)")
    run.await_text("pending (JobHeldUser)")
    assert login.lp_launch("stop", run.run.name).returncode == 0
    assert run.end() == 0, run.text()


def test_two_programs_on_the_same_machines(login: Login) -> None:
    runs = [login.launch("--workers=3", "--nodes=3") for _ in range(2)]
    assert [run.process.wait(90) for run in runs] == [0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--option=partition='mian'"], "did you mean 'main'?"),
        (["--option=time='1:2:3:4'"], "give a time as SLURM reads it"),
        (["--option=extra=('--nodes=3',)"], "'--nodes=3' is set by this package"),
        (["--option=extra=('--reservation=none',)"], "SLURM refuses the job"),
        (["--option=time=2", "--option=partition='short'"], "would wait for ever"),
        (["--option=account='nobody'", "--option=partition='closed'"], "(Job's account not known"),
        (["--lp_resources=main:memory_gb=99"], "the cluster cannot hold the program"),
        (["--gpus=5"], "the cluster cannot hold the program"),
        (["--option=layuot='steps'"], "layuot"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_queued(
    login: Login, options: list[str], message: str
) -> None:
    run = login.launch(*options)
    assert run.end() != 0
    assert message in run.text()
    assert login.lab.queue() == {}


def test_a_home_that_is_not_shared_is_told(login: Login) -> None:
    login.env["XDG_STATE_HOME"] = home = "/dev/shm/lp-not-shared"  # each machine has its own
    run = login.launch()
    assert run.end() == 1
    assert f"Its log: {home}/launchpad_lite/runs/spread-" in run.text()
    assert "Set XDG_STATE_HOME to one that is." in run.text()
