"""Agents that come up by themselves, and hosts that fall silent."""

from __future__ import annotations

import pathlib
import queue
from collections.abc import Collection
from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite.compiling import compile_program
from launchpad_lite.planning import Capabilities
from launchpad_lite.runtime import fleet as fleets
from launchpad_lite.runtime.fleet import Fleet, Place
from launchpad_lite.runtime.supervisor import HostLost


def work() -> None: ...


@pytest.mark.parametrize("refused", [False, True])
def test_a_host_that_says_nothing_is_lost_with_its_workers(
    monkeypatch: pytest.MonkeyPatch, *, refused: bool
) -> None:
    monkeypatch.setattr(fleets, "BEAT_S", 0.01)
    program = lp.Program("prog")
    program.add_node(lp.PyNode(work), label="main")
    plan = compile_program(program, Capabilities(launcher="slurm", in_process=False))
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    taken_down: list[Collection[str]] = []
    fleet = Fleet(
        {"main@0": plan.workers},
        boot=lambda *_: b"",
        log=pathlib.Path,
        share=lambda specs, _: specs,
        bring_up=lambda: None,
        take_down=taken_down.append,
    )
    fleet.start(plan.workers, events.put)
    if refused:
        fleet.beat("main@7")  # as an agent may that is refused; then it says nothing more
    fleet.arrive("main@0", Place(host="node7", address="10.0.0.7", socket_dir=""))
    lost = events.get(timeout=60)
    assert isinstance(lost, HostLost)
    assert lost.names == ("main/0",)
    assert lost.reason.startswith("node7 is gone: nothing has come from it for ")
    fleet.close()
    assert taken_down == [{"main@0"}]
