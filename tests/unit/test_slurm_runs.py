"""Programs under the SLURM launcher on a machine without SLURM: the commands are stand-ins.

The controller, the tasks, the agents and the workers are real.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

import launchpad_lite as lp
from launchpad_lite import credentials
from launchpad_lite.cli.main import main
from launchpad_lite.errors import (
    ControllerLost,
    RunError,
    Unavailable,
    UnpicklableError,
    UsageError,
)
from launchpad_lite.launchers.slurm import following, waiting
from launchpad_lite.runtime import run as runs
from launchpad_lite.runtime.control import RunViewer
from launchpad_lite.runtime.rundir import list_runs
from launchpad_lite.runtime.signals import signals
from tests.unit.fake_slurm import FakeSlurm

BACKDATED = credentials._BACKDATED  # noqa: SLF001 - of certificates: stands for a wrong clock
CANCELLED = "SLURM told the job to end (SIGTERM)"


class Worker:
    def twice(self, number: int) -> int:
        return 2 * number

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Main:
    """Calls the workers, and does what it is told then."""

    def __init__(self, workers: list[Worker], then: str) -> None:
        self._workers = workers
        self._then = then
        self._restored = False
        self._has_called = threading.Event()

    def save(self, path: str) -> None:
        Path(path).touch()

    def restore(self, path: str) -> None:
        self._restored = Path(path).exists()

    def run(self) -> None:
        assert [worker.twice(i) for i, worker in enumerate(self._workers)] == [0, 2, 4]
        self._has_called.set()
        if self._then == "raise":
            raise ValueError("on purpose")
        if self._then == "kill":
            self._workers[-1].die()
        if self._then == "wait" and not self._restored:
            lp.wait_for_stop()
        lp.stop()

    def all_are_up(self) -> bool:
        return self._has_called.wait(60)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    fake = FakeSlurm(tmp_path)
    monkeypatch.setenv("PATH", fake.path)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)  # the tests may be in a job themselves
    monkeypatch.setenv("RAY_ADDRESS", "local")  # without the runs of a cluster of this machine
    return fake


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """SLURM is asked without pause."""
    monkeypatch.setattr(waiting, "ASK_S", 0.01)


def launch(then: str = "stop", machines: int = 1, **options: Any) -> lp.Run:
    program = lp.Program("fake")
    with program.group("worker"):
        workers = [program.add_node(lp.CourierNode(Worker)) for _ in range(3)]
    program.add_node(lp.CourierNode(Main, workers, then), label="main")
    return lp.launch(
        program,
        launcher="slurm",
        resources={"worker": lp.Resources(nodes=machines)},
        options=lp.SlurmOptions(show_output=False, **options),
    )


def secrets(run: lp.Run) -> list[Path]:
    assert run.directory is not None
    return [path for path in run.directory.iterdir() if path.name.startswith(("subm", "rend"))]


@pytest.mark.parametrize(("layout", "jobs"), [("steps", 1), ("het", 1), ("jobs", 2)])
def test_a_program_runs_and_ends(slurm: FakeSlurm, layout: Any, jobs: int) -> None:
    run = launch(machines=2, layout=layout)
    run.wait()
    slurm.await_states(*["COMPLETED"] * jobs)
    assert secrets(run) == []
    assert len(slurm.calls("sbatch")) == jobs
    assert len(slurm.calls("sinfo")) == 1
    assert {node.state for node in run.status().nodes} == {"done"}


@pytest.mark.parametrize(
    ("then", "told"),
    [
        ("raise", r"(?s)node main/0 failed: ValueError: on purpose.*raise ValueError"),
        ("kill", "node worker/2 failed: its process was killed by SIGKILL"),
    ],
)
def test_a_failing_node_fails_the_run_and_the_job(slurm: FakeSlurm, then: str, told: str) -> None:
    run = launch(then)
    with pytest.raises(RunError, match=told):
        run.wait()
    slurm.await_states("FAILED")
    assert secrets(run) == []


def test_the_launching_process_calls_nodes_and_stops_the_run(slurm: FakeSlurm) -> None:
    with launch("wait") as run:
        assert run.client("main").all_are_up()
        assert run.client("worker", 1).twice(4) == 8
    slurm.await_states("COMPLETED")


def test_a_job_that_is_cancelled_by_others_is_told(slurm: FakeSlurm) -> None:
    run = launch("wait")
    assert run.client("main").all_are_up()
    slurm.run("scancel", "1")
    with pytest.raises(RunError) as caught:
        run.wait()
    assert CANCELLED in str(caught.value)
    slurm.await_states("CANCELLED")
    assert secrets(run) == []


def test_a_job_that_is_queued_again_starts_from_what_was_saved(slurm: FakeSlurm) -> None:
    run = launch("wait", requeue=True)
    assert run.client("main").all_are_up()
    slurm.run("scontrol", "requeue", "1")
    slurm.start(1)
    run.wait()
    slurm.await_states("COMPLETED")


def test_until_it_starts_again_it_is_known_to_wait(
    slurm: FakeSlurm, capfd: pytest.CaptureFixture[str]
) -> None:
    run = launch("wait", requeue=True)
    assert run.client("main").all_are_up()
    slurm.tell(1, "batch")
    slurm.await_states("PENDING")
    until(lambda: "starting" in shown(capfd))
    assert main(["stop", "fake"]) == 0
    assert "SLURM's job 1 is cancelled; it had not begun" in capfd.readouterr().err
    run.wait()


def shown(capfd: pytest.CaptureFixture[str]) -> str:
    assert main(["ps"]) == 0
    return capfd.readouterr().out


def test_all_jobs_of_a_run_are_queued_again(slurm: FakeSlurm) -> None:
    run = launch("wait", layout="jobs", requeue=True)
    assert run.client("main").all_are_up()
    slurm.tell(1, "batch")
    slurm.await_states("PENDING", "PENDING")
    (kept,) = list_runs()
    with socket.create_server(("127.0.0.1", 0)) as lost:
        endpoint = f"tcp:127.0.0.1:{lost.getsockname()[1]}"  # of a controller, with its machine
        kept.write_rendezvous(endpoint, credentials.Credentials.create())
        slurm.start(2)
        lost.settimeout(60)
        lost.accept()[0].close()
    slurm.start(1)  # the other waits for it: it has the controller
    run.wait()
    slurm.await_states("COMPLETED", "COMPLETED")


def test_a_cancelled_job_is_not_queued_again(slurm: FakeSlurm) -> None:
    run = launch("wait", requeue=True)
    assert run.client("main").all_are_up()
    slurm.run("scancel", "1")
    with pytest.raises(RunError, match="told the job to end"):
        run.wait()
    slurm.await_states("CANCELLED")
    assert secrets(run) == []


def test_of_several_jobs_none_is_queued_again_if_one_is_cancelled(slurm: FakeSlurm) -> None:
    run = launch("wait", layout="jobs", requeue=True)
    assert run.client("main").all_are_up()
    slurm.run("scancel", "2")
    with pytest.raises(RunError, match="told job 2, of group main, to end"):
        run.wait()
    slurm.await_states("FAILED", "CANCELLED")


class Failing:
    def run(self) -> None:
        raise ValueError("on purpose")


class Slow:
    """Takes its time to stop."""

    def __init__(self, may_end: str) -> None:
        self._may_end = Path(may_end)

    def run(self) -> None:
        lp.wait_for_stop()
        until(self._may_end.exists)


def test_a_program_that_has_failed_is_not_queued_again(slurm: FakeSlurm, tmp_path: Path) -> None:
    program = lp.Program("failing")
    program.add_node(lp.CourierNode(Slow, str(tmp_path / "may end")), label="slow")
    program.add_node(lp.CourierNode(Failing), label="failing")
    run = lp.launch(program, "slurm", options=lp.SlurmOptions(requeue=True))
    until(lambda: run.status().phase != "running")
    slurm.tell(1, "task")
    slurm.tell(1, "batch")
    (tmp_path / "may end").touch()
    with pytest.raises(RunError, match="on purpose"):
        run.wait()
    slurm.await_states("FAILED")
    assert not any("requeue" in call for call in slurm.calls("scontrol"))


def test_a_job_that_waits_says_why_and_starts_later(
    slurm: FakeSlurm, impatient: None, capfd: pytest.CaptureFixture[str]
) -> None:
    slurm.fill()
    run = launch()
    until(lambda: "job 1 is pending (Resources)" in capfd.readouterr().err)
    slurm.start(1)
    run.wait()
    slurm.await_states("COMPLETED")


def test_a_run_that_waits_is_shown(
    slurm: FakeSlurm,
    impatient: None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    slurm.fill()
    run = launch(detach=True)
    assert main(["status", "fake"]) == 0
    shown = capfd.readouterr().out
    assert "SLURM's job 1" in shown
    assert "worker/2" in shown
    assert main(["stop", "fake"]) == 0
    assert "SLURM's job 1 is cancelled; it had not begun" in capfd.readouterr().err
    assert main(["ps", "--all"]) == 0
    assert "fake     slurm     ended" in capfd.readouterr().out
    run.wait()
    assert run.status().reason == "lp-launch stop, while it waited"


def test_a_job_that_waits_can_be_stopped(slurm: FakeSlurm, impatient: None) -> None:
    slurm.fill()
    run = launch()
    assert run.stop()
    slurm.await_states("CANCELLED")


def test_nodes_that_have_never_begun_are_not_waited_for(
    slurm: FakeSlurm,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(signals, "heard", lambda _: True)
    monkeypatch.setattr(runs, "_HEARTBEAT_S", 0.02)
    monkeypatch.setattr(runs, "_SLOW_END_S", 0.01)
    slurm.fill()
    run = launch()
    waiter = threading.Thread(target=run.wait, kwargs={"raise_error": False})
    waiter.start()
    told = "still waiting for what was submitted: none of its nodes has begun\n"
    until(lambda: told in capfd.readouterr().err)
    slurm.run("scancel", "1")
    waiter.join()


def test_a_job_that_was_cancelled_before_it_began_is_told(
    slurm: FakeSlurm, impatient: None
) -> None:
    slurm.fill()
    run = launch()
    slurm.run("scancel", "1")
    with pytest.raises(ControllerLost, match=r"job 1 was cancelled before it began\.$"):
        run.wait()
    (kept,) = list_runs()
    status = kept.status()
    assert status is not None
    assert status.error.endswith("job 1 was cancelled before it began.")


@pytest.mark.parametrize(
    ("line", "how"),
    [("exit 0", "COMPLETED"), ("exit 3", r"FAILED \(NonZeroExitCode\)")],
)
def test_a_script_that_ends_before_the_controller_starts_is_told(
    slurm: FakeSlurm, impatient: None, line: str, how: str
) -> None:
    told = rf": job 1 ended as {how} before the run's controller had started\. Is it a line of"
    with pytest.raises(ControllerLost, match=told):
        launch(setup=(line,)).wait()


def test_a_controller_that_is_killed_is_told(
    slurm: FakeSlurm, impatient: None, capfd: pytest.CaptureFixture[str]
) -> None:
    run = launch("wait")
    assert run.client("main").all_are_up()
    (kept,) = list_runs()
    owner = kept.owner()
    assert owner is not None
    assert owner.fate() == f"RUNNING; its log: {kept.path}/slurm/job-1.log"
    slurm.kill(1, "batch")
    told = r"job 1 ended as FAILED.* its controller is gone .*Its log: .*/slurm/job-1\.log"
    with pytest.raises(ControllerLost, match=told):
        run.wait()
    status = run.status()
    assert (status.phase, {node.state for node in status.nodes}) == ("ended", {"failed"})
    assert main(["status", "fake"]) == 0
    assert re.search(rf"phase +failed\nerror .*{told}", capfd.readouterr().out)
    assert secrets(run) == []


def test_that_there_is_no_way_to_the_controller_is_told_once(
    slurm: FakeSlurm,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def changes(viewer: RunViewer) -> NoReturn:
        tries.append(viewer)
        raise Unavailable("no route to host", maybe_executed=False)

    tries: list[RunViewer] = []
    monkeypatch.setattr(RunViewer, "changes", changes)
    monkeypatch.setattr(following, "_OUTCOME_S", 0.01)
    run = launch("wait")
    until(lambda: len(tries) > 2)
    run.stop()
    assert capfd.readouterr().err.count("job 1 is running") == 1


def test_a_detached_run_is_left_alone(slurm: FakeSlurm) -> None:
    run = launch(detach=True)
    slurm.await_states("COMPLETED")
    run.wait()


def test_a_refused_job_leaves_nothing(slurm: FakeSlurm) -> None:
    complaint = "Batch job submission failed: Invalid account or account/partition combination"
    slurm.refuse(complaint)
    with pytest.raises(UsageError, match=r"SLURM refuses the job: .*Choose an account of yours"):
        launch(account="nobody")
    assert slurm.states() == []
    assert list_runs() == []


def test_what_a_group_asks_for_in_vain_is_told(
    slurm: FakeSlurm, capfd: pytest.CaptureFixture[str]
) -> None:
    program = lp.Program("vain")
    program.add_node(lp.CourierNode(Failing), label="main")
    wants = {"main": lp.Resources(nodes=5, custom={"TPU": 4})}
    with pytest.raises(RunError, match="on purpose"):
        lp.launch(program, launcher="slurm", resources=wants).wait()
    told = capfd.readouterr().err
    assert "warning: main: TPU: SLURM is asked for CPUs, GPUs and memory only" in told
    assert "main: Resources(nodes=5): it gets no more machines than it has nodes: 1" in told


def test_if_a_later_job_is_refused_the_first_is_cancelled(slurm: FakeSlurm) -> None:
    slurm.fill()
    slurm.refuse("Batch job submission failed", after=1)
    with pytest.raises(UsageError, match="SLURM refuses the job"):
        launch(layout="jobs")
    assert slurm.states() == ["CANCELLED"]
    assert list_runs() == []


def test_what_cannot_be_pickled_is_told_before_anything_is_submitted(slurm: FakeSlurm) -> None:
    program = lp.Program("locked")
    program.add_node(lp.PyNode(threading.Lock().acquire), label="main")
    with pytest.raises(UnpicklableError, match=r"node main/0 .* cannot be sent to a worker"):
        lp.launch(program, launcher="slurm")
    assert slurm.calls("sbatch") == []


def test_a_machine_without_the_interpreter_is_told(
    slurm: FakeSlurm, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/opt/here_only/python")
    with pytest.raises(RunError, match=r"node0 has no /opt/here_only/python.* all machines see"):
        launch().wait()
    slurm.await_states("FAILED")


def test_a_task_that_cannot_be_launched_fails_its_nodes(slurm: FakeSlurm) -> None:
    slurm.refuse_task("worker", 1, "Slurmd could not connect IO")
    told = (
        r"(?s)node worker/\d failed: its task of SLURM on node1: launch failed: Slurmd could not "
        r"connect IO.*slurm/worker-1.log. Is it on a file system that all machines .* share"
    )
    with pytest.raises(RunError, match=told):
        launch(machines=2).wait()
    slurm.await_states("FAILED")


def test_so_does_one_of_another_job_than_the_controllers(slurm: FakeSlurm) -> None:
    slurm.refuse_task("second", 1, "Slurmd could not execve job")
    program = lp.Program("two")
    program.add_node(lp.PyNode(lp.wait_for_stop), label="first")
    with program.group("second"):
        for _ in range(2):
            program.add_node(lp.PyNode(lp.wait_for_stop))
    run = lp.launch(
        program,
        "slurm",
        resources={"second": lp.Resources(nodes=2)},
        options=lp.SlurmOptions(layout="jobs", show_output=False),
    )
    told = "node second/1 failed: its task of SLURM on node1: launch failed: Slurmd could not"
    with pytest.raises(RunError, match=told):
        run.wait()
    slurm.await_states("FAILED", "COMPLETED")


def test_a_step_that_cannot_be_started_fails_its_nodes(slurm: FakeSlurm) -> None:
    complaint = "Unable to create step for job 1: Memory required by task is not available"
    slurm.refuse_step("worker", complaint)
    ended = r"its step of SLURM has ended \(srun exited with 1\)"
    with pytest.raises(RunError, match=rf"{ended}\n  srun: error: {complaint}$"):
        launch().wait()
    slurm.await_states("FAILED")


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_wrong_by_an_hour_is_tolerated(
    slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    monkeypatch.setattr(credentials, "_BACKDATED", BACKDATED - dt.timedelta(hours=hours))
    launch().wait()


def test_a_clock_that_is_wrong_by_days_is_told(
    slurm: FakeSlurm, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "_BACKDATED", BACKDATED - dt.timedelta(days=2))
    with pytest.raises(RunError, match=r"they are not valid yet. Compare the clocks of both hosts"):
        launch().wait()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
