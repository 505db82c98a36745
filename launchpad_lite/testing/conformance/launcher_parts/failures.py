"""What a launcher owes: a node that fails ends the run, and the error says how."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launchpad_lite.errors import NodeFailed
from launchpad_lite.nodes.courier import CourierNode
from launchpad_lite.nodes.python import PyClassNode, PyNode
from launchpad_lite.testing.conformance.launcher_parts import failing, nodes
from launchpad_lite.testing.conformance.launcher_parts.base import LauncherSuite
from launchpad_lite.testing.conformance.launcher_parts.ends import board_program

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.program import Program


class FailureConformance(LauncherSuite):
    """Every way to fail, and what the user is told."""

    def _failure(self, program: Program) -> NodeFailed:
        with pytest.raises(NodeFailed) as caught, self.start(program) as t:
            t.wait(nodes.PATIENCE_S)
        failure = caught.value
        with pytest.raises(NodeFailed) as again:
            t.wait(0)
        assert again.value is failure
        assert failure.node == "bad/0"
        assert "node bad/0 failed" in str(failure)
        assert t.status().phase == "ended"
        assert "bad/0" in t.status().error
        states = {node.name: node.state for node in t.status().nodes}
        assert states == {"board/0": "done", "bad/0": "failed"}
        if self.keeps_logs:
            assert "said before" in failure.log_tail
            assert "said before" in str(failure)
        return failure

    def _check_trace(self, failure: NodeFailed, function: str) -> None:
        assert "ConformanceError" in str(failure)
        assert "boom" in str(failure)
        assert f"in {function}" in failure.remote_traceback
        assert failure.remote_traceback.strip() in str(failure)
        assert str(failure).count("Traceback") == 1
        if self.in_process:
            assert isinstance(failure.__cause__, nodes.ConformanceError)

    def test_failure_in_a_constructor(self) -> None:
        program, _ = board_program()
        program.add_node(CourierNode(failing.FailsInConstructor), label="bad")
        self._check_trace(self._failure(program), "__init__")

    def test_failure_in_run(self) -> None:
        program, _ = board_program()
        program.add_node(CourierNode(failing.FailsInRun, failing.fail), label="bad")
        self._check_trace(self._failure(program), "run")

    def test_failure_in_run_of_a_class_node(self) -> None:
        program, _ = board_program()
        program.add_node(PyClassNode(failing.FailsInRun, failing.fail), label="bad")
        self._check_trace(self._failure(program), "run")

    def test_failure_in_a_function(self) -> None:
        program, _ = board_program()
        program.add_node(PyNode(failing.fail), label="bad")
        self._check_trace(self._failure(program), "fail")

    def test_exit_with_a_status(self) -> None:
        program, _ = board_program()
        program.add_node(PyNode(failing.exit_3), label="bad")
        assert "SystemExit: 3" in str(self._failure(program))

    @pytest.mark.parametrize(
        ("way", "text"),
        [(failing.exit_hard, "exited with status 7"), (failing.kill, "killed by SIGKILL")],
    )
    def test_death_of_the_process(self, way: Callable[[], None], text: str) -> None:
        if self.in_process:
            pytest.skip("it would end the launching process")
        program, _ = board_program()
        program.add_node(PyNode(way), label="bad")
        assert text in str(self._failure(program))
