"""Agents that come up by themselves, hosts that fall silent, and agents that take their place."""

from __future__ import annotations

import pathlib
import queue
import signal
from collections.abc import Callable, Collection, Iterator
from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite.compiling import compile_program
from launchpad_lite.errors import UsageError
from launchpad_lite.planning import Capabilities, LaunchPlan, WorkerSpec
from launchpad_lite.runtime import fleet as fleets
from launchpad_lite.runtime import link
from launchpad_lite.runtime.events import HostLeaving, HostLost, WorkerEnded, WorkerUp
from launchpad_lite.runtime.fleet import Fleet, Place
from launchpad_lite.runtime.subscription import Subscription


def work() -> None: ...


def plan_of(count: int) -> LaunchPlan:
    program = lp.Program("prog")
    with program.group("main"):
        for _ in range(count):
            program.add_node(lp.PyNode(work))
    return compile_program(program, Capabilities(launcher="slurm", in_process=False))


def at(host: str) -> Place:
    return Place(host=host, address="10.0.0.7", socket_dir=f"/run/{host}")


class Field:
    """A fleet, and what it does."""

    def __init__(self, workers: int, *, replaces: bool = True) -> None:
        self.plan = plan_of(workers)
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.replaced: list[tuple[str, str]] = []
        self.taken_down: list[tuple[Collection[str], Collection[str]]] = []
        self.shared: list[tuple[str, ...]] = []
        self.fleet = Fleet(
            {"main@0": self.plan.workers},
            boot=lambda spec, incarnation, place: (
                f"{spec.name} {incarnation} {place.host}".encode()
            ),
            log=pathlib.Path,
            share=self._share,
            bring_up=lambda: None,
            take_down=lambda *names: self.taken_down.append(names),
            replace=(lambda *names: self.replaced.append(names)) if replaces else None,
        )
        self.fleet.start(self.plan.workers, self.events.put)

    def _share(self, specs: tuple[WorkerSpec, ...], place: Place) -> tuple[WorkerSpec, ...]:
        self.shared.append((place.host, *(spec.name for spec in specs)))
        return specs

    def restart(self, index: int, incarnation: int) -> None:
        self.fleet.restart(self.plan.workers[index], incarnation)

    def posted(self) -> Any:
        return self.events.get(timeout=60)


@pytest.fixture
def make() -> Iterator[Callable[..., Field]]:
    """Makes a field, whose fleet is closed in the end."""
    made: list[Field] = []

    def make_one(workers: int, *, replaces: bool = True) -> Field:
        made.append(Field(workers, replaces=replaces))
        return made[-1]

    yield make_one
    for field in made:
        field.fleet.close()


@pytest.fixture
def field(make: Callable[..., Field]) -> Field:
    return make(3)


def started(told: Subscription) -> list[str]:
    """What an agent was told to start, until it is hung up on or told nothing more."""
    found: list[str] = []
    told.end()
    for frame in told:
        message = link.decode_to_agent(frame[8:])
        if isinstance(message, link.StartWorker):
            found.append(message.boot.decode())
    return found


def said(message: link.FromAgent) -> bytes:
    return link.encode(message)[8:]


@pytest.mark.parametrize("refused", [False, True])
def test_a_host_that_says_nothing_is_lost_with_its_workers(
    monkeypatch: pytest.MonkeyPatch, make: Callable[..., Field], *, refused: bool
) -> None:
    monkeypatch.setattr(fleets, "BEAT_S", 0.01)
    field = make(1, replaces=False)
    if refused:
        field.fleet.beat("main@7")  # as an agent may that is refused; then it says nothing more
    field.fleet.arrive("main@0", at("node7"))
    lost = field.posted()
    assert isinstance(lost, HostLost)
    assert (lost.names, lost.replaceable) == (("main/0",), False)
    assert lost.reason.startswith("node7 is gone: nothing has come from it for ")
    field.fleet.close()
    assert field.taken_down == [({"main@0"}, [])]


def test_what_is_lost_can_be_replaced(field: Field) -> None:
    field.fleet.arrive("main@0", at("node7"))
    field.fleet.give_up(["main@0"], "node7 is gone")
    lost = field.posted()
    assert lost == HostLost(lost.names, "node7 is gone", replaceable=True)
    assert sorted(lost.names) == ["main/0", "main/1", "main/2"]


def test_another_agent_starts_those_that_are_started_again(field: Field) -> None:
    field.fleet.arrive("main@0", at("node7"))
    field.fleet.hear("main@0", said(link.WorkerExited("main/1", 1, b"")))
    assert isinstance(field.posted(), WorkerEnded)
    field.fleet.give_up(["main@0"], "node7 is gone")
    assert sorted(field.posted().names) == ["main/0", "main/2"]
    field.restart(0, 1)
    field.restart(2, 5)
    assert field.replaced == [("main@0", "main@0~1")]
    told = field.fleet.arrive("main@0~1", at("node8"))
    assert field.shared[1] == ("node8", "main/0", "main/1", "main/2")
    field.restart(1, 1)  # it had failed before the loss, but was heard of late
    assert started(told) == ["main/0 1 node8", "main/2 5 node8", "main/1 1 node8"]
    assert field.replaced == [("main@0", "main@0~1")]


def test_a_lost_agent_is_hung_up_on(field: Field) -> None:
    told = field.fleet.arrive("main@0", at("node7"))
    field.fleet.give_up(["main@0"], "node7 is gone")
    for _ in told:
        pass  # it ends


def test_late_words_of_a_lost_agent_are_not_its_successors(
    monkeypatch: pytest.MonkeyPatch, field: Field
) -> None:
    field.fleet.arrive("main@0", at("node7"))
    field.fleet.give_up(["main@0"], "node7 is gone")
    field.posted()
    for index in range(3):
        field.restart(index, 1)
    field.fleet.arrive("main@0~1", at("node8"))
    field.fleet.hear("main@0", said(link.WorkerStarted("main/0", 4711)))
    field.fleet.hear("main@0", said(link.WorkerExited("main/0", -9, b"")))
    field.fleet.give_up(["main@0"], "its actor has ended")
    with pytest.raises(UsageError, match="it has come before"):
        field.fleet.arrive("main@0", at("node7"))
    with monkeypatch.context() as patch:
        patch.setattr(field.fleet, "_pulse", None)  # a beat of the old one counts for nobody
        field.fleet.beat("main@0")
    assert field.events.empty()
    field.fleet.hear("main@0~1", said(link.WorkerStarted("main/0", 4712)))
    assert field.posted() == WorkerUp("main/0")


def test_a_successor_may_be_lost_too(field: Field) -> None:
    field.fleet.arrive("main@0", at("node7"))
    field.fleet.give_up(["main@0"], "node7 is gone")
    field.posted()
    field.restart(0, 1)
    field.fleet.give_up(["main@0~1"], "it cannot be started")
    assert field.posted() == HostLost(("main/0",), "it cannot be started", replaceable=True)
    field.restart(0, 2)
    assert field.replaced == [("main@0", "main@0~1"), ("main@0~1", "main@0~2")]
    assert started(field.fleet.arrive("main@0~2", at("node9"))) == ["main/0 2 node9"]


def test_an_agent_whose_host_leaves_is_replaced_while_it_is_there(field: Field) -> None:
    told = field.fleet.arrive("main@0", at("node7"))
    field.fleet.hear("main@0", said(link.WorkerExited("main/1", 0, b"")))
    field.posted()
    assert [*field.fleet.occupied()] == ["main@0"]
    field.fleet.leave(["main@0"], 60.0, "node7 goes", moves=True)
    leaving = HostLeaving(("main/0", "main/2"), 60.0, "node7 goes", replaceable=True)
    assert field.posted() == leaving
    assert field.fleet.occupied() == {}
    field.fleet.hear("main@0", said(link.WorkerExited("main/0", 0, b"")))
    field.posted()
    field.restart(0, 1)
    assert field.replaced == [("main@0", "main@0~1")]
    field.fleet.terminate(["main/2"], 1.0)  # it is still at the old place
    field.fleet.hear("main@0", said(link.WorkerExited("main/2", 0, b"")))
    field.posted()
    messages = [link.decode_to_agent(frame[8:]) for frame in told]  # it is hung up on
    assert link.SignalWorker("main/2", signal.SIGTERM, 1.0) in messages
    field.restart(2, 1)
    assert started(field.fleet.arrive("main@0~1", at("node8"))) == [
        "main/0 1 node8",
        "main/2 1 node8",
    ]
    assert field.events.empty()
    assert [*field.fleet.occupied()] == ["main@0~1"]


def test_an_agent_that_cannot_be_replaced_is_told_and_stays(field: Field) -> None:
    field.fleet.arrive("main@0", at("node7"))
    field.fleet.leave(["main@0"], 60.0, "node7 goes", moves=False)
    assert field.posted().replaceable is False
    field.restart(1, 1)
    assert field.replaced == []


END: list[Callable[[Fleet, list[str]], object]] = [
    lambda fleet, names: fleet.terminate(names, 1.0),
    Fleet.kill,
]


@pytest.mark.parametrize("end", END)
def test_the_run_ends_before_the_successor_has_come(
    field: Field, end: Callable[[Fleet, list[str]], object]
) -> None:
    field.fleet.arrive("main@0", at("node7"))
    field.fleet.give_up(["main@0"], "node7 is gone")
    field.posted()
    field.restart(0, 1)
    field.restart(1, 1)
    end(field.fleet, ["main/0", "main/1"])
    ended = [field.posted(), field.posted()]
    assert ended == [WorkerEnded("main/0", forced=True), WorkerEnded("main/1", forced=True)]
    with pytest.raises(UsageError, match="there is no such agent"):
        field.fleet.arrive("main@0~1", at("node8"))
    field.fleet.close()
    assert field.taken_down == [(set(), ["main@0~1"])]


def test_nothing_is_started_again_where_nothing_can_take_the_place(
    make: Callable[..., Field],
) -> None:
    field = make(1, replaces=False)
    field.fleet.give_up(["main@0"], "its job was cancelled")
    assert field.posted() == HostLost(("main/0",), "its job was cancelled")
    field.restart(0, 1)
    assert field.posted() == HostLost(("main/0",), "its job was cancelled")
