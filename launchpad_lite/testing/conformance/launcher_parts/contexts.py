"""What a launcher owes: nodes know who they are, and runs do not know of each other."""

from __future__ import annotations

import os
from concurrent import futures

import pytest
from absl import flags
from absl.testing import flagsaver

from launchpad_lite import launching
from launchpad_lite.launchers.base import LaunchOptions
from launchpad_lite.nodes.courier import CourierNode
from launchpad_lite.nodes.python import PyClassNode, PyNode
from launchpad_lite.program import Program
from launchpad_lite.testing.conformance.launcher_parts import failing, nodes
from launchpad_lite.testing.conformance.launcher_parts.base import LauncherSuite, eventually
from launchpad_lite.testing.conformance.launcher_parts.calls import echo_program


def facts_program() -> Program:
    """Return a program of three nodes that tell their facts."""
    program = Program("facts")
    with program.group("facts"):
        for _ in range(2):
            program.add_node(CourierNode(nodes.Facts))
    program.add_node(CourierNode(nodes.Facts), label="other")
    return program


class ContextConformance(LauncherSuite):
    """Contexts, seeds, flags, environment, and several runs at once."""

    def test_contexts(self) -> None:
        with self.start(facts_program()) as t:
            context = t.run.client("facts", 1).context()
            assert context.pop("seed") in range(2**32)
            assert context == {
                "program": "facts",
                "label": "facts",
                "index": 1,
                "group_size": 2,
                "run_id": t.run.id,
                "name": "facts/1",
            }
            assert t["other"].context()["group_size"] == 1

    def test_seeds_are_the_same_in_each_run_and_different_for_each_node(self) -> None:
        program = facts_program()
        found: list[list[int]] = []
        for settings in ({}, {}, {"seed": 1}):
            with self.start(program, **settings) as t:
                clients = [t["facts"], t["facts/1"], t["other"]]
                found.append([client.context()["seed"] for client in clients])
        first, again, otherwise = found
        assert first == again
        assert len({*first, *otherwise}) == 6

    def test_threads_of_a_node_belong_to_it(self) -> None:
        program = Program("threads")
        with program.group("node"):
            for _ in range(2):
                program.add_node(CourierNode(nodes.Threads))
        with self.start(program) as t:
            for name in ("node/0", "node/1"):
                assert t[name].names() == [name] * 4

    def test_nodes_run_where_they_should(self) -> None:
        with self.start(facts_program()) as t:
            processes = {t[name].process() for name in ("facts/0", "facts/1", "other")}
        if self.in_process:
            assert processes == {os.getpid()}
        else:
            assert len(processes - {os.getpid()}) == 3

    def test_flags_reach_the_nodes(self) -> None:
        parsed, saved = flags.FLAGS.is_parsed(), flagsaver.save_flag_values()
        try:
            flags.FLAGS(["program", "--lp_conformance_text=told"])
            with self.start(facts_program()) as t:
                assert t["facts"].flag() == "told"
        finally:
            flagsaver.restore_flag_values(saved)
            if not parsed:
                flags.FLAGS.unparse_flags()

    def test_environment_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        if self.in_process:
            pytest.skip("nodes share the launching process's environment")
        monkeypatch.setenv("LP_CONFORMANCE_COMMON", "all")
        program = Program("environment")
        with program.group("facts"):
            program.add_node(CourierNode(nodes.Facts))
            program.add_node(CourierNode(nodes.Facts).options(env={"LP_CONFORMANCE": "warm"}))
            cold = {"LP_CONFORMANCE": "cold", "OMP_NUM_THREADS": "1"}
            program.add_node(CourierNode(nodes.Facts).options(env=cold))
        with self.start(program) as t:
            clients = [t.run.client("facts", index) for index in range(3)]
            values = [client.variable("LP_CONFORMANCE") for client in clients]
            assert values == [None, "warm", "cold"]
            assert clients[2].variable("OMP_NUM_THREADS") == "1"
            assert clients[0].variable("LP_CONFORMANCE_COMMON") == "all"
            assert "LP_CONFORMANCE" not in os.environ

    def test_run_can_be_disabled(self) -> None:
        program = Program("disabled")
        program.add_node(CourierNode(nodes.Runner).disable_run(), label="courier")
        program.add_node(PyClassNode(failing.FailsInRun, failing.fail).disable_run(), label="class")
        with self.start(program) as t:
            assert t["courier"].who() == "courier/0"

    def test_the_same_program_twice_at_once(self) -> None:
        program, echo = echo_program()
        with self.start(program) as first:
            with self.start(program) as second:
                assert first.run.id != second.run.id
                assert first[echo].echo(1) == 1
                assert second[echo].echo(2) == 2
            assert second.status().phase == "ended"
            assert first[echo].echo(3) == 3

    def test_stop_in_one_run_touches_no_other(self) -> None:
        first_program, first_echo = echo_program()
        second_program = Program("second")
        second_echo = second_program.add_node(CourierNode(nodes.Echo), label="echo")
        board = second_program.add_node(CourierNode(nodes.Board), label="board")
        second_program.add_node(PyNode(nodes.stop_when_asked, board, second_echo), label="stopper")
        with self.start(first_program) as first, self.start(second_program) as second:
            second[board].write("go")
            assert second.wait(nodes.PATIENCE_S)
            assert first[first_echo].echo(1) == 1
            assert first.status().phase == "running"

    def test_several_runs_from_several_threads(self) -> None:
        def run_one(number: int) -> tuple[str, int]:
            program, echo = echo_program()
            with self.start(program) as t:
                return t.run.id, t[echo].echo(number)

        with futures.ThreadPoolExecutor(4) as pool:
            results = list(pool.map(run_one, range(4)))
        assert [number for _, number in results] == list(range(4))
        assert len({run_id for run_id, _ in results}) == 4

    def test_launch(self) -> None:
        program, echo = echo_program()
        options = LaunchOptions(show_output=False, keep_directory=False)
        run = launching.launch(program, self.launcher, config=self.config, options=options)
        with run:
            assert run.client(echo).echo(1) == 1
            assert not run.wait(timeout=0.01)
        assert run.wait(timeout=0)
        assert run.leftovers(nodes.PATIENCE_S) == []

    def test_states(self) -> None:
        program, echo = echo_program()
        board = program.add_node(CourierNode(nodes.Board), label="board")
        program.add_node(PyNode(nodes.write, board, "done"), label="writer")
        program.add_node(CourierNode(nodes.Never), label="never")

        def states() -> dict[str, str]:
            return {node.name: node.state for node in t.status().nodes}

        with self.start(program) as t:
            t[echo].who()
            t[board].read()
            assert eventually(lambda: states()["writer/0"] == "done")
            assert states() == {
                "echo/0": "running",
                "board/0": "running",
                "writer/0": "done",
                "never/0": "starting",
            }
            status = t.status()
            assert (status.program, status.launcher) == ("echo", self.launcher)
            assert (status.phase, status.reason, status.error) == ("running", "", "")
            assert status.run_id == t.run.id
            assert status.nodes[0].title == "Echo"
            assert status.nodes[0].endpoints
        status = t.status()
        assert (status.phase, status.error) == ("ended", "")
        assert "stop" in status.reason
        assert {node.state for node in status.nodes} == {"done"}
