"""What is wrong with a cluster, or with what is asked of it, is told in one clear error."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.slurm.lab import Lab
from tests.slurm.login import PROGRAM, Login
from tests.slurm.obstacles import hidden, walled

pytestmark = pytest.mark.slurm

STRANGER = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups")
LP_LAUNCH = (sys.executable, "-P", "-m", "lp_launch")


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("node0", "node0 has no {python}. Launch with an interpreter that all machines see"),
        ("node1", "node worker/1 failed: its task of SLURM on node1: Exited with exit code 2"),
    ],
)
def test_an_interpreter_that_a_machine_does_not_have(
    login: Login, lab: Lab, node: str, message: str
) -> None:
    python = login.home / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    with hidden(lab, node, login.home / "env"):
        run = login.start(str(python), str(PROGRAM), "--nodes=3")
        assert run.end() == 1
    assert message.format(python=python) in run.text()
    assert "Launch with an interpreter that all machines see" in run.text()


def test_a_run_directory_that_a_machine_does_not_have(login: Login, lab: Lab) -> None:
    with hidden(lab, "node1", login.home):
        run = login.launch("--nodes=3")
        assert run.end() == 1
    told = "node worker/1 failed: its task of SLURM on node1: launch failed: Slurmd could not"
    assert told in run.text()
    assert "Set XDG_STATE_HOME to one that is." in run.text()


def test_a_program_that_a_machine_does_not_have(login: Login, lab: Lab) -> None:
    program = login.home / "own" / "programs.py"
    program.parent.mkdir()
    program.write_bytes(PROGRAM.read_bytes())
    with hidden(lab, "node1", program.parent):
        run = login.start(sys.executable, str(program), "--nodes=3")
        assert run.end() == 1
    assert f"node worker/1 failed: node1 has no {program}. Put the program" in run.text()
    assert "runtime/worker.py" not in run.text()


def test_nobody_sees_or_stops_a_run_of_somebody_else(login: Login, lab: Lab) -> None:
    run = login.launch("--mode=wait")
    run.await_text("waiting")
    for command in (["ps"], ["status", run.run.name], ["stop", run.run.name]):
        done = login.run(*STRANGER, *LP_LAUNCH, *command)
        assert done.returncode == 2
        assert "Only the user who launched a run can see and stop it." in done.stderr
    cancelled = login.run(*STRANGER, "scancel", str(run.job()))
    assert "Access/permission denied" in cancelled.stderr
    assert list(lab.queue().values()) == ["RUNNING"]
    unknown = login.lp_launch("stop", str(run.job()))
    assert unknown.returncode == 2
    assert f"there is no run '{run.job()}' in " in unknown.stderr
    assert f" a job. Runs: {run.run.name}." in unknown.stderr
    run.interrupt()
    run.end()


CLIENT = """
import launchpad_lite as lp

class Server:
    def answer(self) -> int:
        return 42

if __name__ == "__main__":
    program = lp.Program("asked")
    program.add_node(lp.CourierNode(Server), label="server")
    with lp.launch(program, launcher="slurm") as run:
        try:
            print("answer:", run.client("server").answer())
        except lp.CallError as error:
            print("error:", error)
"""


@pytest.fixture
def client(tmp_path: Path) -> str:
    path = tmp_path / "client.py"
    path.write_text(CLIENT)
    return str(path)


def test_the_launching_process_may_call_nodes(login: Login, client: str) -> None:
    run = login.start(sys.executable, client)
    assert run.end() == 0, run.text()
    assert "answer: 42" in run.text()


def test_without_a_way_to_the_machines_a_program_runs_and_is_followed(
    login: Login, lab: Lab
) -> None:
    with walled(lab):
        run = login.launch("--workers=2", "--nodes=2")
        assert run.end() == 0
    assert "ways: ['TlsStream', 'UnixStream']" in run.text()


def test_without_a_way_to_the_machines_a_run_is_stopped_by_its_job(login: Login, lab: Lab) -> None:
    with walled(lab):
        run = login.launch("--mode=wait")
        run.await_text("waiting")
        stopped = login.lp_launch("stop", run.run.name)
        run.end()
    assert stopped.returncode == 0
    assert re.search(r"job \d+ is cancelled; its controller does not answer here", stopped.stderr)


def test_without_a_way_to_the_machines_calls_from_outside_are_refused(
    login: Login, lab: Lab, client: str
) -> None:
    with walled(lab):
        run = login.start(sys.executable, client)
        run.end()
    assert "error: this machine cannot reach the run's machines" in run.text()
    assert "the controller cannot be told to stop" in run.text()
    assert "ending it by force" in run.text()
