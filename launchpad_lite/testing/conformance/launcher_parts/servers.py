"""What a launcher owes: objects that start their server themselves can be called when they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from launchpad_lite.courier.given import list_methods
from launchpad_lite.errors import Unavailable
from launchpad_lite.nodes.courier import CourierNode
from launchpad_lite.testing.conformance.launcher_parts import nodes
from launchpad_lite.testing.conformance.launcher_parts.base import LauncherSuite
from launchpad_lite.testing.conformance.launcher_parts.calls import echo_program

if TYPE_CHECKING:
    from launchpad_lite.courier.client import Client
    from launchpad_lite.program import Program


def starter_program(
    *, starts: bool = True, stops: bool = False
) -> tuple[Program, nodes.StartsInRun]:
    """Return a program with a node that starts its server in `run`, and another one."""
    program, _ = echo_program()
    node = CourierNode(nodes.StartsInRun, starts, stops)
    return program, program.add_node(node, label="starter")


def call_for_ever(starter: nodes.StartsInRun) -> None:
    """Call a node again and again."""
    while True:
        starter.who()


class ServerConformance(LauncherSuite):
    """`set_courier_server`."""

    def test_a_server_that_its_object_starts_at_once(self) -> None:
        program, _ = echo_program()
        starter = program.add_node(CourierNode(nodes.StartsAtOnce), label="starter")
        with self.start(program) as t:
            assert t[starter].who() == "starter/0"

    def test_a_server_that_is_started_in_run(self) -> None:
        program, starter = starter_program()
        with self.start(program) as t:
            assert t[starter].who() == "starter/0"
            methods = list_methods(cast("Client", t[starter]))
            assert "finish" in methods
            assert not {"run", "set_courier_server"} & set(methods)
            t[starter].finish()

    @pytest.mark.parametrize("stops", [False, True])
    def test_it_serves_until_run_returns_at_most(self, stops: bool) -> None:  # noqa: FBT001
        program, starter = starter_program(stops=stops)
        with self.start(program) as t:
            t[starter].finish()
            with pytest.raises(Unavailable):
                call_for_ever(t[starter])

    def test_a_server_that_is_never_started(self) -> None:
        program, starter = starter_program(starts=False)
        gone = "starter/0 is not there any more: it has ended"
        with self.start(program) as t, pytest.raises(Unavailable, match=gone):
            t[starter].who()
