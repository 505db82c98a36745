"""Runs as another terminal shows them."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import msgspec
import psutil
import pytest

from launchpad_lite.cli import node_logs, runs, views
from launchpad_lite.cli.directory_runs import DirectoryRun
from launchpad_lite.cli.main import main
from launchpad_lite.cli.seen import SeenRun
from launchpad_lite.cli.sight import Sight
from launchpad_lite.cli.usage import EXIT_CODES
from launchpad_lite.credentials import Credentials
from launchpad_lite.errors import ControllerLost, ExitCode, UsageError
from launchpad_lite.owner import Owner
from launchpad_lite.runtime import rundir
from launchpad_lite.runtime.rundir import RunDirectory
from launchpad_lite.runtime.status import NodeStatus, RunStatus

NOW = 1_000_000.0
DEAD = Owner(pid=os.getpid(), process_started=1.0)  # another process had this number then

STATUS = RunStatus(
    run_id="",
    program="service",
    launcher="process",
    phase="running",
    reason="",
    started=NOW - 90,
    nodes=(
        NodeStatus("server/0", "Server", "running", ("unix:/a", "inproc:b")),
        NodeStatus("user/0", "use", "starting", ()),
    ),
)
ENDED = dataclasses.replace(STATUS, phase="ended", reason="lp.stop()")


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what others run in a Ray cluster that this machine may be a node of."""
    monkeypatch.setenv("RAY_ADDRESS", "local")


def make(name: str, *, status: RunStatus | None = STATUS, owner: str = "alive") -> DirectoryRun:
    run = RunDirectory.create(name)
    run.write_plan("")
    if status is not None:
        run.write_status(dataclasses.replace(status, run_id=name))
    if owner == "dead":
        (run.path / "owner.json").write_bytes(msgspec.json.encode(DEAD))
    elif owner == "gone":
        run.remove_rendezvous()
    return DirectoryRun(run)


def seen(name: str) -> DirectoryRun:
    return DirectoryRun(RunDirectory(Path("/runs", name)))


def find(word: str) -> SeenRun:
    with Sight(None) as sight:
        return sight.find(word)


@pytest.mark.parametrize(
    ("status", "owner", "phase"),
    [
        (STATUS, "alive", "starting"),
        (None, "alive", "starting"),
        (STATUS, "dead", "lost"),
        (None, "dead", "lost"),
        (STATUS, "gone", "failed"),
        (None, "gone", "failed"),
        (ENDED, "gone", "ended"),
        (ENDED, "dead", "ended"),
        (dataclasses.replace(ENDED, error="node a/0 failed: x"), "gone", "failed"),
    ],
)
def test_the_phase_of_a_run_without_a_controller(
    status: RunStatus | None, owner: str, phase: str
) -> None:
    view = views.look(make("run-1", status=status, owner=owner))
    assert view.phase == phase
    assert view.has_ended == (phase in ("ended", "failed"))


def test_a_controller_that_does_not_answer(tmp_path: Path) -> None:
    run = make("run-1")
    run.directory.write_rendezvous(f"unix:{tmp_path}/nobody", Credentials.create(tls=False))
    assert views.look(run).phase == "silent"


def test_a_run_whose_process_is_gone_is_lost() -> None:
    run = make("run-1", owner="dead")
    with pytest.raises(ControllerLost) as caught:
        views.connect(run)
    assert f"run-1 is lost: process {DEAD.pid}" in str(caught.value)


def test_a_run_whose_job_is_over_is_lost(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ends = ("touch", str(tmp_path / "ended"))
    job = Owner.elsewhere("job 7", ("true",), ends, tells=("echo", "FAILED"), log="/x/job-7.log")
    make("run-1").directory.write_owner(job)
    told = "job 7{} (FAILED; its log: /x/job-7.log)"
    assert main(["status", "run"]) == ExitCode.OK
    shown = capfd.readouterr().out
    assert "phase      lost" in shown
    assert f"held by    {told.format('')}" in shown
    gone = told.format(", which held it together, is gone or does not answer")
    for command in (["logs", "run", "-f"], ["stop", "run"]):
        assert main(command) == ExitCode.CONTROLLER_LOST
        assert f"run-1 is lost: {gone}" in capfd.readouterr().err
    assert not (tmp_path / "ended").exists()


def test_a_process_that_was_not_waited_for_is_gone() -> None:
    process = psutil.Popen(["true"])
    owner = Owner(pid=process.pid, process_started=process.create_time())
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not owner.is_alive()
    process.wait()


def test_a_word_means_the_only_run_or_the_only_living_one() -> None:
    old = make("program-1", owner="gone")
    new = make("program-2", owner="gone")
    assert find("program-1") == old
    with pytest.raises(UsageError) as caught:
        find("program")
    assert "2 runs begin with 'program'" in str(caught.value)
    living = make("program-10")
    assert find("program") == living
    assert find("program-1") == old  # exactly
    assert find("program-2") == new
    with pytest.raises(UsageError) as caught:
        find("other")
    assert str(caught.value) == (
        f"there is no run 'other' in {rundir.runs_root()}. Runs: program-10, program-2, program-1. "
        "`lp-launch ps --all` lists them."
    )
    with pytest.raises(UsageError, match=r"no run '7' in .*not known by the number of a job. Runs"):
        find("7")


def test_the_logs_of_a_run_elsewhere_are_no_run() -> None:
    (rundir.runs_root() / "elsewhere-1" / "logs").mkdir(parents=True)
    with pytest.raises(UsageError, match="Runs: none"):
        find("elsewhere-1")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("local", "use auto or host:port"),
        ("http://127.0.0.1:8265", "From elsewhere: `ray job submit --address URL -- lp-launch ps`"),
        ("head", "use auto, local, or the cluster's address, host:port"),
        ("127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1"),
    ],
)
@pytest.mark.parametrize("command", [["ps"], ["status", "x"], ["logs", "x"], ["stop", "x"]])
def test_a_cluster_that_cannot_be_looked_into(
    command: list[str], address: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    unreached = address == "127.0.0.1:1"
    wrong = ExitCode.LAUNCHER_UNAVAILABLE if unreached else ExitCode.USAGE
    assert main([*command, f"--ray_address={address}"]) == wrong
    assert message in capfd.readouterr().err


def test_a_cluster_without_ray(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["ps", "--ray_address=auto"]) == ExitCode.LAUNCHER_UNAVAILABLE
    assert "pip install 'launchpad-lite[ray]'" in capfd.readouterr().err
    assert main(["ps"]) == ExitCode.OK


def test_the_table_of_runs() -> None:
    shown = [
        views.View(run=seen("a-1"), phase="running", status=STATUS),
        views.View(run=seen("b-1"), phase="lost", status=STATUS),
        views.View(run=seen("c-1"), phase="starting", status=None),
    ]
    assert runs.table(shown, NOW).splitlines() == [
        "RUN  PROGRAM  LAUNCHER  PHASE     UP   AGE",
        "a-1  service  process   running   1/2  1m",
        "b-1  service  process   lost      0/2  1m",
        "c-1  ?        ?         starting  ?    ?",
    ]


def test_all_that_is_known_of_a_run() -> None:
    run = seen("a-1")
    status = dataclasses.replace(STATUS, reason="node a/0 failed", error="node a/0 failed: x")
    lines = runs.describe(views.View(run=run, phase="lost", status=status), NOW).splitlines()
    assert lines[:6] == [
        "run        a-1",
        "phase      lost (its process is gone; this is what it wrote last)",
        "reason     node a/0 failed",
        "error      node a/0 failed: x",
        "program    service",
        "launcher   process",
    ]
    assert lines[6].startswith("started    ")
    assert lines[6].endswith("(1m ago)")
    assert lines[7:] == [
        "directory  /runs/a-1",
        "",
        "NODE      STATE  RUNS    LISTENS AT",
        "server/0  lost   Server  unix:/a, inproc:b",
        "user/0    lost   use     -",
    ]
    unknown = runs.describe(views.View(run=run, phase="starting", status=None), NOW)
    assert unknown.splitlines() == [
        "run        a-1",
        "phase      starting",
        "directory  /runs/a-1",
    ]


def test_nodes_are_selected_by_name_or_label() -> None:
    names = ["server/0", "server/1", "user/0", "a/b/0"]
    assert node_logs.select(names, None) == names
    assert node_logs.select(names, "server") == ["server/0", "server/1"]
    assert node_logs.select(names, "server/1") == ["server/1"]
    assert node_logs.select(names, "a/b") == ["a/b/0"]
    with pytest.raises(UsageError) as caught:
        node_logs.select(names, "sever/1")
    assert "no node and no group 'sever/1'; did you mean 'server/1'?" in str(caught.value)


def test_ps(capfd: pytest.CaptureFixture[str]) -> None:
    make("ended-1", status=ENDED, owner="gone")
    assert main(["ps"]) == ExitCode.OK
    assert capfd.readouterr() == ("", "no runs; 1 ended: lp-launch ps --all\n")
    make("lost-1", owner="dead")
    assert main(["ps"]) == ExitCode.OK
    assert [line.split()[0] for line in capfd.readouterr().out.splitlines()] == ["RUN", "lost-1"]
    assert main(["ps", "--all"]) == ExitCode.OK
    assert len(capfd.readouterr().out.splitlines()) == 3


def test_logs_of_a_run_that_has_ended(capfd: pytest.CaptureFixture[str]) -> None:
    run = make("ended-1", status=ENDED, owner="gone")
    run.directory.log("server/0").write_text("one\ntwo")
    assert main(["logs", "ended", "-f"]) == ExitCode.OK
    assert capfd.readouterr().out == "[server/0] one\n[server/0] two\n"
    assert main(["logs", "ended", "server/0"]) == ExitCode.OK
    assert capfd.readouterr().out == "one\ntwo\n"


def test_every_exit_code_is_documented() -> None:
    assert list(EXIT_CODES) == list(ExitCode)
