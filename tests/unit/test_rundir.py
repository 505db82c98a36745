"""The run directory: what is kept, who may read it, and how a run is found again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from concurrent import futures
from pathlib import Path
from typing import NoReturn

import psutil
import pytest

from launchpad_lite.credentials import Credentials
from launchpad_lite.owner import Owner
from launchpad_lite.runtime import rundir
from launchpad_lite.runtime.rundir import RunDirectory, tail
from launchpad_lite.runtime.status import NodeStatus, RunStatus

CREDENTIALS = Credentials(token=bytes(range(32)))


def make(run_id: str, age: float = 0.0) -> RunDirectory:
    """The directory of a run that has ended, so many seconds old."""
    run = RunDirectory.create(run_id)
    run.remove_rendezvous()
    os.utime(run.path, (1e9 - age, 1e9 - age))
    return run


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def dead_owner() -> Owner:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = Owner(pid=process.pid, process_started=psutil.Process(process.pid).create_time())
    assert owner.is_alive()
    process.communicate()
    return owner


def test_it_lies_under_the_state_directory(state_home: Path) -> None:
    run = RunDirectory.create("run-1")
    assert run.path == state_home / "launchpad_lite" / "runs" / "run-1"
    assert run.run_id == "run-1"
    assert mode(run.path) == 0o700
    assert mode(run.path.parent) == 0o700


def test_names_of_runs() -> None:
    names = {rundir.new_run_id("my program/2: the réturn") for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith("my-program-2-the-r-turn-") for name in names)
    assert rundir.new_run_id("///").startswith("run-")
    assert len(rundir.new_run_id("x" * 1000)) < 80


@pytest.mark.parametrize(
    ("node", "name"),
    [("actor/3", "actor-3"), ("a/b/0", "a%2Fb-0"), ("..", "-.."), ("two words/1", "two words-1")],
)
def test_file_names(node: str, name: str) -> None:
    assert rundir.file_name(node) == name


@pytest.mark.parametrize("letter", ["x", "é", "猫"])
def test_file_names_of_long_labels(letter: str) -> None:
    names = {rundir.file_name(f"{letter * 300}{end}/12") for end in ("", "a", "b")}
    assert len(names) == 3
    assert all(len(name) < 210 and name.endswith("-12") for name in names)


def test_files_are_private_and_replaced_at_once() -> None:
    run = RunDirectory.create("run-1")
    run.write_plan("first")
    run.write_plan("the plan")
    assert (run.path / "plan.txt").read_text() == "the plan"
    assert mode(run.path / "plan.txt") == 0o600
    assert [path for path in run.path.iterdir() if path.name.startswith(".")] == []


def test_the_status_is_kept() -> None:
    run = RunDirectory.create("run-1")
    assert run.status() is None
    status = RunStatus(
        run_id="run-1",
        program="program",
        launcher="process",
        phase="running",
        reason="",
        started=1.5,
        nodes=(NodeStatus("a/0", "A", "running", ("unix:/x",)),),
        error="",
    )
    run.write_status(status)
    assert run.status() == status
    (run.path / "status.json").write_text("{")
    assert run.status() is None


def test_the_rendezvous() -> None:
    run = RunDirectory.create("run-1")
    assert run.rendezvous() is None
    assert run.is_alive()  # this process has made it
    run.write_rendezvous("unix:/tmp/x", CREDENTIALS)
    assert mode(run.rendezvous_file) == 0o600
    found = run.rendezvous()
    assert found is not None
    assert (found.endpoint, found.credentials) == ("unix:/tmp/x", CREDENTIALS)
    assert found.owner.pid == os.getpid()
    assert run.is_alive()
    run.remove_rendezvous()
    run.remove_rendezvous()
    assert run.rendezvous() is None
    assert not run.is_alive()


def test_the_end_of_a_log() -> None:
    run = RunDirectory.create("run-1")
    assert tail(run.log("a/0")) == ""
    log = run.log("a/0")
    log.write_bytes(b"one\ntwo\xff\n")
    assert tail(run.log("a/0")) == "one\ntwo\N{REPLACEMENT CHARACTER}"
    log.write_text("x" * 79 + "\n" + "first\n" * 10_000 + "last")
    end = tail(run.log("a/0"))
    assert end.endswith("first\nlast")
    assert len(end) <= rundir.TAIL_BYTES


def test_old_runs_are_removed_but_not_those_that_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rundir, "KEPT_RUNS", 3)
    alive = RunDirectory.create("alive")
    os.utime(alive.path, (1.0, 1.0))  # the oldest of all
    for age in range(4):
        make(f"ended-{age}", age)
    make("newest")
    assert {run.run_id for run in rundir.list_runs()} == {"alive", "ended-0", "ended-1", "newest"}


def test_what_is_far_away_is_not_asked_when_a_run_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> NoReturn:
        pytest.fail("it was asked")

    monkeypatch.setattr(rundir, "KEPT_RUNS", 1)
    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(subprocess, "Popen", connect)
    make("far").write_owner(Owner.elsewhere("job 1", dashboard="http://192.0.2.1:8265"))
    make("new")
    assert {run.run_id for run in rundir.list_runs()} == {"far", "new"}


def test_several_may_write_a_file() -> None:
    run = make("run-1")
    texts = [str(number) * 1000 for number in range(8)]

    def write(text: str) -> None:
        for _ in range(50):
            run.write_private("name", text.encode())

    with futures.ThreadPoolExecutor(len(texts)) as pool:
        list(pool.map(write, texts))
    assert (run.path / "name").read_text() in texts
    assert sorted(path.name for path in run.path.iterdir()) == ["logs", "name"]


def test_runs_that_were_killed_are_removed_too(
    state_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets = state_home / "sockets"
    sockets.mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(sockets / "controller"))
    monkeypatch.setattr(rundir, "KEPT_RUNS", 1)
    owner = dead_owner()
    with monkeypatch.context() as patch:
        patch.setattr(Owner, "this_process", lambda: owner)
        RunDirectory.create("killed").write_rendezvous(
            f"unix:{sockets / 'controller'}", CREDENTIALS
        )
    make("new")
    assert not sockets.exists()
    assert [run.run_id for run in rundir.list_runs()] == ["new"]


def test_runs_are_listed_the_newest_first() -> None:
    assert rundir.list_runs() == []
    for age, name in enumerate(["c", "a", "b"]):
        make(name, age)
    assert [run.run_id for run in rundir.list_runs()] == ["c", "a", "b"]
