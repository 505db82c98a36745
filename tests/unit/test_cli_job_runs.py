"""Runs that a job of a Ray cluster holds, seen from outside of it; its dashboard is played."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec
import pytest

from launchpad_lite.cli import views
from launchpad_lite.cli.job_runs import JobRun
from launchpad_lite.cli.main import main
from launchpad_lite.cli.sight import Sight
from launchpad_lite.errors import (
    ControllerLost,
    ExitCode,
    LauncherUnavailableError,
    LaunchpadError,
    NodeFailed,
    Unavailable,
    UsageError,
)
from launchpad_lite.launchers.ray.jobs import letters, viewer
from launchpad_lite.launchers.ray.jobs.api import JobState
from launchpad_lite.launchers.ray.jobs.letters import Word
from launchpad_lite.launchers.ray.jobs.reports import Reporter
from launchpad_lite.owner import Owner
from launchpad_lite.runtime.rundir import RunDirectory
from launchpad_lite.runtime.status import NodeStatus, RunStatus
from tests.helpers import run_python

URL = "http://192.0.2.1:8265"
RUN = "run-1"
STATUS = RunStatus(
    run_id=RUN,
    program="away",
    launcher="ray",
    phase="starting",
    reason="",
    started=1.0,
    nodes=(NodeStatus("server/0", "Server", "starting", ()),),
)
RUNNING = dataclasses.replace(
    STATUS, phase="running", nodes=(NodeStatus("server/0", "Server", "running", ()),)
)


class PlayedDashboard:
    """Its job runs, and ends in order when it is told to; what it is asked is noted."""

    def __init__(self) -> None:
        self.is_away = False
        self.is_lost_when_followed = False
        self.refuses_to_end = False
        self.has_log = True
        self.word = "RUNNING"
        self.asked: list[str] = []
        self.letters: dict[str, bytes] = {}
        self._log = io.StringIO()
        self._reporter = Reporter(self._log)

    def __call__(self, address: str) -> Self:
        assert address == URL
        if self.is_away:
            message = f"no dashboard of Ray answers at {address}"
            raise LauncherUnavailableError(message)
        return self

    def reports(self, status: RunStatus, *lines: str) -> None:
        self._reporter.status(status)
        self._log.writelines(f"{line}\n" for line in lines)

    def has_ended(self, error: LaunchpadError | None = None, *, tells: bool = True) -> None:
        self.word = "SUCCEEDED" if error is None else "FAILED"
        if tells:
            self._reporter.status(dataclasses.replace(RUNNING, phase="ended"))
            self._reporter.end(error)

    def state(self, job: str) -> JobState:
        self._ask("state", job)
        return JobState(self.word, "so it is")

    def log(self, job: str) -> list[str]:
        self._ask("log", job)
        if not self.has_log:
            message = "500: its machine is gone"
            raise Unavailable(message, maybe_executed=True)
        return self._log.getvalue().splitlines()

    def follow(self, job: str) -> Iterator[list[str]]:
        self._ask("follow", job)
        lines = self._log.getvalue().splitlines()
        yield from ([line] for line in lines)
        if self.is_lost_when_followed:
            message = "it has not answered for 60 s"
            raise ControllerLost(message)
        if self.word == "RUNNING":  # it ends while it is followed
            self.has_ended()
            yield self._log.getvalue().splitlines()[len(lines) :]

    def put(self, name: str, data: bytes, seconds: float) -> None:
        assert seconds > 0
        self.letters[name] = data
        self.has_ended()

    def end(self, job: str) -> None:
        self._ask("end", job)
        if self.refuses_to_end:
            message = "500: not now"
            raise Unavailable(message, maybe_executed=True)
        if self.word == "RUNNING":
            self.has_ended()

    def _ask(self, what: str, job: str) -> None:
        assert job == RUN
        self.asked.append(what)


@pytest.fixture
def dashboard(monkeypatch: pytest.MonkeyPatch) -> PlayedDashboard:
    played = PlayedDashboard()
    monkeypatch.setattr(viewer, "Dashboard", played)
    monkeypatch.setenv("RAY_ADDRESS", "local")  # no cluster that this machine is a node of
    return played


@pytest.fixture
def run(dashboard: PlayedDashboard) -> JobRun:
    """The run, as it was submitted."""
    assert dashboard.asked == []
    directory = RunDirectory.create(RUN)
    directory.write_plan("")
    directory.write_status(STATUS)
    directory.write_owner(Owner.elsewhere("job 1", dashboard=URL))
    with Sight(None) as sight:
        found = sight.find(RUN)
    assert isinstance(found, JobRun)
    return found


def test_its_log_tells_where_it_is(run: JobRun, dashboard: PlayedDashboard) -> None:
    dashboard.reports(dataclasses.replace(RUNNING, phase="stopping"))
    view = views.look(run, patiently=True)
    assert view.phase == "stopping"
    assert view.status == run.status()
    assert view.status is not None
    assert view.status.nodes == RUNNING.nodes


def test_its_controller_cannot_be_asked(run: JobRun) -> None:
    with pytest.raises(UsageError, match="run-1 is in a cluster that this machine is outside of"):
        views.connect(run).metrics()


@pytest.mark.usefixtures("run")
def test_ps_leaves_the_log_of_a_run_that_runs(
    dashboard: PlayedDashboard, capfd: pytest.CaptureFixture[str]
) -> None:
    dashboard.reports(RUNNING)
    assert main(["ps"]) == ExitCode.OK
    assert dashboard.asked == ["state", "log"]  # it was known to start only
    assert main(["ps"]) == ExitCode.OK
    assert dashboard.asked == ["state", "log", "state"]
    assert capfd.readouterr().out.count("running  1/1") == 2
    assert main(["status", RUN]) == ExitCode.OK
    assert dashboard.asked[3:] == ["state", "log", "state"]


@pytest.mark.usefixtures("run")
def test_nothing_is_asked_once_the_end_is_here(
    dashboard: PlayedDashboard, capfd: pytest.CaptureFixture[str]
) -> None:
    dashboard.reports(RUNNING, "[server/0] last")
    dashboard.has_ended(NodeFailed("server/0", "ValueError: x"))
    assert main(["ps"]) == ExitCode.OK
    assert "no runs; 1 ended" in capfd.readouterr().err
    dashboard.asked.clear()
    assert main(["ps", "--all"]) == ExitCode.OK
    assert main(["status", RUN]) == ExitCode.OK
    assert "error      node server/0 failed: ValueError: x" in capfd.readouterr().out
    assert main(["logs", RUN]) == ExitCode.OK
    assert main(["logs", RUN, "-f"]) == ExitCode.OK
    assert capfd.readouterr().out == "last\n" * 2
    assert main(["stop", RUN]) == ExitCode.OK
    assert capfd.readouterr().err == "run-1 has ended before\n"
    assert dashboard.asked == []


def test_without_its_dashboard_it_is_as_it_was(
    run: JobRun, dashboard: PlayedDashboard, capfd: pytest.CaptureFixture[str]
) -> None:
    run.directory.write_status(RUNNING)
    run.directory.log("server/0").write_text("here\n")
    dashboard.is_away = True
    assert main(["ps"]) == ExitCode.OK
    assert "silent  1/1" in capfd.readouterr().out
    assert main(["status", "run"]) == ExitCode.OK  # it is taken to live
    assert "phase      silent (its controller does not answer" in capfd.readouterr().out
    assert main(["logs", RUN]) == ExitCode.OK
    assert capfd.readouterr().out == "here\n"
    assert main(["logs", RUN, "-f"]) == ExitCode.CONTROLLER_LOST
    assert "run-1 is lost: job 1, which held it together" in capfd.readouterr().err
    assert main(["stop", RUN]) == ExitCode.CONTROLLER_LOST
    told = "run-1: its job cannot be told to end: no dashboard of Ray answers at"
    assert told in capfd.readouterr().err
    assert run.is_alive()


@pytest.mark.parametrize("flags", [[], ["--now"]])
def test_it_is_stopped_by_its_job(
    run: JobRun,
    dashboard: PlayedDashboard,
    flags: list[str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    dashboard.reports(RUNNING)
    assert main(["stop", RUN, *flags]) == ExitCode.OK
    assert capfd.readouterr().err == "run-1: ended\n"
    assert dashboard.asked[-2:] == ["end", "follow"]
    said = [msgspec.json.decode(data, type=Word) for data in dashboard.letters.values()]
    now = Word(number=-1, stop="lp-launch stop --now", immediately=True)
    assert said == ([now] if flags else [])
    assert list(dashboard.letters) == ([letters.last_word_name(RUN)] if flags else [])
    assert run.holder() is None


def test_a_job_that_is_not_told_is_not_waited_for(run: JobRun, dashboard: PlayedDashboard) -> None:
    dashboard.reports(RUNNING)
    dashboard.refuses_to_end = True
    assert main(["stop", RUN]) == ExitCode.CONTROLLER_LOST
    assert "follow" not in dashboard.asked
    assert views.look(run).phase == "running"


def test_a_dashboard_that_is_lost_is_not_waited_for(
    run: JobRun, dashboard: PlayedDashboard, capfd: pytest.CaptureFixture[str]
) -> None:
    dashboard.reports(RUNNING)
    dashboard.is_lost_when_followed = True
    assert main(["logs", RUN, "-f"]) == ExitCode.CONTROLLER_LOST
    assert "it has not answered for 60 s" in capfd.readouterr().err
    assert views.look(run).phase == "running"


@pytest.mark.parametrize("has_log", [True, False])
def test_a_job_that_is_over_and_has_not_told_how_its_run_ended(
    run: JobRun, dashboard: PlayedDashboard, *, has_log: bool
) -> None:
    dashboard.reports(RUNNING)
    dashboard.has_ended(NodeFailed("server/0", "x"), tells=False)
    dashboard.has_log = has_log
    assert not run.is_alive()
    view = views.look(run)
    assert view.phase == "failed"
    assert view.status is not None
    assert view.status.error == "its job is over (FAILED): so it is"
    assert run.holder() is None


def test_that_is_told_to_who_waits_for_its_end(
    run: JobRun, dashboard: PlayedDashboard, capfd: pytest.CaptureFixture[str]
) -> None:
    dashboard.reports(RUNNING)
    assert views.look(run).phase == "running"
    line = views.connect(run)
    changes = views.watch(run, line)
    assert next(changes).phase == "running"
    dashboard.has_ended(NodeFailed("server/0", "x"), tells=False)
    (last,) = changes
    assert (last.phase, last.error) == ("ended", "its job is over (FAILED): so it is")
    assert main(["stop", RUN]) == ExitCode.OK
    assert capfd.readouterr().err == "run-1 has ended before\n"


def test_a_job_that_is_over_whose_dashboard_does_not_bring_the_log_yet(
    run: JobRun, dashboard: PlayedDashboard
) -> None:
    dashboard.reports(RUNNING)
    dashboard.has_log = False
    assert views.look(run).phase == "silent"
    assert run.is_alive()
    assert run.holder() is not None


@pytest.mark.parametrize("flags", [[], ["-f"]])
def test_its_logs_are_brought(
    run: JobRun, dashboard: PlayedDashboard, flags: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    dashboard.reports(RUNNING, "[server/0] one", "Ray says", "[server/0] two")
    assert main(["logs", RUN, "server", *flags]) == ExitCode.OK
    assert capfd.readouterr().out == "one\ntwo\n"
    assert (run.holder() is None) == bool(flags)  # it has ended while it was followed


def test_without_what_was_submitted(run: JobRun) -> None:
    (run.directory.path / "status.json").unlink()
    assert views.look(run).phase == "silent"


@pytest.mark.usefixtures("dashboard")
def test_who_sees_no_such_run_loads_nothing_for_it(tmp_path: Path) -> None:
    code = (
        "import sys; from launchpad_lite.cli.main import main; main(['ps']); "
        "print([name for name in ('ray', 'requests', 'asyncio') if name in sys.modules])"
    )
    assert run_python("-c", code, cwd=tmp_path, seconds=60).stdout == "no runs\n[]\n"
