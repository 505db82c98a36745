"""What goes into a Ray cluster with a job, and what its log says."""

from __future__ import annotations

import dataclasses
import io
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite import source
from launchpad_lite.errors import ControllerLost, LaunchpadError, NodeFailed, NodesStuck, UsageError
from launchpad_lite.launchers.ray import packing
from launchpad_lite.launchers.ray.jobs import launch, reports
from launchpad_lite.launchers.ray.jobs.letters import Program
from launchpad_lite.launchers.ray.jobs.mirror import Mirror
from launchpad_lite.launchers.ray.jobs.reports import End, Escaping, Reporter, Where
from launchpad_lite.launchers.ray.jobs.tail import LOST_S, SILENT_S, Tail
from launchpad_lite.planning import LaunchPlan
from launchpad_lite.runtime.rundir import RunDirectory
from launchpad_lite.runtime.status import NodeStatus, RunStatus
from tests.helpers import run_python

STATUS = RunStatus(
    run_id="run-1",
    program="away",
    launcher="ray",
    phase="running",
    reason="",
    started=1.0,
    nodes=(
        NodeStatus("server/0", "Server", "starting", ()),
        NodeStatus("odd] /0", "Server", "starting", ()),
    ),
)
RUNNING = dataclasses.replace(
    STATUS,
    nodes=(NodeStatus("server/0", "Server", "running", ("tcp:a:1",)), STATUS.nodes[1]),
)


def make_plan() -> LaunchPlan:
    program = lp.Program("away")
    program.add_node(lp.PyNode(int), label="work")
    return lp.plan(program, "process")


# --- where the program's files are


def made(root: Path, **changes: Any) -> source.ProgramSource:
    facts: dict[str, Any] = {
        "main_file": str(root / "sub/program.py"),
        "main_module": None,
        "sys_path": (str(root / "sub"), str(root), "/elsewhere", *sys.path),
        "cwd": str(root),
        "argv": ("program.py",),
        "flags": {"word": "w"},
    }
    return source.ProgramSource(**(facts | changes))


def test_paths_are_taken_from_the_directory_that_is_copied(tmp_path: Path) -> None:
    moved = made(tmp_path).below(tmp_path)
    assert (moved.main_file, moved.cwd) == ("sub/program.py", ".")
    assert moved.sys_path == ("sub", ".")
    assert moved.own_packages


def test_a_program_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"/program.py is not in .*of which the cluster gets"):
        made(tmp_path).below(tmp_path / "other")


def test_a_worker_finds_them_where_it_is_started(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/beside.py").write_text("WORD = 'beside'\n")
    (tmp_path / "sub/program.py").write_text(
        "import os, beside\nprint(beside.WORD, os.getcwd() == os.path.dirname(beside.__file__))\n"
    )
    moved = made(tmp_path, cwd=str(tmp_path / "sub"), flags={}).below(tmp_path)
    (tmp_path / "source").write_bytes(pickle.dumps(moved))
    code = (
        "import pickle, pathlib; from launchpad_lite import source; "
        "source.install(pickle.loads(pathlib.Path('source').read_bytes()))"
    )
    done = run_python("-c", code, cwd=tmp_path, seconds=60)
    assert done.stdout == "beside True\n"


def test_a_plan_moves_with_its_workers() -> None:
    plan = make_plan()
    (worker,) = plan.workers
    flagged = dataclasses.replace(pickle.loads(worker.source), flags={"word": "w"})
    worker = dataclasses.replace(worker, source=pickle.dumps(flagged))
    plan = dataclasses.replace(plan, workers=(worker,))
    root = Path.cwd() if plan.source.main_file is None else Path(plan.source.main_file).parent
    moved = pickle.loads(plan.below(root).workers[0].source)
    assert moved.cwd == "."
    assert pickle.loads(moved.flags["word"].data) == "w"


# --- the program on its way


def test_checkpoints_need_a_place_that_all_machines_see() -> None:
    plan = make_plan()
    plan = dataclasses.replace(plan, config=lp.RunConfig(checkpoint_dir="saved"))
    with pytest.raises(UsageError, match="use an absolute path, to a place that they share"):
        launch.describe(plan, lp.RayOptions(), "http://head:8265")


def test_directories_of_this_machine_are_shipped_for_all_groups_only() -> None:
    options = lp.RayOptions(groups={"work": lp.RayGroup(runtime_env={"working_dir": "here"})})
    with pytest.raises(UsageError, match=r"group 'work': runtime_env\['working_dir'\]='here'"):
        launch.describe(make_plan(), options, "http://head:8265")


def test_other_versions_are_told() -> None:
    plan = make_plan()
    packed = packing.pack(
        Program(plan=plan.portable(), table=str(plan), options=lp.RayOptions(), is_watched=True)
    )
    assert packing.unpack(packed).table == str(plan)
    other = packed.replace(b'"python":"3.', b'"python":"2.', 1)
    with pytest.raises(UsageError, match=r"launched with Python 2\.\d+ and .* have Python 3"):
        packing.unpack(other)


# --- what the log says


@pytest.mark.parametrize(
    "error",
    [
        UsageError("no room"),
        NodeFailed("a/0", "ValueError: x", remote_traceback="t", log_tail="l", shown=True),
        NodesStuck(["a/0"], "stacks"),
        ControllerLost("gone"),
    ],
)
def test_errors_arrive_as_they_were(error: LaunchpadError) -> None:
    stream = io.StringIO()
    Reporter(stream).end(error)
    report = reports.read(stream.getvalue().rstrip("\n"))
    assert isinstance(report, End)
    arrived = report.error
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)


def test_a_status_names_the_nodes_that_have_changed() -> None:
    stream = io.StringIO()
    reporter = Reporter(stream)
    for status in (STATUS, RUNNING, RUNNING):
        reporter.status(status)
    first, second = map(reports.read, stream.getvalue().splitlines())
    assert isinstance(first, Where)
    assert isinstance(second, Where)
    assert [node.name for node in second.status.nodes] == ["server/0"]
    assert reports.merged(first.status, second.status) == RUNNING


def test_what_only_looks_like_a_report_is_none() -> None:
    assert reports.read('@launchpad_lite {"type": "other"}') is None


def test_a_carriage_return_ends_no_line() -> None:
    file = io.BytesIO()
    stream = Escaping(file, encoding="utf-8")
    stream.write("10 %\r20 %\n")
    stream.flush()
    assert b"\r" not in file.getvalue()
    assert reports.printed(file.getvalue().decode()) == "10 %\r20 %\n"


def test_two_who_take_the_same_log_write_it_once() -> None:
    directory = RunDirectory.create("run-1")
    stream = io.StringIO()
    Reporter(stream).status(RUNNING)
    log = ["Ray says", *stream.getvalue().splitlines(), "[server/0] one", "[odd] /0] two"]
    following, asking = (Mirror(directory, STATUS) for _ in range(2))
    assert list(following.take(log[:3])) == ["Ray says", RUNNING]
    assert list(asking.take([*log, "[server/0] three"]))[1:] == [RUNNING]
    assert list(following.take([*log[3:], "[server/0] three", "[nobody/0] four"])) == [
        "[nobody/0] four"
    ]
    assert directory.log("server/0").read_text() == "one\nthree\n"
    assert directory.log("odd] /0").read_text() == "two\n"
    assert directory.status() == RUNNING


def test_the_end_is_kept() -> None:
    directory = RunDirectory.create("run-1")
    stream = io.StringIO()
    Reporter(stream).end(UsageError("no room\nfor it"))
    mirror = Mirror(directory, STATUS)
    assert not list(mirror.take(["[server/0] last", *stream.getvalue().splitlines()]))
    assert mirror.end is not None
    kept = directory.status()
    assert kept is not None
    assert (kept.phase, kept.error) == ("ended", "no room")
    assert directory.log("server/0").read_text() == "last\n"
    assert directory.owner() is None


def test_no_status_is_written_over_the_end() -> None:
    directory = RunDirectory.create("run-1")
    stream = io.StringIO()
    reporter = Reporter(stream)
    reporter.status(RUNNING)
    reporter.end(None)
    log = stream.getvalue().splitlines()
    following, asking, guessing = (Mirror(directory, STATUS) for _ in range(3))
    list(following.take(log))
    list(asking.take(log[:1]))  # it was fetched before the end
    guessing.ended("its job is over")
    kept = directory.status()
    assert kept is not None
    assert (kept.phase, kept.error) == ("ended", "")


def test_a_guess_of_the_end_gives_way_to_the_report() -> None:
    directory = RunDirectory.create("run-1")
    stream = io.StringIO()
    Reporter(stream).end(None)
    Mirror(directory, STATUS).ended("its job is over")
    list(Mirror(directory, STATUS).take(stream.getvalue().splitlines()))
    kept = directory.status()
    assert kept is not None
    assert kept.error == ""


def test_a_run_goes_on_whose_directory_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    directory = RunDirectory.create("run-1")
    mirror = Mirror(directory, STATUS)
    directory.remove()
    stream = io.StringIO()
    reporter = Reporter(stream)
    reporter.status(RUNNING)
    reporter.end(None)
    log = ["[server/0] one", *stream.getvalue().splitlines()]
    assert list(mirror.take(log)) == [RUNNING]
    assert mirror.end is not None
    (told,) = caplog.messages
    assert "run-1: cannot be written" in told


# --- lines that bring the log


def held(tail: Tail, text: str, until: float, *, told_all: bool = False) -> list[str]:
    """Has a line bring a text, and be held until a time."""
    tail.begin()
    lines = tail.take("") + tail.take(text)
    tail.end(until, told_all=told_all)
    return lines


def test_a_line_after_another_brings_what_is_new() -> None:
    tail = Tail(0)
    assert held(tail, "one\ntw", 1) == ["one"]
    tail.begin()
    assert tail.take("one") == []
    assert tail.take("\ntwo\nthr") == ["two"]
    assert tail.rest() == ["thr"]


def test_a_dashboard_is_lost_that_does_not_answer_for_long() -> None:
    tail = Tail(0)
    tail.begin()
    tail.end(LOST_S, told_all=False)
    assert not tail.is_lost(LOST_S)
    assert tail.is_lost(LOST_S + 1)
    tail.asked(LOST_S + 1, is_over=False)
    assert not tail.is_lost(LOST_S + 2)


def test_a_line_that_was_silent_for_hours_has_been_held() -> None:
    tail = Tail(0)
    held(tail, "one\n", 9000)
    assert not tail.is_lost(9000 + LOST_S)
    assert tail.is_lost(9001 + LOST_S)


def test_a_log_is_complete_once_its_line_has_ended_and_the_job_is_over() -> None:
    tail = Tail(0)
    held(tail, "one\n", 1, told_all=True)
    tail.asked(1, is_over=False)
    assert not tail.is_complete(1 + 2 * SILENT_S)
    tail.asked(2, is_over=True)
    assert tail.is_complete(2)


def test_the_rest_of_a_log_is_waited_for_from_the_end_of_its_job_on() -> None:
    tail = Tail(0)
    held(tail, "one\n", 9000)
    tail.asked(9000, is_over=True)
    assert tail.lacks_end()
    assert not tail.is_complete(9000 + SILENT_S)
    held(tail, "one\n", 9001 + SILENT_S)  # nothing new
    assert tail.is_complete(9001 + SILENT_S)


def test_a_log_that_was_had_in_another_way_is_complete() -> None:
    tail = Tail(0)
    held(tail, "one\ntw", 1)
    tail.asked(2, is_over=True)
    assert held(tail, "one\ntwo\n", 3, told_all=True) == ["two"]
    assert not tail.lacks_end()
    assert tail.is_complete(3)
