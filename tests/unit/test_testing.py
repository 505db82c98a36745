"""`lp.testing.run`: the real program inside a test, and the truth about how it ended."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
import traceback
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from absl.testing import absltest

import launchpad_lite as lp
from launchpad_lite.testing import LeakError, TestRun, harness

PATIENCE_S = 60.0


class Producer:
    def __init__(self, factor: int = 2) -> None:
        self.factor = factor
        self.calls = 0

    def work(self, item: int) -> int:
        self.calls += 1
        return item * self.factor


class Hanging(Producer):
    """Its method hangs in the test's own hands."""

    def __init__(self, begun: threading.Event, go_on: threading.Event) -> None:
        super().__init__()
        self._begun = begun
        self._go_on = go_on

    def hang(self) -> None:
        self._begun.set()
        self._go_on.wait(PATIENCE_S)


class Failing(Producer):
    def __init__(self) -> None:
        super().__init__()
        self._fail = threading.Event()

    def fail(self) -> None:
        self._fail.set()

    def run(self) -> None:
        self._fail.wait(PATIENCE_S)
        raise ValueError("boom")


class FailsAtOnce:
    def __init__(self) -> None:
        raise ValueError("boom")


def make_program(num_producers: int = 2) -> tuple[lp.Program, list[Producer]]:
    program = lp.Program("testing")
    with program.group("producer"):
        nodes = [lp.CourierNode(Producer, factor + 2) for factor in range(num_producers)]
        return program, [program.add_node(node) for node in nodes]


def failing_program() -> tuple[lp.Program, Failing, Producer]:
    program = lp.Program("failing")
    failing = program.add_node(lp.CourierNode(Failing), label="bad")
    producer = program.add_node(lp.CourierNode(Producer), label="producer")
    return program, failing, producer


def wait_for_failure(t: TestRun) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not t.status().error:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("launcher", ["thread", "process"])
def test_clients(launcher: str) -> None:
    program, handles = make_program()
    with lp.testing.run(program, launcher) as t:
        assert [t[handle].work(5) for handle in handles] == [10, 15]
        assert t["producer"].work(1) == 2
        assert t["producer/1"].work(1) == 3
        assert lp.submit(t[handles[1]].work, 2).result() == 6
        assert t.status().phase == "running"
    assert t.status().phase == "ended"


def test_objects() -> None:
    program, handles = make_program()
    with lp.testing.run(program) as t:
        t[handles[1]].work(1)
        assert t.instance("producer", 1).calls == 1
        assert t.instance("producer").calls == 0
        assert t.instance("producer", 0).factor == 2
        with pytest.raises(lp.UsageError, match="did you mean 'producer'"):
            t.instance("producers")


def test_objects_in_other_processes() -> None:
    program, _ = make_program(1)
    with (
        lp.testing.run(program, "process") as t,
        pytest.raises(lp.UsageError, match="producer/0 is in another process"),
    ):
        t.instance("producer")


def test_names_that_are_not_there() -> None:
    program, _ = make_program()
    program.add_node(lp.PyNode(lp.wait_for_stop), label="function")
    other_program, (other, _) = make_program()
    with lp.testing.run(program) as t:
        with pytest.raises(lp.UsageError, match="did you mean 'producer'"):
            t["producers"]
        with pytest.raises(lp.UsageError, match="no index 7"):
            t["producer/7"]
        with pytest.raises(lp.UsageError, match="function/0 offers no service"):
            t["function"]
        with pytest.raises(lp.UsageError, match="needs a handle or a group's label"):
            t[7]
        with pytest.raises(lp.ContextError, match="belongs to no node of program 'testing'"):
            t[other]
    assert other_program.name == "testing"


def test_an_unknown_launcher() -> None:
    with pytest.raises(lp.UsageError, match="unknown launcher 'threads'; did you mean 'thread'"):
        lp.testing.run(make_program()[0], "threads")


def test_it_begins_when_it_is_told_to() -> None:
    program, (handle, _) = make_program()
    t = lp.testing.run(program)
    with pytest.raises(lp.UsageError, match="has not begun"):
        t[handle].work(1)
    t.start()
    assert t[handle].work(1) == 2
    t.stop()
    t.stop()
    assert t.wait(0)


def test_a_program_that_ends_by_itself() -> None:
    program = lp.Program("ends")
    program.add_node(lp.PyNode(print, "hello"), label="function")
    with lp.testing.run(program) as t:
        assert t.wait(PATIENCE_S)


def test_run_directories(state_home: Path) -> None:
    program, _ = make_program(1)
    with lp.testing.run(program) as t:
        assert t.run.directory is None
    with lp.testing.run(program, keep_directory=True) as t:
        directory = t.run.directory
        assert directory is not None
        assert directory.is_relative_to(state_home)
    with lp.testing.run(program, "process") as t:
        assert t.run.directory is not None


# Failures.


@pytest.mark.parametrize("launcher", ["thread", "process"])
def test_a_nodes_failure_is_the_tests(launcher: str) -> None:
    program, failing, _ = failing_program()
    with (
        pytest.raises(lp.NodeFailed, match="bad/0 failed: ValueError: boom") as caught,
        lp.testing.run(program, launcher) as t,
    ):
        t[failing].fail()
        wait_for_failure(t)
    error = caught.value
    assert error.node == "bad/0"
    assert 'raise ValueError("boom")' in str(error)
    assert "in run" in error.remote_traceback
    if launcher == "thread":
        cause = error.__cause__
        assert isinstance(cause, ValueError)
        frames = traceback.extract_tb(cause.__traceback__)
        assert frames[-1].name == "run"  # a debugger can go there


def test_a_failure_comes_before_what_came_of_it() -> None:
    program, failing, producer = failing_program()
    with pytest.raises(lp.NodeFailed, match="bad/0"), lp.testing.run(program) as t:
        t[failing].fail()
        while True:  # until the run stops, which this call notices first
            t[producer].work(1)


def test_a_constructor_that_fails() -> None:
    program = lp.Program("bad")
    program.add_node(lp.CourierNode(FailsAtOnce), label="bad")
    with pytest.raises(lp.NodeFailed, match="bad/0"), lp.testing.run(program) as t:
        with pytest.raises(ValueError, match="boom"):
            t.instance("bad")
        t.wait()


def test_the_tests_own_failure_is_kept() -> None:
    program, failing, _ = failing_program()
    with pytest.raises(AssertionError, match="mine") as caught, lp.testing.run(program) as t:
        t[failing].fail()
        wait_for_failure(t)
        raise AssertionError("mine")
    assert "and the run failed: node bad/0 failed: ValueError: boom" in caught.value.__notes__[0]


def test_the_tests_own_failure_stops_the_run() -> None:
    program, _ = make_program()
    with pytest.raises(KeyError), lp.testing.run(program) as t:
        raise KeyError
    assert t.status().phase == "ended"


def test_what_a_run_leaves_fails_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "LEAK_WAIT_S", 0.1)
    begun, go_on = threading.Event(), threading.Event()
    program = lp.Program("leak")
    hanging = program.add_node(lp.CourierNode(Hanging, begun, go_on), label="hanging")
    try:
        with (
            pytest.raises(LeakError, match="left: thread 'lp-serve hanging/0'"),
            lp.testing.run(program, config=lp.RunConfig(grace_s=0.2)) as t,
        ):
            lp.submit(t[hanging].hang)
            assert begun.wait(PATIENCE_S)
    finally:
        go_on.set()


def test_a_process_that_a_run_leaves_fails_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    def leftovers(run: lp.Run, timeout: float) -> list[str]:
        return ["process 4711"]

    monkeypatch.setattr(lp.Run, "leftovers", leftovers)
    with (
        pytest.raises(LeakError, match="left: process 4711"),
        lp.testing.run(make_program()[0]),
    ):
        pass


# Several runs, and where handles find theirs.


def test_a_handle_in_the_testing_thread() -> None:
    program = lp.Program("handle")
    node = lp.CourierNode(Producer)
    handle: Any = program.add_node(node, label="producer")
    with pytest.raises(lp.ContextError, match="belongs to no run of this process"):
        handle.dereference()
    with lp.testing.run(program), lp.testing.run(make_program()[0]):
        assert handle.dereference().work(1) == 2
        created: Any = node.create_handle()
        assert created.dereference().work(1) == 2
    with pytest.raises(lp.ContextError, match="Launch the program first"):
        handle.dereference()


def test_a_handle_that_fits_two_runs() -> None:
    program, (handle, _) = make_program()
    untyped: Any = handle
    with lp.testing.run(program) as first, lp.testing.run(program) as second:
        with pytest.raises(lp.ContextError, match=r"fits 2 runs .*: run.client\(handle\)"):
            untyped.dereference()
        assert first[handle].work(1) == second[handle].work(1) == 2
    with lp.testing.run(program):
        assert untyped.dereference().work(1) == 2


def test_stop_in_the_testing_thread() -> None:
    with lp.testing.run(make_program()[0]) as first:
        with lp.testing.run(make_program()[0]) as second:
            with pytest.raises(lp.ContextError, match="2 runs"):
                lp.stop()
            second.stop()
        lp.stop()
        assert first.wait(PATIENCE_S)
    assert "the launching process called lp.stop()" in first.status().reason


def test_runs_side_by_side_and_nested() -> None:
    runs = [lp.testing.run(make_program()[0]).start() for _ in range(4)]
    assert [run["producer"].work(number) for number, run in enumerate(runs)] == [0, 2, 4, 6]
    for run in runs:
        run.stop()


def test_a_node_that_launches_a_program_of_its_own() -> None:
    program = lp.Program("outer")
    program.add_node(lp.PyNode(_launch_inner), label="outer")
    with lp.testing.run(program) as t:
        assert t.wait(PATIENCE_S)


def _launch_inner() -> None:
    program, (handle, _) = make_program()
    with lp.testing.run(program) as t:
        assert t[handle].work(1) == 2
    assert lp.get_context().name == "outer/0"


# The frameworks.


def test_the_fixture(lp_run: Callable[..., TestRun]) -> None:
    program, (handle, _) = make_program()
    first = lp_run(program)
    second = lp_run(program, launcher="process")
    assert first[handle].work(1) == second[handle].work(1) == 2


class UnittestTest(unittest.TestCase):
    def setUp(self) -> None:
        program, (self.handle, _) = make_program()
        self.t = self.enterContext(lp.testing.run(program))

    def test_work(self) -> None:
        self.assertEqual(self.t[self.handle].work(1), 2)  # noqa: PT009 - it is unittest


class AbslTest(absltest.TestCase):
    def test_work(self) -> None:
        program, (handle, _) = make_program()
        t = lp.testing.run(program).start()
        self.addCleanup(t.stop)
        self.assertEqual(t[handle].work(1), 2)  # noqa: PT009 - it is unittest


SCRIPT = """
    import threading
    import time
    from absl.testing import absltest
    import launchpad_lite as lp

    class Failing:
        def __init__(self):
            self.event = threading.Event()
        def fail(self):
            self.event.set()
        def run(self):
            while not self.event.wait(0.01):  # an exception can end it, unlike a long wait
                pass
            raise ValueError("boom")

    def make_program():
        program = lp.Program("failing")
        return program, program.add_node(lp.CourierNode(Failing), label="bad")

    {test}
"""


def _run_script(path: Path, test: str, *command: str) -> subprocess.CompletedProcess[str]:
    path.write_text(textwrap.dedent(SCRIPT).format(test=textwrap.dedent(test)))
    return subprocess.run(
        [sys.executable, *command, str(path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        cwd=path.parent,
    )


def test_a_failure_under_absltest(tmp_path: Path) -> None:
    test = """
    class FailingTest(absltest.TestCase):
        def test_it(self):
            program, failing = make_program()
            with lp.testing.run(program, launcher="process") as t:
                t[failing].fail()
                t.wait()

        def test_another(self):
            program, _ = make_program()
            with lp.testing.run(lp.make_program(lp.PyNode(print, "hello"))) as t:
                t.wait()

    if __name__ == "__main__":
        absltest.main()
    """
    result = _run_script(tmp_path / "absl_test.py", test)
    assert result.returncode == 1, result.stderr
    assert "Ran 2 tests" in result.stderr
    assert "FAILED (errors=1)" in result.stderr
    assert "NodeFailed: node bad/0 failed: ValueError: boom" in result.stderr
    assert 'raise ValueError("boom")' in result.stderr


def test_a_failure_under_pytest(tmp_path: Path) -> None:
    test = """
    def test_it(lp_run):
        program, failing = make_program()
        t = lp_run(program)
        t[failing].fail()
        while not t.status().error:
            time.sleep(0.01)

    def test_another(lp_run):
        assert lp_run(make_program()[0])["bad"] is not None
    """
    result = _run_script(
        tmp_path / "test_fixture.py", test, "-m", "pytest", "-q", "-p", "no:cacheprovider"
    )
    assert result.returncode == 1, result.stdout
    assert "1 error" in result.stdout
    assert "2 passed" in result.stdout
    assert "NodeFailed: node bad/0 failed: ValueError: boom" in result.stdout
    assert "ValueError: boom" in result.stdout
