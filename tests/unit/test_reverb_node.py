"""Reverb nodes: what is refused, what a plan says of them, restarts, checkpoints, dm-reverb."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import launchpad_lite as lp
from launchpad_lite import replay
from launchpad_lite.address import bind_addresses
from launchpad_lite.compiling import compile_program
from launchpad_lite.errors import DeadlineExceeded, Unavailable
from launchpad_lite.launchers.process import ProcessLauncher
from launchpad_lite.nodes import dm_reverb
from launchpad_lite.planning import LaunchPlan
from launchpad_lite.program import Edge
from launchpad_lite.replay.service import gates
from tests.helpers import unchecked
from tests.unit.replay_servers import until

PATIENCE_S = 60.0
FATAL_PRIORITY = 13.0

needs_dm_reverb = pytest.mark.skipif(
    not dm_reverb.is_installed(), reason="dm-reverb is not installed; it needs Python 3.11 or older"
)


def make_tables() -> list[replay.Table]:
    return [replay.Table.queue("queue", 100)]


class Actor:
    def __init__(self, client: replay.Client) -> None: ...
    def run(self) -> None: ...


class Other:
    def __init__(self, actor: Actor) -> None: ...


def plan(program: lp.Program) -> LaunchPlan:
    return compile_program(program, ProcessLauncher().capabilities())


def one_node(make: Callable[[], Any], *settings: Any) -> tuple[lp.Program, replay.Client]:
    program = lp.Program("program")
    node = unchecked(lp.ReverbNode)(make, *settings)
    return program, program.add_node(node, label="replay")


def test_its_handle_is_a_client() -> None:
    program, client = one_node(make_tables)
    program.add_node(lp.CourierNode(Actor, client), label="actor")
    made = plan(program)
    assert made.edges == (Edge(holder="actor/0", target="replay/0", argument="client"),)
    assert "make_tables (ReverbNode, serves only)" in str(made)
    assert isinstance(client, lp.ReverbHandle)
    with pytest.raises(lp.HandleError, match="'insert' of a handle of make_tables"):
        client.insert(1, {"queue": 1.0})


@pytest.mark.skipif(dm_reverb.is_installed(), reason="the handle may become dm-reverb's client")
def test_its_handle_is_no_other_client() -> None:
    program, client = one_node(make_tables)
    program.add_node(unchecked(lp.CourierNode)(Other, client), label="other")
    with pytest.raises(lp.ProgramError, match="Other wants Actor and was given a handle of Client"):
        plan(program)


def test_a_name_that_no_node_has_is_told() -> None:
    program, _ = one_node(make_tables)
    with lp.launch(program, launcher="thread"):
        with pytest.raises(Unavailable, match=r"no node 'reply/0'; did you mean 'replay/0'"):
            replay.Client("reply").server_info()
        assert list(replay.Client("replay").server_info()) == ["queue"]
    with pytest.raises(DeadlineExceeded, match="no server named 'replay'"):
        replay.Client("replay").server_info(timeout=0.01)


def test_the_address_is_the_nodes() -> None:
    node = lp.ReverbNode(make_tables)
    assert node.addresses == [node.reverb_address] == [node.courier_address]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([],), r"priority_tables_fn=\[\]: give a function that makes the tables in the node"),
        ((None,), "priority_tables_fn=None: give a function"),
        ((make_tables, "/tmp/place"), "checkpoint_ctor='/tmp/place': give a function"),
        ((make_tables, None, 0), "minutes=0: give a positive number of minutes"),
        ((make_tables, make_tables, "soon"), "minutes='soon': give a positive number"),
        ((make_tables, make_tables, float("nan")), "minutes=nan: give a positive number"),
    ],
)
def test_bad_arguments_are_refused(arguments: tuple[Any, ...], says: str) -> None:
    with pytest.raises(lp.UsageError, match=says) as caught:
        unchecked(lp.ReverbNode)(*arguments)
    assert str(caught.value).startswith(f"{__file__}:")


def test_options() -> None:
    node = lp.ReverbNode(make_tables).options(port=0, call_timeout=30.0, thread_pool_size=4)
    program = lp.Program("program")
    client = program.add_node(node, label="replay")
    with lp.testing.run(program) as t:
        client = t[client]
        client.insert(1, {"queue": 1.0})
        assert any(place.startswith("grpc:") for place in t.status().nodes[0].endpoints)


def test_a_codec_without_pickles_is_refused() -> None:
    program = lp.Program("program")
    program.add_node(lp.ReverbNode(make_tables).options(codec="data"), label="replay")
    with pytest.raises(lp.ProgramError, match=r'replay/0 .*codec="data": what replay clients send'):
        plan(program)


def table() -> replay.Table:
    return make_tables()[0]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: None, r"needs a list of tables, such as \[replay.Table\(...\)\], not None\."),
        (table, r"needs a list of tables.*, not a Table of launchpad_lite\."),
        (lambda: {"a": table()}, "needs a list of tables.*, not a dict of builtins"),
        (lambda: [table(), 3], r"needs a list of tables.*; part \[1\] is 3\."),
        (list, "needs at least one table, and the list is empty"),
        (lambda: [table(), table()], "two tables have the name 'queue'"),
    ],
)
def test_a_function_that_makes_no_tables(make: Callable[[], Any], says: str) -> None:
    program, _ = one_node(make)
    with (
        pytest.raises(lp.NodeFailed, match=rf"replay/0: what .* returned: .*{says}") as caught,
        lp.testing.run(program) as t,
    ):
        t.wait(PATIENCE_S)
    assert caught.value.node == "replay/0"


def test_a_test_sees_the_tables() -> None:
    program, client = one_node(make_tables)
    with lp.testing.run(program) as t:
        t[client].insert(1, {"queue": 1.0})
        assert len(t.instance("replay").service.tables["queue"]) == 1


def test_a_node_without_a_program() -> None:
    stops: list[Callable[[], None]] = []

    def make() -> list[replay.Table]:
        stops.append(lp.bind(lp.stop))
        return make_tables()

    node = lp.ReverbNode(make)
    handle: Any = node.create_handle()
    bind_addresses([node])
    thread = threading.Thread(target=node.run)
    thread.start()
    client = handle.dereference()
    client.insert(1, {"queue": 1.0})
    assert next(client.sample("queue"))[0].data == [1]
    stops[0]()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


# Restarts, and checkpoints.


class Fatal(replay.TableExtension):
    """Ends the process when it is told so by a priority."""

    def on_insert(self, keys: Any, priorities: Any, times_sampled: Any) -> None:
        if FATAL_PRIORITY in priorities:
            os._exit(3)


def make_fatal_tables() -> list[replay.Table]:
    return [
        replay.Table(
            "table",
            replay.selectors.Fifo(),
            replay.selectors.Fifo(),
            100,
            replay.rate_limiters.MinSize(1),
            extensions=[Fatal()],
        )
    ]


def a_fatal_node() -> tuple[lp.Program, replay.Client]:
    node = lp.ReverbNode(make_fatal_tables)
    program = lp.Program("program")
    handle = node.create_handle()
    program.add_node(lp.MultiProcessingColocation([node], 1), label="machine")
    return program, handle


def test_clients_go_on_after_a_restart() -> None:
    program, handle = a_fatal_node()
    with lp.testing.run(program, "process") as t:
        client = t[handle]
        client.insert(1, {"table": 1.0})
        with pytest.raises(Unavailable):
            client.insert(2, {"table": FATAL_PRIORITY})
        client.insert(3, {"table": 1.0})
        assert [sample.data for sample in next(client.sample("table"))] == [[3]]


def test_a_restarted_node_has_the_items_of_its_last_checkpoint() -> None:
    program, handle = a_fatal_node()
    with lp.testing.run(program, "process") as t:
        client = t[handle]
        client.insert(1, {"table": 1.0})
        path = Path(client.checkpoint())
        assert path.name == "checkpoint-00000001.replay"
        client.insert(2, {"table": 1.0})
        with pytest.raises(Unavailable):
            client.insert(3, {"table": FATAL_PRIORITY})
        client.insert(4, {"table": 1.0})
        assert client.server_info()["table"].current_size == 2
        assert [sample.data for sample in next(client.sample("table"))] == [[1]]


def test_where_nodes_save_is_where_a_later_run_finds_it(tmp_path: Path) -> None:
    config = lp.RunConfig(checkpoint_dir=str(tmp_path))
    for size in range(2):
        program, client = one_node(make_tables, None, 1000.0)
        with lp.testing.run(program, config=config) as t:
            assert t[client].server_info()["queue"].current_size == size
            t[client].insert(1, {"queue": 1.0})
    assert [path.name for path in tmp_path.rglob("*.replay")]


def test_nothing_is_written_that_nobody_asked_for(tmp_path: Path) -> None:
    program, client = one_node(make_tables)
    with lp.testing.run(program, config=lp.RunConfig(checkpoint_dir=str(tmp_path))) as t:
        t[client].insert(1, {"queue": 1.0})
    assert not list(tmp_path.iterdir())


class FailsToSave(replay.checkpointers.CheckpointerBase):
    """A checkpointer on a full disk."""

    def __init__(self) -> None:
        self.saves = 0

    def save(self, tables: object, store: object) -> str:
        self.saves += 1
        raise OSError("no space left")

    def load(self, tables: object, store: object) -> None: ...


def test_what_waits_is_part_of_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "TOLD_AFTER_S", 0.05)
    program, client = one_node(make_tables)
    with lp.launch(program, launcher="thread") as run:

        def note() -> str:
            (node,) = run.status().nodes
            return node.note

        sample = run.client(client).courier.futures.sample("queue", 1)
        until(lambda: "table 'queue': a sample of 1 item by " in note())
        assert "0 inserts, 0 samples" in note()
        run.client(client).insert(1, {"queue": 1.0})
        sample.result(PATIENCE_S)
        until(lambda: not note())


def test_a_checkpoint_that_fails_ends_no_run_before_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    checkpointer = FailsToSave()
    program, client = one_node(make_tables, lambda: checkpointer, 0.0005)
    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(
            lp.NodeFailed, match=r"no space left\nwhile saving a checkpoint of the tables"
        ),
        lp.testing.run(program) as t,
    ):
        until(lambda: checkpointer.saves > 1)
        t[client].insert(1, {"queue": 1.0})
    assert "no checkpoint of the tables could be written; the last one stays" in caplog.text


# dm-reverb's own tables: with a stand-in for the vendor's package, and with the package itself.

STAND_IN = """
class Table:
    def __init__(self, name):
        self.name = name

class Server:
    stopped = []

    def __init__(self, tables, port=None, checkpointer=None):
        self.tables, self.port, self.checkpointer = tables, 4711, checkpointer

    def localhost_client(self):
        return Client(f"localhost:{self.port}")

    def stop(self):
        Server.stopped.append(self.port)

class Client:
    def __init__(self, server_address):
        self.server_address = server_address

    def checkpoint(self):
        return "/somewhere"
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module that looks like dm-reverb's."""
    (tmp_path / "reverb.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(tmp_path)
    before = sys.modules.pop("reverb", None)
    yield __import__("reverb")
    del sys.modules["reverb"]
    if before is not None:
        sys.modules["reverb"] = before


def test_tables_of_dm_reverb_are_served_by_itself(stand_in: Any) -> None:
    program, client = one_node(lambda: [stand_in.Table("a")], object)
    told: list[Any] = []

    def tell(given: Any) -> None:
        told.append(given)

    program.add_node(lp.PyNode(tell, client), label="actor")
    with lp.testing.run(program) as t:
        assert isinstance(t[client], stand_in.Client)
        assert t[client].server_address == "127.0.0.1:4711"
        until(lambda: len(told) == 1)
    assert isinstance(told[0], stand_in.Client)
    assert stand_in.Server.stopped == [4711]


def test_our_tables_are_served_by_us_where_dm_reverb_is_installed(stand_in: Any) -> None:
    program, client = one_node(make_tables)
    with lp.testing.run(program) as t:
        assert isinstance(t[client], replay.Client)
        t[client].insert(1, {"queue": 1.0})
    assert stand_in.Server.stopped == []


def make_dm_reverb_tables() -> Any:
    reverb: Any = importlib.import_module("reverb")  # need not be there
    return [reverb.Table.queue("queue", 10)]


def dm_reverb_actor(client: Any, count: int) -> None:
    for number in range(count):
        client.insert([np.full(3, number, np.float32)], {"queue": 1.0})


def dm_reverb_learner(client: Any, count: int) -> None:
    (samples,) = zip(*client.sample("queue", num_samples=count), strict=True)
    assert [sample.data[0].tolist() for sample in samples] == [[n] * 3 for n in range(count)]
    lp.stop()


@needs_dm_reverb
@pytest.mark.parametrize("launcher", ["thread", "process"])
def test_dm_reverb_itself(launcher: str) -> None:
    program, client = one_node(make_dm_reverb_tables)
    program.add_node(lp.PyNode(dm_reverb_actor, client, 5), label="actor")
    program.add_node(lp.PyNode(dm_reverb_learner, client, 5), label="learner")
    with lp.testing.run(program, launcher) as t:
        assert t.wait(PATIENCE_S)
