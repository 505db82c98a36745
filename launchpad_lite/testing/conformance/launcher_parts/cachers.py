"""What a launcher owes: nodes that answer for others, with results that they keep."""

from __future__ import annotations

import pytest

from launchpad_lite.courier.cached import cached
from launchpad_lite.courier.typed import submit
from launchpad_lite.errors import Unavailable
from launchpad_lite.nodes.cacher import CacherNode
from launchpad_lite.nodes.courier import CourierNode
from launchpad_lite.nodes.multi_processing import MultiProcessingColocation
from launchpad_lite.program import Program
from launchpad_lite.testing.conformance.launcher_parts import failing, nodes
from launchpad_lite.testing.conformance.launcher_parts.base import LauncherSuite, eventually
from launchpad_lite.testing.conformance.launcher_parts.ends import board_program

READERS = 8
FOREVER_MS = 1e9
"""A time that no test lives to see the end of."""


class CacherConformance(LauncherSuite):
    """One call however many ask, in the background while they do, and nothing that is stale."""

    def test_however_many_ask_there_is_one_call(self) -> None:
        program = Program("cached")
        counter = program.add_node(CourierNode(nodes.Counter), label="counter")
        cacher = program.add_node(CacherNode(counter, FOREVER_MS, FOREVER_MS), label="cacher")
        with self.start(program) as t:
            calls = [submit(t[cacher].add, 1) for _ in range(READERS)]
            assert {call.result(nodes.PATIENCE_S) for call in calls} == {1}
            assert t[cacher].add(2) == 3  # other arguments are another call
            assert cached(t[cacher].add, 1).value == 1
            assert t[counter].add(0) == 3

    def test_what_is_asked_for_is_refreshed(self) -> None:
        program = Program("cached")
        counter = program.add_node(CourierNode(nodes.Counter), label="counter")
        cacher = program.add_node(CacherNode(counter, 1, FOREVER_MS), label="cacher")
        with self.start(program) as t:
            assert t[cacher].add(1) == 1
            assert eventually(lambda: t[cacher].add(1) > READERS)
            assert cached(t[cacher].add, 1).age_s >= 0

    def test_nothing_is_kept_for_ever_of_a_node_that_has_ended(self) -> None:
        program = Program("cached")
        finite = program.add_node(CourierNode(nodes.Finite), label="finite")
        cacher = program.add_node(CacherNode(finite, 1, 1), label="cacher")
        with self.start(program) as t:
            assert t[cacher].who() == "finite/0"
            t[finite].finish()

            def is_gone() -> bool:
                try:
                    t[cacher].who()
                except Unavailable as error:
                    return "finite/0" in str(error)
                return False

            assert eventually(is_gone)

    def test_a_node_that_was_started_again_is_asked_again(self) -> None:
        program, board = board_program()
        frail = CourierNode(failing.Frail, board)
        handle = frail.create_handle()
        cacher = program.add_node(CacherNode(handle, 1, FOREVER_MS), label="cacher")
        program.add_node(MultiProcessingColocation([frail], 1), label="machine")
        with self.start(program) as t:
            assert t[cacher].echo("a") == "a"
            t[handle].break_down()
            assert t[board].wait_for("incarnation 1")
            assert t[cacher].echo("b") == "b"

    def test_a_cacher_in_a_colocation(self) -> None:
        program = Program("cached")
        echo = CourierNode(nodes.Echo)
        cacher = CacherNode(echo.create_handle(), FOREVER_MS, FOREVER_MS)
        program.add_node(MultiProcessingColocation([echo, cacher]), label="machine")
        with self.start(program) as t:
            assert t[cacher.create_handle()].who() == "machine/0/0"
            with pytest.raises(TypeError, match="argument 0 is a bytearray"):
                t[cacher.create_handle()].echo(bytearray())
