"""What a launcher owes: several nodes that are added to a program as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launchpad_lite.errors import NodeFailed, Unavailable
from launchpad_lite.nodes.courier import CourierNode
from launchpad_lite.nodes.multi_processing import MultiProcessingColocation
from launchpad_lite.nodes.multi_threading import MultiThreadingColocation
from launchpad_lite.nodes.python import PyNode
from launchpad_lite.testing.conformance.launcher_parts import failing, nodes
from launchpad_lite.testing.conformance.launcher_parts.base import LauncherSuite, eventually
from launchpad_lite.testing.conformance.launcher_parts.ends import board_program, state_of

if TYPE_CHECKING:
    from pathlib import Path

FOREVER_S = 10.0**6
"""A notice that a test would not live to see the end of."""


class ColocationConformance(LauncherSuite):
    """Members keep their handles and names, and their end is the colocation's."""

    def test_threads_of_one_worker_have_names_of_their_own(self) -> None:
        program, _ = board_program()
        first, second = CourierNode(nodes.Facts), CourierNode(nodes.Facts)
        before = first.create_handle()
        colocation = MultiThreadingColocation([first])
        after = colocation.add_node(second)
        program.add_node(colocation, label="machine")
        relay = program.add_node(CourierNode(nodes.Echo), label="machines")
        with self.start(program) as t:
            assert t[before].process() == t[after].process()
            told = [t[before].context(), t[after].context()]
            assert [each["name"] for each in told] == ["machine/0/0", "machine/0/1"]
            assert {each["label"] for each in told} == {"machine/0"}
            assert [each["index"] for each in told] == [0, 1]
            assert {each["group_size"] for each in told} == {2}
            assert told[0]["seed"] != told[1]["seed"]
            assert t["machine/0/1"].context() == told[1]
            assert t[relay].who() == "machines/0"
            assert eventually(lambda: state_of(t, "machine/0") == "running")
            (status,) = [node for node in t.status().nodes if node.name == "machine/0"]
            assert status.title == "Facts + Facts"
            assert status.endpoints

    def test_threads_of_one_worker_call_each_other_and_others(self) -> None:
        program, board = board_program()
        echo = CourierNode(nodes.Echo)
        relay = CourierNode(nodes.Relay, echo.create_handle())
        other = program.add_node(CourierNode(nodes.Relay, echo.create_handle()), label="other")
        writer = PyNode(nodes.write, board, "from inside")
        program.add_node(MultiThreadingColocation([echo, relay, writer]), label="machine")
        with self.start(program) as t:
            assert t[board].wait_for("from inside")
            assert t["machine/0/1"].hand_to(t[other]) == "other/0 asked machine/0/0"

    def test_a_colocation_of_threads_ends_when_all_have_ended(self) -> None:
        program, board = board_program()
        writers = [PyNode(nodes.write, board, text) for text in "ab"]
        program.add_node(MultiThreadingColocation(writers), label="machine")
        with self.start(program) as t:
            assert eventually(lambda: state_of(t, "machine/0") == "done")
            assert sorted(t[board].read()) == ["a", "b"]

    def test_a_colocation_of_threads_may_end_with_the_first(self, shared_dir: Path) -> None:
        path = shared_dir / "notes"
        program, board = board_program()
        members = [
            CourierNode(nodes.Echo),
            PyNode(nodes.forever, board),
            PyNode(nodes.heed, board, path),
            finite := CourierNode(nodes.Finite),
        ]
        colocation = MultiThreadingColocation(members, return_on_first_completed=True)
        program.add_node(colocation, label="machine")
        with self.start(program) as t:
            assert eventually(lambda: t[board].read().count("up") == 2)
            t[finite.create_handle()].finish()
            assert eventually(lambda: state_of(t, "machine/0") == "done")
            assert "stops True, in time True" in path.read_text(encoding="utf-8")
            assert t.status().phase == "running"
            with pytest.raises(Unavailable, match="machine/0/0"):
                t["machine/0/0"].echo(1)

    def test_a_thread_that_has_ended_is_not_waited_for_by_its_callers(self) -> None:
        program, board = board_program()
        finite = CourierNode(nodes.Finite)
        handle = finite.create_handle()
        colocation = MultiThreadingColocation([finite, CourierNode(nodes.Echo)])
        program.add_node(colocation, label="machine")
        program.add_node(PyNode(nodes.call_until_gone, handle, board), label="caller")
        with self.start(program) as t:
            t[handle].finish()
            assert eventually(lambda: state_of(t, "caller/0") == "done")
            (text,) = t[board].read()
            assert "machine/0/0" in text
            assert t["machine/0/1"].echo(1) == 1

    def test_a_thread_that_fails_is_named(self) -> None:
        program, board = board_program()
        members = [
            CourierNode(nodes.Echo),
            PyNode(nodes.forever, board),
            CourierNode(failing.FailsInRun, failing.fail),
        ]
        inner = MultiThreadingColocation(members)
        program.add_node(MultiThreadingColocation([inner, PyNode(nodes.forever, board)]), "machine")
        with pytest.raises(NodeFailed) as caught, self.start(program) as t:
            t.wait(nodes.PATIENCE_S)
        assert caught.value.node == "machine/0/0/2"
        assert "node machine/0/0/2 failed: " in str(caught.value)
        assert "boom" in str(caught.value)
        assert str(caught.value).count("Traceback") == 1
        assert state_of(t, "machine/0") == "failed"
        if self.in_process:
            assert isinstance(caught.value.__cause__, nodes.ConformanceError)
        if self.keeps_logs:
            assert "said before" in caught.value.log_tail

    def test_threads_learn_that_the_run_stops(self, shared_dir: Path) -> None:
        path = shared_dir / "notes"
        program = board_program()[0]
        board = CourierNode(nodes.Board)
        heeder = PyNode(nodes.heed, board.create_handle(), path)
        program.add_node(MultiThreadingColocation([heeder, board]), label="machine")
        with self.start(program, notice_s=FOREVER_S) as t:
            assert t[board.create_handle()].wait_for("up")
        text = path.read_text(encoding="utf-8")
        assert text.endswith("board ['up', 'late']\n")  # servers answer until the others are done

    def test_threads_that_only_serve_do_not_delay_the_end(self) -> None:
        program, board = board_program()
        members = [CourierNode(nodes.Echo), PyNode(nodes.forever, board)]
        inner = MultiThreadingColocation(members)
        program.add_node(MultiThreadingColocation([inner, CourierNode(nodes.Echo)]), "machine")
        with self.start(program, notice_s=FOREVER_S) as t:
            assert t[board].wait_for("up")

    def test_a_thread_can_stop_the_run(self) -> None:
        program, _ = board_program()
        members = [CourierNode(nodes.Echo), PyNode(nodes.StopsInRun().run)]
        program.add_node(MultiThreadingColocation(members), label="machine")
        with self.start(program, notice_s=FOREVER_S) as t:
            assert t.wait(nodes.PATIENCE_S)
            assert "machine/0/1" in t.status().reason

    def test_threads_save_and_restore(self, shared_dir: Path) -> None:
        checkpoint_dir = str(shared_dir / "checkpoints")
        for total in ([1, 2], [2, 4]):
            program, _ = board_program()
            colocation = MultiThreadingColocation([CourierNode(nodes.Counter)])
            colocation.add_node(CourierNode(nodes.RunningCounter))
            program.add_node(colocation, label="machine")
            with self.start(program, checkpoint_dir=checkpoint_dir, grace_s=0.1) as t:
                found = [t[f"machine/0/{index}"].add(index + 1) for index in range(2)]
                assert found == total

    def test_processes_of_a_colocation(self) -> None:
        program, _ = board_program()
        first, second = CourierNode(nodes.Facts), CourierNode(nodes.Facts)
        before = first.create_handle()
        colocation = MultiProcessingColocation([first])
        after = colocation.add_node(second)
        inner = CourierNode(nodes.Facts)
        colocation.add_node(MultiThreadingColocation([inner]))
        program.add_node(colocation, label="machine")
        with self.start(program) as t:
            told = [t[each].context() for each in (before, after, inner.create_handle())]
            names = [each["name"] for each in told]
            assert names == ["machine/0/0", "machine/0/1", "machine/0/2/0"]
            assert [each["index"] for each in told] == [0, 1, 0]
            assert [each["group_size"] for each in told] == [3, 3, 1]
            assert told[0]["label"] == "machine/0"
            assert t["machine/0/1"].context() == told[1]
            assert (t[before].process() == t[after].process()) is self.in_process
            names = [node.name for node in t.status().nodes]
            assert names == ["board/0", "machine/0/0", "machine/0/1", "machine/0/2"]

    def test_a_colocation_of_processes_ends_when_all_have_ended(self) -> None:
        program, board = board_program()
        writers = [PyNode(nodes.write, board, text) for text in "ab"]
        program.add_node(MultiProcessingColocation(writers), label="machine")
        with self.start(program) as t:
            assert t.run.wait(nodes.PATIENCE_S, labels_to_wait_for=["machine"])
            assert sorted(t[board].read()) == ["a", "b"]

    def test_a_process_that_fails_is_started_again(self) -> None:
        program, board = board_program()
        frail = CourierNode(failing.Frail, board)
        caller = CourierNode(nodes.Relay, frail.create_handle())
        colocation = MultiProcessingColocation([frail, caller], num_retries_on_failure=2)
        program.add_node(colocation, label="machine")
        with self.start(program) as t:
            for incarnation in (0, 1):
                assert t[board].wait_for(f"incarnation {incarnation}")
                assert t[caller.create_handle()].target().who() == "machine/0/0"
                t[frail.create_handle()].break_down()
            assert t[board].wait_for("incarnation 2")
            assert t[frail.create_handle()].who() == "machine/0/0"
            assert t.status().phase == "running"
            restarts = {node.name: node.restarts for node in t.status().nodes}
            assert restarts == {"board/0": 0, "machine/0/0": 2, "machine/0/1": 0}

    def test_a_process_that_fails_too_often_is_named(self) -> None:
        program, board = board_program()
        members = [
            PyNode(nodes.forever, board),
            CourierNode(failing.FailsInRun, failing.fail),
        ]
        program.add_node(MultiProcessingColocation(members, num_retries_on_failure=1), "machine")
        with pytest.raises(NodeFailed) as caught, self.start(program) as t:
            t.wait(nodes.PATIENCE_S)
        assert caught.value.node == "machine/0/1"
        assert "in fail" in str(caught.value)
        assert state_of(t, "machine/0/1") == "failed"
        assert [node.restarts for node in t.status().nodes] == [0, 0, 1]
        if self.in_process:
            assert isinstance(caught.value.__cause__, nodes.ConformanceError)
        if self.keeps_logs:
            assert caught.value.log_tail.count("said before") > 2  # of both attempts
