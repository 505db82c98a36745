"""How a run is followed that an actor of a cluster holds; the actor is played."""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import threading
import time
import types
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

import launchpad_lite as lp
from launchpad_lite.credentials import Credentials
from launchpad_lite.errors import LauncherUnavailableError, Unavailable, UsageError
from launchpad_lite.launchers.following import first_status
from launchpad_lite.launchers.ray.client import FollowingClient
from launchpad_lite.launchers.ray.held import HeldByActor
from launchpad_lite.launchers.ray.messages import News, Over, Submission
from launchpad_lite.owner import Owner
from launchpad_lite.planning import LaunchPlan
from launchpad_lite.runtime.rundir import Rendezvous, RunDirectory
from launchpad_lite.runtime.status import RunStatus

SOON_S = 30.0


class Played:
    """Says what a test has it say."""

    def __init__(self, status: RunStatus) -> None:
        self.said: queue.SimpleQueue[News] = queue.SimpleQueue()
        self.log = b""
        self.answers_late = threading.Event()
        self.answers_late.set()
        self.asked = threading.Event()
        self.is_away = False
        self.is_slow = False
        self.ended = threading.Event()
        self._status = status

    def news(self) -> Iterator[News]:
        while True:
            yield self.said.get()

    def status(self) -> RunStatus:
        self.asked.set()
        assert self.answers_late.wait(SOON_S)
        return self._status

    def logs(self, seen: Mapping[str, int]) -> dict[str, bytes]:
        if self.is_away:
            self.is_away = False
            message = "for a moment"
            raise Unavailable(message, maybe_executed=True)
        self.ended.wait(0.05)
        time.sleep(0.5 if self.is_slow else 0.0)
        new = self.log[seen["facts/0"] :]
        return {"facts/0": new} if new else {}

    def is_over(self) -> bool:
        return self.ended.is_set()

    def over(self, status: RunStatus) -> None:
        self.said.put(dataclasses.replace(status, phase="ended"))
        self.ended.set()
        self.said.put(Over(None))

    def end(self) -> None:
        """See `HeldByActor`."""


def make_plan() -> LaunchPlan:
    program = lp.Program("facts")
    program.add_node(lp.CourierNode(dict), label="facts")
    return lp.plan(program, launcher="process")


def make_submission(plan: LaunchPlan, run_id: str) -> Submission:
    return Submission(
        run_id=run_id,
        plan=plan,
        table="",
        options=lp.RayOptions(),
        directory=None,
        credentials=Credentials.create(),
        local=False,
        shows_output=False,
        path=(),
        environment={},
    )


@contextlib.contextmanager
def followed(run_id: str) -> Generator[tuple[FollowingClient, Played, RunDirectory, RunStatus]]:
    """A run that is followed until the block ends."""
    plan = make_plan()
    directory = RunDirectory.create(run_id)
    status = first_status(plan, run_id)
    submission = make_submission(plan, run_id)
    rendezvous = Rendezvous(
        endpoint="tcp:127.0.0.1:1", credentials=submission.credentials, owner=Owner.this_process()
    )
    held = Played(status)
    following = FollowingClient(plan, submission, directory, cast(HeldByActor, held), rendezvous)
    run = following.start()
    try:
        yield following, held, directory, status
    finally:
        if not following.ended.is_set():
            held.over(status)
        run.wait(SOON_S)


def test_logs_and_the_end_come_into_the_directory() -> None:
    with followed("facts-1") as (following, held, directory, status):
        held.said.put(status)
        held.is_away = True
        held.log = b"one\ntwo\n"
        held.over(status)
        assert following.ended.wait(SOON_S)
    assert following.error is None
    assert directory.log("facts/0").read_bytes() == b"one\ntwo\n"
    kept = directory.status()
    assert kept is not None
    assert kept.phase == "ended"
    assert directory.owner() is None


def test_who_hears_of_the_end_finds_all_of_the_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    with followed("facts-4") as (following, held, directory, status):
        held.is_slow = True
        held.log = b"last\n"
        found: list[bytes] = []
        write = RunDirectory.write_status

        def noting(run: RunDirectory, status: RunStatus) -> None:
            log = run.log("facts/0")
            found.append(log.read_bytes() if log.exists() else b"")
            write(run, status)

        monkeypatch.setattr(RunDirectory, "write_status", noting)
        held.over(status)
        assert following.ended.wait(SOON_S)
    assert found == [b"last\n"]
    assert directory.owner() is None


def test_an_answer_that_comes_after_the_end_changes_nothing() -> None:
    with followed("facts-2") as (following, held, directory, status):
        held.answers_late.clear()
        late: list[RunStatus] = []
        asking = threading.Thread(target=lambda: late.append(following.status()))
        asking.start()
        assert held.asked.wait(SOON_S)
        held.over(status)
        assert following.ended.wait(SOON_S)
        held.answers_late.set()
        asking.join()
    assert [each.phase for each in late] == ["ended"]
    kept = directory.status()
    assert kept is not None
    assert kept.phase == "ended"


def test_a_directory_that_cannot_be_written_does_not_end_the_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*given: Any) -> None:
        del given
        raise OSError(28, "No space left on device")

    with followed("facts-3") as (following, held, _, status):
        monkeypatch.setattr(RunDirectory, "write_status", full)
        monkeypatch.setattr(Path, "open", full)
        held.log = b"one\n"
        held.said.put(status)
        held.over(status)
        assert following.ended.wait(SOON_S)
        assert following.error is None
    assert caplog.text.count("cannot be written: [Errno 28]") == 1


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (ValueError("no such environment"), UsageError, "Ray refuses runtime_env"),
        (ModuleNotFoundError("No module named 'launchpad_lite'"), LauncherUnavailableError, "ship"),
        (ConnectionError("is gone"), LauncherUnavailableError, "cannot begin: is gone"),
        (Exception("Ray Client is not connected"), LauncherUnavailableError, "has not begun"),
    ],
    ids=["environment", "package", "connection", "shut down"],
)
def test_an_actor_that_cannot_be_made(error: Exception, kind: type[Exception], says: str) -> None:
    def refuse(*given: Any) -> None:
        del given
        raise error

    cluster: Any = types.SimpleNamespace(ray=types.SimpleNamespace(remote=refuse), is_joined=False)
    with pytest.raises(kind, match=says):
        HeldByActor(cluster, make_submission(make_plan(), "facts-5"))
