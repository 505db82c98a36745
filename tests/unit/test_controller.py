"""The controller, with a launcher's hands that only note what they are told."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator

import pytest

from launchpad_lite.compiling import compile_program
from launchpad_lite.config import RunConfig
from launchpad_lite.endpoint import EndpointRecord
from launchpad_lite.errors import LauncherUnavailableError, NodeFailed, NodesStuck, UsageError
from launchpad_lite.nodes.courier import CourierNode
from launchpad_lite.nodes.multi_processing import MultiProcessingColocation
from launchpad_lite.nodes.python import PyNode
from launchpad_lite.planning import Capabilities, LaunchPlan, WorkerSpec
from launchpad_lite.program import Program
from launchpad_lite.runtime import events as ev
from launchpad_lite.runtime import supervisor as sv
from launchpad_lite.runtime.backend import Backend
from launchpad_lite.runtime.controller import Controller
from launchpad_lite.runtime.directory import EndedRecord
from launchpad_lite.runtime.status import Notice, RunStatus

PATIENCE_S = 30.0
TRACE = "Traceback (most recent call last):\nValueError: boom\n"


class Server:
    def work(self) -> None: ...


class FakeBackend(Backend):
    """Notes what it is told; `told` waits for it."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self._told: queue.SimpleQueue[tuple[str, object]] = queue.SimpleQueue()
        self.workers: list[str] = []
        self.closed = 0

    def told(self) -> tuple[str, object]:
        return self._told.get(timeout=PATIENCE_S)

    def start(self, workers: Iterable[WorkerSpec], post: Callable[[ev.Event], None]) -> None:
        self.workers = [worker.name for worker in workers]
        if self._error is not None:
            raise self._error

    def restart(self, worker: WorkerSpec, incarnation: int) -> None:
        self._told.put(("restart", (worker.name, incarnation)))

    def notify(self, seconds: float, reason: str) -> None:
        self._told.put(("notify", (seconds, reason)))

    def terminate(self, names: Iterable[str], seconds: float) -> None:
        assert 0 <= seconds <= 10.0
        self._told.put(("terminate", tuple(names)))

    def kill(self, names: Iterable[str]) -> None:
        self._told.put(("kill", tuple(names)))

    def stacks(self, names: Iterable[str]) -> str:
        return "".join(f"{name} is at: user.py" for name in names)

    def leftovers(self, timeout: float) -> list[str]:
        return [f"something after {timeout}"]

    def close(self) -> None:
        self.closed += 1


class Bench:
    """A controller under test; ended by the fixture if the test did not."""

    def __init__(self) -> None:
        self.program = Program("bench")
        with self.program.group("server"):
            for _ in range(2):
                self.program.add_node(CourierNode(Server))
        self.program.add_node(PyNode(print), label="runner")
        self.backend = FakeBackend()
        self.logs: dict[str, str] = {}
        self.statuses: list[RunStatus] = []
        self._controllers: list[Controller] = []

    def plan(self, config: RunConfig | None = None) -> LaunchPlan:
        capabilities = Capabilities(launcher="fake", in_process=True)
        return compile_program(self.program, capabilities, config=config)

    def start(self, config: RunConfig | None = None) -> Controller:
        controller = Controller(
            self.plan(config),
            "bench-1",
            self.backend,
            log_tail=lambda name: self.logs.get(name, ""),
            on_change=self.statuses.append,
        )
        self._controllers.append(controller)
        controller.start()
        return controller

    def end(self) -> None:
        for controller in self._controllers:
            for name in self.backend.workers:
                controller.post(ev.WorkerEnded(name))
            assert controller.join(PATIENCE_S)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.end()


def record(name: str = "server/0", incarnation: int = 0) -> EndpointRecord:
    return EndpointRecord("bench-1", name, incarnation, "host", ("inproc:1",))


def states(controller: Controller) -> list[str]:
    return [node.state for node in controller.status().nodes]


def test_workers_are_brought_up(bench: Bench) -> None:
    controller = bench.start()
    assert bench.backend.workers == ["server/0", "server/1", "runner/0"]
    status = controller.status()
    assert (status.run_id, status.program, status.launcher) == ("bench-1", "bench", "fake")
    assert (status.phase, status.reason, status.error) == ("running", "", "")
    assert [node.title for node in status.nodes] == ["Server", "Server", "print"]
    assert states(controller) == ["starting"] * 3


def test_what_is_published_is_up_and_found(bench: Bench) -> None:
    controller = bench.start()
    controller.publish(record())
    controller.post(ev.WorkerUp("runner/0"))
    changes = controller.watch()
    assert next(changes).nodes[0].endpoints == ("inproc:1",)
    controller.request_stop("enough")
    assert bench.backend.told() == ("notify", (10.0, "enough"))  # so the events before are done
    assert states(controller) == ["running", "starting", "running"]
    assert controller.directory.get("server/0") == record()


def test_a_run_that_stops(bench: Bench) -> None:
    controller = bench.start()
    controller.request_stop("enough")
    assert bench.backend.told() == ("notify", (10.0, "enough"))
    controller.post(ev.WorkerEnded("runner/0"))
    assert bench.backend.told() == ("terminate", ("server/0", "server/1"))
    assert not controller.join(0.0)
    for name in ("server/0", "server/1"):
        controller.post(ev.WorkerEnded(name, ev.Failure("killed"), forced=True))
    assert controller.join(PATIENCE_S)
    assert controller.error is None
    assert bench.backend.closed == 1
    assert states(controller) == ["done"] * 3
    phases = [status.phase for status in bench.statuses]
    assert phases == ["running", "stopping", "terminating", "ended"]


def test_a_run_that_is_stopped_at_once(bench: Bench) -> None:
    controller = bench.start()
    controller.request_stop("Ctrl-C", immediately=True)
    assert bench.backend.told() == ("notify", (0.0, "Ctrl-C"))
    assert bench.backend.told() == ("kill", ("server/0", "server/1", "runner/0"))


@pytest.mark.parametrize("asked_before", [False, True])
def test_a_run_whose_machines_are_taken(bench: Bench, *, asked_before: bool) -> None:
    controller = bench.start()
    if asked_before:
        controller.request_stop("enough")
        assert bench.backend.told() == ("notify", (10.0, "enough"))
    controller.told_to_end("the job is cancelled")
    if not asked_before:
        assert bench.backend.told() == ("notify", (10.0, "the job is cancelled"))
    for name in ("runner/0", "server/0", "server/1"):
        controller.post(ev.WorkerEnded(name))
    assert controller.join(PATIENCE_S)
    told = "" if asked_before else "the job is cancelled"
    assert controller.status().error == told
    assert str(controller.error or "").endswith(told)
    assert controller.taken == told
    assert (controller.error is None) == asked_before


def test_a_run_that_has_failed_before_its_machines_are_taken(bench: Bench) -> None:
    controller = bench.start()
    controller.post(ev.WorkerEnded("runner/0", ev.Failure("ValueError: boom")))
    controller.told_to_end("the job is cancelled")
    bench.end()
    assert isinstance(controller.error, NodeFailed)
    assert controller.taken == ""


def test_a_node_that_fails_as_its_machine_is_taken(bench: Bench) -> None:
    controller = bench.start()
    controller.told_to_end("the job is cancelled")
    controller.post(ev.WorkerEnded("runner/0", ev.Failure("OSError: No space left on device")))
    bench.end()
    assert isinstance(controller.error, NodeFailed)
    assert controller.taken == "the job is cancelled"


def test_a_node_that_fails(bench: Bench) -> None:
    bench.logs["runner/0"] = f"one\ntwo\n{TRACE}"
    controller = bench.start()
    cause = ValueError("boom")
    controller.causes["runner/0"] = cause
    controller.post(ev.WorkerEnded("runner/0", ev.Failure("ValueError: boom", TRACE)))
    assert bench.backend.told() == ("notify", (10.0, "node runner/0 failed"))
    bench.end()
    error = controller.error
    assert isinstance(error, NodeFailed)
    assert error.node == "runner/0"
    assert error.__cause__ is cause
    assert str(error) == (
        "node runner/0 failed: ValueError: boom\n\n"
        f"{TRACE}\n"
        "last lines of the log of runner/0:\none\ntwo"
    )
    assert controller.status().error == "node runner/0 failed: ValueError: boom"


@pytest.mark.parametrize(
    ("log", "trace", "tail"),
    [
        ("", TRACE, ""),
        ("", "", ""),
        ("one\n", "", "one"),
        (f"one\n{TRACE}two\n", TRACE, "one\ntwo"),
        (TRACE[20:], TRACE, ""),  # all that was kept of the log is part of the traceback
        ("\n".join(map(str, range(100))), "", "\n".join(map(str, range(80, 100)))),
    ],
)
def test_the_tail_of_a_log(bench: Bench, log: str, trace: str, tail: str) -> None:
    bench.logs["runner/0"] = log
    controller = bench.start()
    controller.post(ev.WorkerEnded("runner/0", ev.Failure("boom", trace)))
    bench.end()
    assert isinstance(controller.error, NodeFailed)
    assert controller.error.log_tail == tail


def test_nodes_that_cannot_be_ended(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sv, "KILL_WAIT_S", 0.0)
    controller = bench.start(RunConfig(notice_s=0.0, grace_s=0.0))
    for name in ("server/0", "server/1"):
        controller.post(ev.WorkerEnded(name))
    controller.request_stop("enough")
    assert controller.join(PATIENCE_S)
    assert isinstance(controller.error, NodesStuck)
    assert controller.error.nodes == ("runner/0",)
    assert "runner/0 is at: user.py" in str(controller.error)
    kinds = [bench.backend.told()[0] for _ in range(3)]
    assert kinds == ["notify", "terminate", "kill"]


def test_a_launcher_that_cannot_start(bench: Bench) -> None:
    steps: list[str] = []
    bench.backend = FakeBackend(LauncherUnavailableError("no fork"))
    controller = Controller(bench.plan(), "bench-2", bench.backend)
    controller.at_end(lambda: steps.append("cleaned"))
    with pytest.raises(LauncherUnavailableError, match="no fork"):
        controller.start()
    assert bench.backend.closed == 1
    assert steps == ["cleaned"]


def test_cleaning_up_goes_on_after_an_error(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    controller = bench.start()
    steps: list[str] = []

    def fail() -> None:
        steps.append("failed")
        raise OSError("disk full")

    controller.at_end(fail)
    controller.at_end(lambda: steps.append(f"ended: {controller.ended.is_set()}"))
    with caplog.at_level(logging.ERROR):
        bench.end()
    assert steps == ["failed", "ended: False"]
    assert "cleaning up after the run failed" in caplog.text


def test_the_hint_is_logged(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        controller = bench.start()
        controller.post(ev.WorkerEnded("runner/0"))
        bench.end()
    assert "server/0, server/1 only serve(s)" in caplog.text
    assert "bench-1" in caplog.text


def test_workers_hear_of_what_they_follow(bench: Bench) -> None:
    controller = bench.start()
    news = controller.followers.attach("runner/0")
    assert controller.followers.follow("runner/0", "server/0") is None
    controller.publish(record("server/1"))  # is not followed
    controller.publish(record("server/0", incarnation=1))
    controller.publish(record("server/0", incarnation=0))  # is old
    assert next(news) == record("server/0", incarnation=1)
    assert controller.followers.follow("runner/0", "server/1") == record("server/1")
    controller.post(ev.WorkerEnded("server/1"))
    assert next(news) == EndedRecord("server/1", "it has ended")
    controller.request_stop("enough")
    assert next(news) == Notice(10.0, "enough")
    bench.end()
    assert [type(event) for event in news] == [EndedRecord]  # of server/0, and then the end


def test_a_worker_that_comes_late_is_told_that_the_run_stops(bench: Bench) -> None:
    controller = bench.start()
    controller.request_stop("enough")
    bench.backend.told()
    notice = next(controller.followers.attach("runner/0"))
    assert notice.reason == "enough"
    assert 0 < notice.seconds <= 10.0


def test_a_worker_that_hangs_up_hears_no_more(bench: Bench) -> None:
    controller = bench.start()
    news = controller.followers.attach("runner/0")
    controller.followers.follow("runner/0", "server/0")
    news.close()
    news.close()
    controller.publish(record())
    assert list(news) == []


def test_whoever_watches_sees_each_change_and_the_end(bench: Bench) -> None:
    controller = bench.start()
    changes = controller.watch()
    assert next(changes).phase == "running"
    controller.post(ev.WorkerEnded("runner/0"))
    assert [node.state for node in next(changes).nodes] == ["starting", "starting", "done"]
    controller.request_stop("enough")
    assert next(changes).phase == "terminating"  # none is left that could use the notice
    bench.end()
    assert [status.phase for status in changes][-1] == "ended"
    assert [status.phase for status in controller.watch()] == ["ended"]


def test_objects_of_nodes_elsewhere(bench: Bench) -> None:
    controller = bench.start()
    with pytest.raises(UsageError, match="server/0 is in another process"):
        controller.instance("server", 0)
    assert controller.leftovers(1.5) == ["something after 1.5"]


def restart_one(bench: Bench) -> Controller:
    """Return a controller whose `machine/0/0` was up, has failed, and is being started again."""
    server, other = CourierNode(Server), CourierNode(Server)
    colocation = MultiProcessingColocation([server, other], num_retries_on_failure=1)
    bench.program.add_node(colocation, label="machine")
    controller = bench.start()
    controller.publish(record("machine/0/0"))
    controller.post(ev.WorkerEnded("machine/0/0", ev.Failure("ValueError: boom", TRACE)))
    assert bench.backend.told() == ("restart", ("machine/0/0", 1))
    return controller


def test_a_node_that_is_started_again(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    controller = restart_one(bench)
    text = "starting machine/0/0 again: it failed (ValueError: boom), restart 1 of 1 of machine/0"
    assert text in caplog.text
    (node,) = [each for each in controller.status().nodes if each.name == "machine/0/0"]
    assert (node.state, node.restarts, node.endpoints) == ("starting", 1, ())
    again = record("machine/0/0", incarnation=1)
    controller.publish(again)
    assert controller.directory.get("machine/0/0") == again
    controller.post(ev.WorkerEnded("machine/0/1", ev.Failure("ValueError: bang", TRACE)))
    assert bench.backend.told() == ("notify", (10.0, "node machine/0/1 failed"))
    bench.end()
    assert isinstance(controller.error, NodeFailed)
    assert controller.error.node == "machine/0/1"


def test_a_node_s_note_is_part_of_the_status(bench: Bench) -> None:
    controller = restart_one(bench)

    def notes() -> list[str]:
        nodes = controller.status().nodes
        return [each.note for each in nodes if each.name.startswith("machine")]

    why = "it failed (ValueError: boom), restart 1 of 1 of machine/0"
    controller.note("machine/0/0", 0, "of the one before")
    assert notes() == [why, ""]
    controller.note("machine/0/0", 1, "3 inserts wait")
    assert notes() == ["3 inserts wait", ""]
    controller.note("machine/0/0", 1, "")
    assert notes() == [why, ""]
    bench.end()


def test_a_stream_that_ends_late_is_not_taken_for_its_successor(bench: Bench) -> None:
    controller = restart_one(bench)
    before = controller.followers.attach("machine/0/1")
    after = controller.followers.attach("machine/0/1")
    controller.followers.follow("machine/0/1", "server/0")
    before.close()
    controller.publish(record())
    assert next(after) == record()


class Unwritable(logging.Handler):
    """Of a user, whose disk is full."""

    def emit(self, record: logging.LogRecord) -> None:
        message = f"No space left on device for {record.name}"
        raise OSError(message)


def test_a_controller_that_fails_ends_the_run_whether_that_can_be_logged_or_not(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)  # hears of the handler's failure
    monkeypatch.setattr(bench.backend, "notify", lambda *_: 1 / 0)
    logger, handler = logging.getLogger("launchpad_lite"), Unwritable()
    logger.addHandler(handler)
    try:
        controller = bench.start()
        controller.request_stop("enough")
        assert controller.join(PATIENCE_S)
    finally:
        logger.removeHandler(handler)
    assert "the controller of bench-1 failed: ZeroDivisionError" in str(controller.error)
    assert bench.backend.closed == 1
