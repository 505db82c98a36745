"""Every way to fail, in every phase: what the user is told, and that nothing is left."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import pytest

import launchpad_lite as lp
from launchpad_lite.runtime import supervisor
from launchpad_lite.testing import harness
from tests.faults import failing
from tests.faults.failing import PATIENCE_S, WAYS

TEXTS = {
    "raise": "ValueError: boom",
    "exit": "SystemExit: 3",
    "die": "its process exited with status 7",
    "kill": "its process was killed by SIGKILL",
}
CLASSES = {
    "constructor": failing.InConstructor,
    "restore": failing.InRestore,
    "run": failing.InRun,
    "method": failing.InMethod,
    "save": failing.InSave,
    "save of one that runs": failing.InSaveOfOneThatRuns,
}
FRAMES = {
    "unpickle": "_unpickle",
    "constructor": "__init__",
    "restore": "restore",
    "run": "run",
    "save": "save",
    "save of one that runs": "save",
}
NOTES = {
    "restore": "while restoring",
    "save": "while saving",
    "save of one that runs": "while saving",
}
PROCESS_TABLE = [(phase, way) for phase in FRAMES for way in WAYS]
THREAD_TABLE = [
    (phase, way) for phase in FRAMES if phase != "unpickle" for way in ("raise", "exit")
]
TABLE = [("process", *row) for row in PROCESS_TABLE] + [("thread", *row) for row in THREAD_TABLE]


@pytest.fixture
def config(tmp_path: Path) -> lp.RunConfig:
    """Checkpoints where the test can put them."""
    return lp.RunConfig(notice_s=PATIENCE_S, grace_s=2.0, checkpoint_dir=str(tmp_path))


def program_that_fails(phase: str, way: str) -> lp.Program:
    program = lp.Program("fails")
    if phase == "unpickle":
        program.add_node(lp.PyNode(print, failing.FailsWhenUnpickled(way)), label="bad")
    else:
        program.add_node(lp.CourierNode(CLASSES[phase], way), label="bad")
    return program


@pytest.mark.parametrize(("launcher", "phase", "way"), TABLE)
def test_a_node_fails(
    launcher: str, phase: str, way: str, config: lp.RunConfig, tmp_path: Path
) -> None:
    if phase == "restore":
        (tmp_path / "bad-0").touch()
    program = program_that_fails(phase, way)
    with (
        pytest.raises(lp.NodeFailed) as caught,
        lp.testing.run(program, launcher, config=config) as t,
    ):
        if phase.startswith("save"):
            t["bad"].fail()  # it is up, and saves when the run stops
        else:
            t.wait(PATIENCE_S)
    error = caught.value
    assert error.node == "bad/0"
    assert str(error).startswith(f"node bad/0 failed: {TEXTS[way]}")
    note = f"\n{NOTES[phase]} {tmp_path}/bad-0" if way == "raise" and phase in NOTES else ""
    assert t.status().error == f"node bad/0 failed: {TEXTS[way]}{note}"
    if way in ("raise", "exit"):
        assert f"in {FRAMES[phase]}\n" in error.remote_traceback
        assert str(error).count("Traceback") == 1
    else:
        assert error.remote_traceback == ""


def test_the_table_has_each_phase_and_each_way() -> None:
    assert len(PROCESS_TABLE) == len(FRAMES) * len(WAYS)
    assert FRAMES.keys() | {"method"} == CLASSES.keys() | {"unpickle"}
    assert TEXTS.keys() == WAYS.keys()


@pytest.mark.parametrize("launcher", ["thread", "process"])
@pytest.mark.parametrize(
    ("way", "error", "text"),
    [("raise", ValueError, "boom"), ("exit", lp.RemoteError, "SystemExit: 3")],
)
def test_an_exception_in_a_method_fails_the_call_alone(
    launcher: str, way: str, error: type[Exception], text: str
) -> None:
    program = program_that_fails("method", way)
    with lp.testing.run(program, launcher) as t:
        for _ in range(2):
            with pytest.raises(error, match=text):
                t["bad"].fail()


@pytest.mark.parametrize("way", ["die", "kill"])
def test_death_in_a_method_fails_the_node_and_the_call(way: str) -> None:
    program = program_that_fails("method", way)
    call: lp.LaunchpadError | None = None
    with pytest.raises(lp.NodeFailed) as caught, lp.testing.run(program, "process") as t:
        try:
            t["bad"].fail()
        except lp.LaunchpadError as error:
            call = error
            raise
    assert str(caught.value).startswith(f"node bad/0 failed: {TEXTS[way]}")
    if isinstance(call, lp.Unavailable):
        assert call.maybe_executed
        assert "bad/0" in str(call)
    else:  # the end of the run overtook that of the connection
        assert isinstance(call, lp.Stopped)


@pytest.mark.parametrize("launcher", ["thread", "process"])
def test_a_stop_handler_that_raises_is_logged(
    launcher: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    program = lp.Program("fails")
    program.add_node(lp.CourierNode(failing.InStopHandler, "raise"), label="bad")
    with lp.testing.run(program, launcher) as t:
        t["bad"].fail()
    assert "a stop handler raised" in caplog.text + capsys.readouterr().out


@pytest.mark.parametrize(
    ("launcher", "way"), [("thread", "raise"), ("process", "raise"), ("process", "kill")]
)
def test_a_node_fails_while_another_is_in_a_call_to_it(
    launcher: str, way: str, config: lp.RunConfig, tmp_path: Path
) -> None:
    program = lp.Program("fails")
    bad = program.add_node(lp.CourierNode(failing.FailsDuringCall, way), label="bad")
    path = tmp_path / "told"
    program.add_node(lp.PyNode(failing.call_and_tell, bad, path), label="caller")
    t = lp.testing.run(program, launcher, config=config)
    with pytest.raises(lp.NodeFailed) as caught, t:
        t.wait(PATIENCE_S)
    assert caught.value.node == "bad/0"
    assert TEXTS[way] in str(caught.value)
    assert {node.name: node.state for node in t.status().nodes} == {
        "bad/0": "failed",
        "caller/0": "done",
    }
    text = path.read_text()
    assert "bad/0" in text
    assert text.endswith("True")  # nobody can tell whether the method ran to its end


@pytest.mark.parametrize(
    ("launcher", "way"), [("thread", "raise"), ("process", "raise"), ("process", "kill")]
)
def test_the_node_that_failed_is_named_not_its_caller(
    launcher: str, way: str, config: lp.RunConfig
) -> None:
    program = lp.Program("fails")
    bad = program.add_node(lp.CourierNode(failing.FailsDuringCall, way), label="bad")
    with program.group("caller"):
        for _ in range(3):
            program.add_node(lp.PyNode(failing.call_and_hope, bad))
    with (
        pytest.raises(lp.NodeFailed) as caught,
        lp.testing.run(program, launcher, config=config) as t,
    ):
        t.wait(PATIENCE_S)
    assert caught.value.node == "bad/0"


# A thread that cannot be ended.


class StuckInC:
    """Waits where no Python code runs."""

    def __init__(self, begun: threading.Event, go_on: threading.Event) -> None:
        self._begun = begun
        self._go_on = go_on

    def run(self) -> None:
        self._begun.set()
        self._go_on.wait()


def test_a_thread_stuck_in_c_is_reported_with_its_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "KILL_WAIT_S", 0.1)
    monkeypatch.setattr(harness, "LEAK_WAIT_S", 0.1)
    begun, go_on = threading.Event(), threading.Event()
    program = lp.Program("stuck")
    program.add_node(lp.PyClassNode(StuckInC, begun, go_on), label="stuck")
    program.add_node(lp.CourierNode(failing.Base, "raise"), label="good")
    config = lp.RunConfig(notice_s=0.1, grace_s=0.1)
    try:
        with pytest.raises(lp.NodesStuck) as caught, lp.testing.run(program, config=config) as t:
            assert begun.wait(PATIENCE_S)
    finally:
        go_on.set()
    error = caught.value
    assert error.nodes == ("stuck/0",)
    assert "stuck/0 did not end in time" in str(error)
    assert "self._go_on.wait()" in str(error)
    assert "lp.wait_for_stop()" in str(error)  # what to do about it
    assert "--launcher=process" in str(error)
    with contextlib.suppress(lp.RunError):
        assert t.wait(0)
    states = {node.name: node.state for node in t.status().nodes}
    assert states == {"stuck/0": "running", "good/0": "done"}
