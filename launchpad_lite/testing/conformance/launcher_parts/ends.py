"""What a launcher owes: runs end when they should, and nodes get their time."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from launchpad_lite.courier.typed import submit
from launchpad_lite.errors import Stopped, Unavailable
from launchpad_lite.nodes.courier import CourierNode
from launchpad_lite.nodes.python import PyClassNode, PyNode
from launchpad_lite.program import Program
from launchpad_lite.testing.conformance.launcher_parts import nodes, own_kind
from launchpad_lite.testing.conformance.launcher_parts.base import LauncherSuite, eventually
from launchpad_lite.testing.conformance.launcher_parts.calls import echo_program

if TYPE_CHECKING:
    from pathlib import Path

    from launchpad_lite.testing.harness import TestRun


def board_program() -> tuple[Program, nodes.Board]:
    """Return a program with a board, and the board's handle."""
    program = Program("board")
    return program, program.add_node(CourierNode(nodes.Board), label="board")


def state_of(t: TestRun, name: str) -> str:
    """Return a node's state."""
    return next(node.state for node in t.status().nodes if node.name == name)


class EndConformance(LauncherSuite):
    """Stopping, ending by oneself, notice, handlers, checkpoints."""

    def test_stop_in_run(self) -> None:
        program, _ = echo_program()
        program.add_node(PyClassNode(nodes.StopsInRun), label="stopper")
        with self.start(program) as t:
            assert t.wait(nodes.PATIENCE_S)
            assert "stopper/0" in t.status().reason

    def test_stop_in_a_method(self) -> None:
        program, echo = echo_program()
        with self.start(program) as t:
            t[echo].stop()
            assert t.wait(nodes.PATIENCE_S)
            assert "echo/0" in t.status().reason

    def test_stop_in_a_helper_thread(self) -> None:
        program, _ = echo_program()
        program.add_node(CourierNode(nodes.StopsInThread), label="stopper")
        with self.start(program) as t:
            assert t.wait(nodes.PATIENCE_S)
            assert "stopper/0" in t.status().reason

    def test_a_run_ends_with_its_last_node(self) -> None:
        program = Program("ends")
        finite = program.add_node(CourierNode(nodes.Finite), label="finite")
        program.add_node(PyNode(print, "the other node has ended"), label="printer")
        with self.start(program) as t:
            assert not t.wait(0.05)
            t[finite].finish()
            assert t.wait(nodes.PATIENCE_S)
            assert t.status().reason == ""

    def test_servers_serve_until_the_run_stops(self) -> None:
        program, board = board_program()
        program.add_node(PyNode(nodes.write, board, "all"), label="writer")
        with self.start(program) as t:
            assert eventually(lambda: state_of(t, "writer/0") == "done")
            assert t[board].read() == ["all"]
            assert t.status().phase == "running"

    def test_a_node_serves_until_its_run_returns(self) -> None:
        program, board = board_program()
        finite = program.add_node(CourierNode(nodes.Finite), label="finite")
        program.add_node(PyNode(nodes.call_until_gone, finite, board), label="caller")
        with self.start(program) as t:
            assert t[finite].echo(1) == 1
            t[finite].finish()
            assert eventually(lambda: state_of(t, "caller/0") == "done")
            (text,) = t[board].read()
            assert "finite/0" in text
            with pytest.raises(Unavailable, match="finite/0"):
                t[finite].echo(1)
            with pytest.raises(Unavailable, match="finite/0"):
                submit(t[finite].echo, 1).result(nodes.PATIENCE_S)

    def test_nodes_learn_that_the_run_stops(self, shared_dir: Path) -> None:
        path = shared_dir / "notes"
        program, board = board_program()
        program.add_node(PyNode(nodes.heed, board, path), label="heeder")
        with self.start(program) as t:
            assert t[board].wait_for("up")
        assert path.read_text(encoding="utf-8").splitlines() == [
            "early wait False",
            "early seconds None",
            "early event False",
            "stops True, in time True",
            "board ['up', 'late']",  # servers answer until the others have finished
        ]

    def test_stop_handlers(self, shared_dir: Path) -> None:
        path = shared_dir / "notes"
        program, board = board_program()
        program.add_node(PyNode(nodes.handle_stop, board, path), label="handler")
        with self.start(program) as t:
            assert t[board].wait_for("up")
        (line,) = path.read_text(encoding="utf-8").splitlines()
        assert line == "slow handler of handler/0, board ['up']"

    def test_stop_handlers_of_the_launching_code(self) -> None:
        told: list[str] = []
        called = threading.Event()

        def handler() -> None:
            told.append("called")
            called.set()
            raise SystemExit  # which must end nothing else

        program, board = board_program()
        with self.start(program) as t:
            t.run.on_stop(handler)
            assert t[board].read() == []
            assert told == []
            t.run.request_stop("the test says so")
            assert called.wait(nodes.PATIENCE_S)
        assert told == ["called"]

    @pytest.mark.parametrize("asks", [True, False])
    def test_a_stop_handler_that_waits_for_the_end(self, *, asks: bool) -> None:
        program, board = board_program()
        seen: list[bool] = []
        with self.start(program) as t:
            t.run.on_stop(lambda: seen.append(t.run.wait(nodes.PATIENCE_S)))
            assert t[board].read() == []
            if asks:
                t.run.request_stop("the test says so")
                assert t.wait(nodes.PATIENCE_S)
        assert eventually(lambda: seen == [True])

    def test_a_kind_of_node_of_the_users_own(self, shared_dir: Path) -> None:
        path = shared_dir / "notes"
        program = Program("places")
        place: Any = cast("Any", program).add_node(own_kind.PlaceNode(path), label="place")
        program.add_node(PyNode(own_kind.compare_place, place, path), label="user")
        with self.start(program) as t:
            assert t.wait(nodes.PATIENCE_S)
        first, second = path.read_text(encoding="utf-8").splitlines()
        assert first == second

    def test_a_node_that_never_asks_ends_at_once(self) -> None:
        program, board = board_program()
        program.add_node(PyNode(nodes.forever, board), label="forever")
        with self.start(program) as t:
            assert t[board].wait_for("up")
            started = time.monotonic()
        assert time.monotonic() - started < self.config.notice_s / 2

    def test_a_call_that_waits_ends_with_the_run(self) -> None:
        program, board = board_program()
        never = program.add_node(CourierNode(nodes.Never), label="never")
        relay = program.add_node(CourierNode(nodes.Relay, never), label="relay")
        program.add_node(PyNode(nodes.wait_in_call, never, board), label="waiter")
        with self.start(program) as t:
            assert t[board].wait_for("up")
            future = submit(t[relay].ask, never)
        with pytest.raises((Stopped, Unavailable)):
            future.result(nodes.PATIENCE_S)

    @pytest.mark.parametrize("cls", [nodes.Counter, nodes.SlowCounter, nodes.RunningCounter])
    def test_save_and_restore(self, cls: type[nodes.Counter], shared_dir: Path) -> None:
        checkpoint_dir = str(shared_dir / "checkpoints")
        for expected in (5, 10, 15):
            program = Program("counter")
            counter = program.add_node(CourierNode(cls), label="counter")
            # saving is what the notice is for, and grace comes after it
            with self.start(program, checkpoint_dir=checkpoint_dir, grace_s=0.1) as t:
                assert t[counter].add(5) == expected
