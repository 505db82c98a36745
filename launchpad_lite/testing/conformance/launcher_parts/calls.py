"""What a launcher owes: nodes reach each other."""

from __future__ import annotations

import pytest

from launchpad_lite.courier.typed import submit
from launchpad_lite.errors import DeadlineExceeded, MethodNotFound, PayloadTooLarge
from launchpad_lite.handle import Deferred
from launchpad_lite.nodes.courier import CourierNode
from launchpad_lite.program import Program
from launchpad_lite.testing.conformance.launcher_parts import nodes
from launchpad_lite.testing.conformance.launcher_parts.base import LauncherSuite


def echo_program() -> tuple[Program, nodes.Echo]:
    """Return a program of one node that answers, and its handle."""
    program = Program("echo")
    return program, program.add_node(CourierNode(nodes.Echo), label="echo")


class CallConformance(LauncherSuite):
    """Handles, clients, calls and what they carry."""

    def test_handles_may_sit_anywhere_in_the_arguments(self) -> None:
        program = Program("nested")
        with program.group("echo"):
            echoes = [program.add_node(CourierNode(nodes.Echo)) for _ in range(6)]
        collector = program.add_node(
            CourierNode(
                nodes.Collector,
                nodes.Bundle(echoes[0], {"more": [echoes[1], echoes[2]]}),
                (echoes[3], 7),
                nested={"x": [{"y": echoes[4]}]},
                wrapper=Deferred(nodes.Wrapper, echoes[5]),
            ),
            label="collector",
        )
        with self.start(program) as t:
            assert t[collector].collect() == [f"echo/{index}" for index in range(6)]

    def test_clients_by_handle_label_and_index(self) -> None:
        program = Program("clients")
        with program.group("echo"):
            echoes = [program.add_node(CourierNode(nodes.Echo)) for _ in range(2)]
        with self.start(program) as t:
            assert [t.run.client(echo).who() for echo in echoes] == ["echo/0", "echo/1"]
            assert t.run.client("echo").who() == "echo/0"
            assert t.run.client("echo", 1).who() == "echo/1"
            assert t.run.client("echo", index=1, call_timeout=nodes.PATIENCE_S).who() == "echo/1"

    def test_futures_run_side_by_side(self) -> None:
        program = Program("futures")
        meeting = program.add_node(CourierNode(nodes.Meeting, 3), label="meeting")
        with self.start(program) as t:
            calls = [submit(t[meeting].meet) for _ in range(3)]
            assert [call.result(nodes.PATIENCE_S) for call in calls] == ["meeting/0"] * 3
            calls = [t["meeting"].futures.meet() for _ in range(3)]
            assert [call.result(nodes.PATIENCE_S) for call in calls] == ["meeting/0"] * 3

    def test_handles_and_clients_in_calls_become_the_receivers_clients(self) -> None:
        program = Program("relay")
        with program.group("echo"):
            echoes = [program.add_node(CourierNode(nodes.Echo)) for _ in range(2)]
        with program.group("relay"):
            relays = [program.add_node(CourierNode(nodes.Relay, echo)) for echo in echoes]
        with self.start(program) as t:
            first, second = (t[relay] for relay in relays)
            assert first.ask(echoes[1]) == "relay/0 asked echo/1"  # a handle
            assert first.ask(t[echoes[1]]) == "relay/0 asked echo/1"  # a client
            assert first.hand_to(relays[1]) == "relay/1 asked echo/0"  # a node's own client
            assert second.target().who() == "echo/1"  # a client as a result
            assert submit(first.ask, echoes[1]).result() == "relay/0 asked echo/1"

    def test_arrays_arrive_writable_and_are_copies(self) -> None:
        import numpy as np

        program, echo = echo_program()
        sent = np.zeros((3, 100_000))
        with self.start(program) as t:
            result = t[echo].add_one({"x": sent[0]}["x"])
            assert result.tolist() == [1.0] * 100_000
            assert not sent.any()
            result += 1
            nested = t[echo].echo({"x": [sent]})["x"][0]
            nested += 1
            assert not sent.any()

    def test_payloads_of_many_megabytes(self) -> None:
        program, echo = echo_program()
        data = bytes(range(256)) * 2**16
        with self.start(program) as t:
            assert t[echo].echo(data) == data

    def test_payloads_over_the_limit(self) -> None:
        program, echo = echo_program()
        with self.start(program, max_payload_bytes=100_000) as t:
            with pytest.raises(PayloadTooLarge, match="echo"):
                t[echo].echo([bytes(200_000)])
            with pytest.raises(PayloadTooLarge, match="echo"):
                t[echo].make(200_000)
            assert len(t[echo].make(1000)[0]) == 1000

    def test_exceptions_arrive_as_their_own_type(self) -> None:
        program, echo = echo_program()
        with self.start(program) as t:
            with pytest.raises(nodes.ConformanceError) as caught:
                t[echo].fail(5)
            assert caught.value.args == ("no", 5)
            assert caught.value.code == 5
            assert "in fail" in str(caught.value.__cause__)
            with pytest.raises(nodes.ConformanceError):
                submit(t[echo].fail, 5).result()
            assert t[echo].who() == "echo/0"  # the node has not failed

    def test_exit_in_a_method_fails_the_call_alone(self) -> None:
        program, echo = echo_program()
        with self.start(program) as t:
            with pytest.raises(Exception, match="SystemExit"):
                t[echo].exit()
            assert t[echo].who() == "echo/0"

    def test_unknown_methods(self) -> None:
        program, _ = echo_program()
        with self.start(program) as t, pytest.raises(MethodNotFound, match=r"echo/0.*'echo'"):
            t["echo"].ecko(1)

    def test_nodes_that_hold_each_other(self) -> None:
        program = Program("cycle")
        first_node = CourierNode.deferred(nodes.Ping)
        first = program.add_node(first_node, label="first")
        second = program.add_node(CourierNode(nodes.Ping, first), label="second")
        first_node.configure(second)
        with self.start(program) as t:
            assert t[first].count_down(3) == ["first/0", "second/0", "first/0", "second/0"]

    def test_a_call_to_a_node_that_never_comes_up(self) -> None:
        program = Program("never")
        never_node = CourierNode(nodes.Never).options(call_timeout=0.2)
        never = program.add_node(never_node, label="never")
        caller = program.add_node(CourierNode(nodes.Relay, never), label="caller")
        with self.start(program) as t:
            with pytest.raises(DeadlineExceeded, match="never/0"):
                t[never].who()
            with pytest.raises(DeadlineExceeded, match="never/0"):
                t["caller"].ask(never)
            assert t.status().nodes[0].state == "starting"
            assert t[caller].target() is not None

    def test_a_call_that_takes_too_long(self) -> None:
        program, _ = echo_program()
        with self.start(program) as t:
            assert t["echo"].who() == "echo/0"  # it is up
            hasty = t.run.client("echo", call_timeout=0.2)
            with pytest.raises(DeadlineExceeded, match=r"echo/0.*sleep"):
                hasty.sleep(1.0)

    def test_many_nodes(self) -> None:
        program = Program("many")
        with program.group("echo"):
            echoes = [program.add_node(CourierNode(nodes.Echo)) for _ in range(32)]
        with self.start(program) as t:
            calls = [submit(t[echo].who) for echo in echoes]
            assert [call.result() for call in calls] == [f"echo/{index}" for index in range(32)]
