"""A run on one transport, and what a run on the cheapest ones does without."""

from __future__ import annotations

import sys

import pytest

import launchpad_lite as lp
from launchpad_lite.errors import UsageError


class Echo:
    def echo(self, value: int) -> int:
        return value


class Caller:
    def __init__(self, echo: Echo) -> None:
        self._echo = echo

    def ask(self, value: int) -> int:
        return self._echo.echo(value) + sum(
            call.result() for call in [lp.submit(self._echo.echo, 1) for _ in range(3)]
        )

    def loaded(self) -> list[str]:
        return sorted({"cryptography", "grpc", "ssl"} & set(sys.modules))


def make_program() -> tuple[lp.Program, Caller]:
    program = lp.Program("chosen")
    echo = program.add_node(lp.CourierNode(Echo), label="echo")
    caller = program.add_node(lp.CourierNode(Caller, echo), label="caller")
    return program, caller


def config(transport: str | None) -> lp.RunConfig:
    return lp.RunConfig(notice_s=5.0, grace_s=2.0, transport=transport)


@pytest.mark.parametrize(
    ("launcher", "transport"),
    [
        *[("thread", transport) for transport in ("inproc", "unix", "tcp", "grpc")],
        *[("process", transport) for transport in ("unix", "tcp", "grpc")],
    ],
)
def test_a_run_uses_the_transport_that_was_chosen(launcher: str, transport: str) -> None:
    program, caller = make_program()
    with lp.testing.run(program, launcher, config=config(transport)) as t:
        assert t[caller].ask(4) == 7
        nodes = t.run.status().nodes
        schemes = [[place.partition(":")[0] for place in node.endpoints] for node in nodes]
        assert schemes == [[transport], [transport]]


def test_processes_of_one_host_need_no_certificates() -> None:
    program, caller = make_program()
    with lp.testing.run(program, "process", config=config(None)) as t:
        assert t[caller].ask(4) == 7
        assert "ssl" not in t[caller].loaded()
        assert "cryptography" not in t[caller].loaded()


def test_processes_cannot_be_reached_in_process() -> None:
    program, _ = make_program()
    with pytest.raises(UsageError, match="'inproc' carries calls inside one process") as caught:
        lp.plan(program, launcher="process", config=config("inproc"))
    assert "'unix', 'tcp' or 'grpc', or launcher 'thread'" in str(caught.value)


def test_there_is_no_other_transport() -> None:
    with pytest.raises(UsageError, match=r"transport='tpc'; did you mean 'tcp'\?"):
        lp.RunConfig(transport="tpc")
