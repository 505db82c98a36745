"""Programs launched from a machine that is none of the cluster's: over HTTP, by Ray Client."""

from __future__ import annotations

import importlib.util
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from launchpad_lite.errors import ExitCode, LauncherUnavailableError, UsageError
from launchpad_lite.launchers.ray.jobs import api
from launchpad_lite.launchers.ray.jobs.api import Dashboard
from launchpad_lite.runtime.rundir import RunDirectory
from launchpad_lite.testing.conformance.launcher_parts.base import eventually
from tests.helpers import require_backend
from tests.machines.directory import remove_abandoned
from tests.machines.launched import Launched
from tests.ray.lab import CLIENTS, DASHBOARD, VISITOR, Lab, missing

pytestmark = pytest.mark.ray

PREFIX = "lp-ray-out-"
DIRECTORY = Path("/tmp")  # a short path: sockets are in it

AWAY = ("away.py", "--launcher=ray", "--resources=server:side0=1")
GIVEN = (*AWAY, f"--ray_address={DASHBOARD}")
OF_A_CLIENT = (*AWAY, f"--ray_address={CLIENTS}")

JOINED = f"""
import away, ray
import launchpad_lite as lp

if __name__ == "__main__":
    for runtime_env in ({{}}, {{"working_dir": "."}}):
        ray.init("{CLIENTS}", runtime_env=runtime_env, logging_level="ERROR", log_to_driver=False)
        try:
            run = lp.launch(away.make_program("wait"), "ray")
        except lp.UsageError as error:
            print(error)
        else:
            print("called:", run.client("server").where()[1])
            run.stop()
            print("joined:", ray.is_initialized())
        ray.shutdown()
"""


def _missing() -> str | None:
    has_dashboard = importlib.util.find_spec("aiohttp") is not None
    return missing() or (None if has_dashboard else "ray[default] is not installed")


@pytest.fixture(scope="module")
def booted_lab() -> Iterator[Lab]:
    """The cluster, as the tests before left it."""
    require_backend("ray[default]", _missing())
    remove_abandoned(DIRECTORY.glob(f"{PREFIX}*"))
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=DIRECTORY))
    with Lab.boot(directory, dashboard=True) as lab:
        yield lab


@pytest.fixture
def lab(booted_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """The cluster, with nothing in it; so it is left, too. The program is where the test is."""
    shutil.copy(Path(__file__).with_name("away.py"), tmp_path)
    (tmp_path / "beside.py").write_text("WORD = 'beside'\n")
    monkeypatch.chdir(tmp_path)
    yield booted_lab
    booted_lab.reset()


@pytest.fixture
def spared(booted_lab: Lab) -> Callable[[], set[psutil.Process]]:
    """Daemons that came up meanwhile are not the test's leftovers."""
    return booted_lab.processes


def started(run: Launched) -> RunDirectory:
    """Returns the run directory of one of several runs, once it is there."""
    run.await_text("has started")
    (name,) = re.findall("lp-launch: run (.+) has started", run.text())
    return RunDirectory(run.state / "launchpad_lite/runs" / name)


def test_runs_end_as_elsewhere(lab: Lab) -> None:
    program, failing, waiting = (
        lab.visit(*GIVEN, f"--mode={mode}") for mode in ("stop", "raise", "wait")
    )
    assert program.end() == 0, program.text()
    assert "[main/0] server: side0 beside\n[main/0] copy: True True\n" in program.text()
    log = started(program).log("main/0").read_bytes().decode()
    assert log == "server: side0 beside\ncopy: True True\n10 %\r20 %\n"
    assert failing.end() == ExitCode.NODE_FAILED, failing.text()
    assert "[main/0] ValueError: on purpose" in failing.text()
    told = "lp-launch: node main/0 failed: ValueError: on purpose\nIts output is above.\n"
    assert failing.text().endswith(told)
    assert failing.text().count("node main/0 failed") == 1
    waiting.await_text("waiting")
    status = lab.lp_launch(VISITOR, "status", started(waiting).run_id).stdout
    assert re.search(r"server/0 +running", status), status
    waiting.interrupt()
    assert waiting.end() == ExitCode.INTERRUPTED, waiting.text()
    assert "told to stop: True" in waiting.text()


@pytest.mark.timeout(240)
def test_without_its_launching_process(lab: Lab) -> None:
    """A run that was detached goes on, and one whose launching process is killed ends."""
    killed, detached, hurried = (
        lab.visit(*GIVEN, "--mode=wait", *flags) for flags in ([], ["--detach"], ["--detach"])
    )
    assert detached.end() == 0, detached.text()
    assert hurried.end() == 0, hurried.text()
    other = started(detached).run_id
    assert f"{other}: submitted as a job of the Ray cluster at {DASHBOARD}" in detached.text()
    killed.await_text("waiting")
    killed.send(signal.SIGKILL)
    assert killed.end() == -signal.SIGKILL
    at_once = started(hurried).run_id
    assert eventually(lambda: "waiting" in lab.lp_launch(VISITOR, "logs", at_once, "main").stdout)
    assert re.search(rf"{at_once} .* running +2/2 ", lab.lp_launch(VISITOR, "ps").stdout)
    assert lab.lp_launch(VISITOR, "stop", "--now", at_once).stderr == f"{at_once}: ended\n"
    assert "lp-launch stop --now" in lab.lp_launch(VISITOR, "status", at_once).stdout
    assert "told to stop: True" not in lab.lp_launch(VISITOR, "logs", at_once, "main").stdout
    run_id = started(killed).run_id
    assert lab.lp_launch(VISITOR, "logs", "--follow", run_id).returncode == 0
    status = lab.lp_launch(VISITOR, "status", run_id).stdout
    assert "its launching process has not been heard of" in status
    stopped = lab.lp_launch(VISITOR, "stop", other)
    assert stopped.stderr == f"{other}: ended\n"
    assert "told to stop: True" in lab.lp_launch(VISITOR, "logs", other, "main").stdout


def test_a_client_runs_programs_as_elsewhere(lab: Lab) -> None:
    program = lab.visit(*OF_A_CLIENT)
    assert program.end() == 0, program.text()
    assert "[main/0] server: side0 beside\n[main/0] copy: True True\n" in program.text()
    log = started(program).log("main/0").read_bytes().decode()
    assert log == "server: side0 beside\ncopy: True True\n10 %\r20 %\n"
    assert "ended" in lab.lp_launch(VISITOR, "status", started(program).run_id).stdout
    failing = lab.visit(*OF_A_CLIENT, "--mode=raise")
    assert failing.end() == ExitCode.NODE_FAILED, failing.text()
    assert "[main/0] ValueError: on purpose" in failing.text()
    told = "lp-launch: node main/0 failed: ValueError: on purpose\nIts output is above.\n"
    assert failing.text().endswith(told)


def test_a_clients_run_is_seen_from_another_terminal(lab: Lab) -> None:
    program = lab.visit(*OF_A_CLIENT, "--mode=wait")
    program.await_text("waiting")
    run_id = started(program).run_id
    status = lab.lp_launch(VISITOR, "status", run_id).stdout
    assert re.search(r"server/0 +running", status), status
    assert "[main/0] waiting" in lab.lp_launch(VISITOR, "logs", run_id).stdout
    follower = lab.visit("logs", "-f", run_id)
    assert lab.lp_launch(VISITOR, "stop", run_id).stderr.endswith(f"{run_id}: ended\n")
    assert follower.end() == 0, follower.text()
    assert "told to stop: True" in follower.text()
    assert program.end() == 0, program.text()
    assert "told to stop: True" in program.text()


def test_a_client_that_has_joined_before(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "joined.py").write_text(JOINED)
    program = lab.visit_with(sys.executable, "joined.py")
    assert program.end() == 0, program.text()
    assert "without the program's files" in program.text()
    assert "called: beside" in program.text()
    assert "joined: True" in program.text()


def test_a_client_that_is_killed_takes_its_run_with_it(lab: Lab) -> None:
    """That nothing is left is seen when the lab is reset."""
    program = lab.visit(*OF_A_CLIENT, "--mode=wait")
    program.await_text("waiting")
    program.send(signal.SIGKILL)
    assert program.end() == -signal.SIGKILL


def test_a_client_cannot_detach(lab: Lab) -> None:
    program = lab.visit(*OF_A_CLIENT, "--detach")
    assert program.end() == ExitCode.USAGE, program.text()
    assert "--ray_address=http://host:8265" in program.text()


@pytest.mark.parametrize("address", ["http://", "http://127.0.0.1:99999"])
def test_urls_that_are_none(address: str) -> None:
    with pytest.raises(UsageError, match="use http://HOST:PORT of the cluster's dashboard"):
        Dashboard(address)


@pytest.mark.parametrize("listens", [False, True])
def test_a_dashboard_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, *, listens: bool
) -> None:
    monkeypatch.setattr(api, "_ANSWER_S", 0.1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        if listens:
            taken.listen()
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(LauncherUnavailableError, match=f"no dashboard of Ray .* {address}"):
            Dashboard(address)
