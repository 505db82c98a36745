"""A replay server and its client, over real sockets."""

from __future__ import annotations

import collections
import concurrent.futures
import logging
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import launchpad_lite as lp
from launchpad_lite import replay
from launchpad_lite.credentials import Credentials
from launchpad_lite.errors import DeadlineExceeded, Unavailable, UsageError
from launchpad_lite.replay.service import gates, methods
from launchpad_lite.replay.service.protocol import Block, Frame, ItemColumn, ItemRun
from tests.unit.replay_servers import PATIENCE_S, Serve, until


class Step(NamedTuple):
    observation: Any
    reward: Any


def step(number: int) -> Step:
    return Step(np.full(3, number, np.float32), float(number))


SIGNATURE = Step(replay.ArraySpec((1, 3), np.float32), replay.ArraySpec((1,), np.float64))


def table(name: str = "table", **settings: Any) -> replay.Table:
    usual: dict[str, Any] = {
        "sampler": replay.selectors.Fifo(),
        "remover": replay.selectors.Fifo(),
        "max_size": 100,
        "rate_limiter": replay.rate_limiters.MinSize(1),
    }
    return replay.Table(name, **(usual | settings))


def waiting(client: replay.Client, name: str) -> tuple[int, int]:
    """How many inserts and samples of a table wait."""
    limiter = client.server_info()[name].rate_limiter_info
    return limiter.insert_stats.pending, limiter.sample_stats.pending


# Items.


def test_what_was_inserted_is_sampled(serve: Serve) -> None:
    client = serve(table())
    for number in range(3):
        client.insert(step(number), {"table": 1.0 + number})
    [item] = client.sample("table", emit_timesteps=False)
    assert item.info.priority == 1.0
    assert item.info.table_size == 3
    assert item.info.probability == 1.0
    assert item.info.times_sampled == 1
    observation, reward = item.data
    assert observation.tolist() == [[0, 0, 0]]
    assert reward.tolist() == [0]
    assert (observation.dtype, reward.dtype) == (np.float32, np.float64)


def test_an_item_comes_as_its_steps(serve: Serve) -> None:
    client = serve(table())
    client.insert(step(7), {"table": 1.0})
    [[one]] = client.sample("table")
    assert one.data[0].tolist() == [7, 7, 7]
    assert one.data[1] == 7


def test_data_is_nested_like_the_signature(serve: Serve) -> None:
    client = serve(table(signature=SIGNATURE))
    client.insert(step(2), {"table": 1.0})
    [item] = client.sample("table", emit_timesteps=False, unpack_as_table_signature=True)
    assert isinstance(item.data, Step)
    assert item.data.reward.tolist() == [2]
    [[one]] = client.sample("table", unpack_as_table_signature=True)
    assert one.data.observation.tolist() == [2, 2, 2]


def test_data_of_a_table_without_a_signature_is_not_nested(serve: Serve) -> None:
    client = serve(table())
    client.insert(step(2), {"table": 1.0})
    [item] = client.sample("table", emit_timesteps=False, unpack_as_table_signature=True)
    assert isinstance(item.data, list)
    assert [column.tolist() for column in item.data] == [[[2, 2, 2]], [2]]


def test_an_item_may_be_in_several_tables(serve: Serve) -> None:
    client = serve(table("a"), table("b"), table("c"))
    client.insert(step(1), {"a": 1.0, "b": 2.0})
    sizes = {name: info.current_size for name, info in client.server_info().items()}
    assert sizes == {"a": 1, "b": 1, "c": 0}


def test_more_samples_than_travel_at_once(serve: Serve) -> None:
    client = serve(table(sampler=replay.selectors.Uniform()))
    client.insert({"x": np.arange(5)}, {"table": 1.0})
    assert sum(1 for _ in client.sample("table", 5000)) == 5000


def test_priorities_change_and_items_go(serve: Serve) -> None:
    client = serve(table(sampler=replay.selectors.MaxHeap()))
    for number in range(3):
        client.insert(step(number), {"table": float(number)})

    def best() -> Any:
        [item] = client.sample("table", emit_timesteps=False)
        return item

    first = best()
    assert first.data[1] == [2]
    client.mutate_priorities("table", updates={first.info.key: 0.5}, deletes=[])
    second = best()
    assert second.data[1] == [1]
    client.mutate_priorities("table", deletes=[second.info.key, 12345])
    third = best()
    assert third.info.key == first.info.key
    client.update_priorities("table", np.array([third.info.key]), np.array([-1]))
    assert best().data[1] == [0]
    client.reset("table")
    assert client.server_info()["table"].current_size == 0


def test_many_numbers_of_keys_are_exact(serve: Serve) -> None:
    """Keys have more bits than a float."""
    client = serve(table(sampler=replay.selectors.Uniform()))
    for number in range(50):
        client.insert(step(number), {"table": 1.0})
    keys = {item.info.key for item in client.sample("table", 500, emit_timesteps=False)}
    client.mutate_priorities("table", deletes=list(keys))
    assert client.server_info()["table"].current_size == 50 - len(keys)


# Waiting.


def test_a_sample_waits_for_an_insert(serve: Serve) -> None:
    client = serve(table(rate_limiter=replay.rate_limiters.MinSize(2)))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        future = pool.submit(lambda: next(iter(client.sample("table"))))
        until(lambda: waiting(client, "table") == (0, 1))
        client.insert(step(0), {"table": 1.0})
        assert not future.done()
        client.insert(step(1), {"table": 1.0})
        assert len(future.result(PATIENCE_S)) == 1
    info = client.server_info()["table"].rate_limiter_info
    assert (info.sample_stats.limited, info.sample_stats.pending) == (1, 0)


def test_an_insert_waits_for_a_sample(serve: Serve) -> None:
    client = serve(replay.Table.queue("queue", 1))
    client.insert(step(0), {"queue": 1.0})
    with concurrent.futures.ThreadPoolExecutor() as pool:
        future = pool.submit(client.insert, step(1), {"queue": 1.0})
        until(lambda: waiting(client, "queue") == (1, 0))
        numbers = [item.data[1][0] for item in client.sample("queue", 2, emit_timesteps=False)]
        future.result(PATIENCE_S)
    assert numbers == [0, 1]


def test_a_call_that_is_given_up_leaves_the_line(serve: Serve) -> None:
    client = serve(replay.Table.queue("queue", 1))
    client.insert(step(0), {"queue": 1.0})
    with pytest.raises(DeadlineExceeded), lp.deadline(0.1):
        client.insert(step(1), {"queue": 1.0})
    until(lambda: waiting(client, "queue") == (0, 0))
    assert len(list(client.sample("queue", 1))) == 1
    assert client.server_info()["queue"].current_size == 0  # the one given up is not inserted
    with pytest.raises(DeadlineExceeded), lp.deadline(0.1):
        next(iter(client.sample("queue")))
    until(lambda: waiting(client, "queue") == (0, 0))
    client.insert(step(2), {"queue": 1.0})
    assert client.server_info()["queue"].current_size == 1


def test_samples_that_do_not_come_in_time_are_told_so(serve: Serve) -> None:
    client = serve(table(rate_limiter=replay.rate_limiters.MinSize(1), max_times_sampled=1))
    assert client.courier.sample("table", 2, 1, 0.05) == []
    assert client.courier.sample("table", 2, 1, 0) == []
    client.insert(step(0), {"table": 1.0})
    [batch] = client.courier.sample("table", 2, 2, 0.05)
    assert len(batch.places) == 1


def test_who_waits_long_is_named_in_the_log(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gates, "TOLD_AFTER_S", 0.05)
    client = serve(replay.Table.queue("queue", 3))
    with caplog.at_level(logging.WARNING):
        future = client.courier.futures.sample("queue", 2, 2)
        until(lambda: "a sample of 2 items" in caplog.text)
        client.insert(step(0), {"queue": 1.0})
        client.insert(step(1), {"queue": 1.0})
        future.result(PATIENCE_S)
    assert "table 'queue'" in caplog.text
    assert "0 inserts, 0 samples" in caplog.text


def test_a_server_that_stops_ends_who_waits() -> None:
    with replay.Server([replay.Table.queue("queue", 1)]) as server:
        client = server.localhost_client()
        future = client.courier.futures.sample("queue", 1)
        until(lambda: waiting(client, "queue") == (0, 1))
    with pytest.raises(Unavailable):
        future.result(PATIENCE_S)
    server.wait()


def test_a_stopped_server_lets_go_of_its_port() -> None:
    with replay.Server([table()]) as server:
        port = server.port
    with replay.Server([table()], port=port) as server:
        assert server.port == port
        server.localhost_client().insert(step(0), {"table": 1.0})


# Streams.


def frame(sequence: int, table: str, numbers: range) -> Frame:
    block = Block(0, numbers.start, np.array(numbers))
    columns = (ItemColumn(0, 1, squeezed=True),)
    steps = np.array(numbers)[:, np.newaxis]
    run = ItemRun(table, 0, columns, np.ones(len(numbers)), steps)
    return Frame(5, sequence, sequence == 0, [block], [run], [(0, numbers.stop)])


def test_a_frame_that_waits_may_be_sent_again(serve: Serve) -> None:
    client = serve(replay.Table.queue("queue", 2))
    write = client.courier.futures.write
    first = write(frame(0, "queue", range(3)))
    until(lambda: waiting(client, "queue") == (1, 0))
    again = write(frame(0, "queue", range(3)))
    first.cancel()
    time.sleep(0.05)  # the one who gives up may take the other out of the line
    assert [int(item.data[0]) for item in client.sample("queue", 3, emit_timesteps=False)] == [
        0,
        1,
        2,
    ]
    again.result(PATIENCE_S)
    assert waiting(client, "queue") == (0, 0)
    write(frame(1, "queue", range(3, 5))).result(PATIENCE_S)
    client.courier.close_stream(5)
    client.courier.close_stream(5)
    assert client.server_info()["queue"].current_size == 2


def test_streams_without_a_writer_are_forgotten(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods, "_SWEEP_S", 0.0)
    monkeypatch.setattr("launchpad_lite.replay.service.streams.IDLE_S", 0.0)
    client = serve(table())
    client.courier.write(frame(0, "table", range(2)))
    client.server_info()
    with pytest.raises(Exception, match="not known"):
        client.courier.write(frame(1, "table", range(2, 3)))


def test_a_writer_that_is_killed_leaves_nothing_but_its_items(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its stream goes when it has been still for long; what waits on it is never inserted."""
    monkeypatch.setattr(methods, "_SWEEP_S", 0.0)
    program = (
        "import sys\n"
        "from launchpad_lite import replay\n"
        "writer = replay.Client(sys.argv[1]).trajectory_writer(5)\n"
        "for number in range(5):\n"
        "    writer.append([number])\n"
        "    writer.create_item('queue', 1.0, writer.history[0][-1:])\n"
        "writer.flush()\n"
    )
    with replay.Server([replay.Table.queue("queue", 2)]) as server:
        client, store = server.localhost_client(), server._service.store  # noqa: SLF001 - nothing else tells
        process = subprocess.Popen([sys.executable, "-c", program, client.server_address])
        try:
            until(lambda: waiting(client, "queue") == (1, 0))
        finally:
            process.kill()
            process.wait()
        monkeypatch.setattr("launchpad_lite.replay.service.streams.IDLE_S", 0.0)
        until(lambda: waiting(client, "queue") == (0, 0))
        assert store.nbytes == 2 * 8
        assert len(list(client.sample("queue", 2))) == 2
        assert client.server_info()["queue"].current_size == 0
        assert store.nbytes == 0


# Clients.


def test_a_client_may_be_sent(serve: Serve) -> None:
    client = serve(table())
    client.insert(step(0), {"table": 1.0})
    again = pickle.loads(pickle.dumps(client))
    assert len(list(again.sample("table"))) == 1
    assert repr(again) == repr(client) == f"Client(server_address={client.server_address!r})"


def test_another_process_can_use_it(serve: Serve) -> None:
    client = serve(table())
    program = (
        "import sys, numpy\n"
        "from launchpad_lite import replay as reverb\n"
        "client = reverb.Client(sys.argv[1])\n"
        "client.insert([numpy.arange(3)], {'table': 2.0})\n"
        "[[item]] = client.sample('table')\n"
        "print(item.data[0].tolist(), item.info.priority)\n"
    )
    command = [sys.executable, "-c", program, client.server_address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[0, 1, 2] 2.0\n"


def test_a_client_that_is_killed_leaves_the_line(serve: Serve) -> None:
    client = serve(replay.Table.queue("queue", 1))
    program = (
        "import sys\n"
        "from launchpad_lite import replay as reverb\n"
        "next(reverb.Client(sys.argv[1]).sample('queue'))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, client.server_address])
    try:
        until(lambda: waiting(client, "queue") == (0, 1))
    finally:
        process.kill()
        process.wait()
    until(lambda: waiting(client, "queue") == (0, 0))
    client.insert(step(0), {"queue": 1.0})
    assert client.server_info()["queue"].current_size == 1


def test_credentials_are_needed_where_they_are_given() -> None:
    credentials = Credentials.create()
    with replay.Server([table()], credentials=credentials) as server:
        server.localhost_client().insert(step(0), {"table": 1.0})
        stranger = replay.Client(server.address, credentials=Credentials.create())
        with pytest.raises(lp.NotAuthenticated):
            stranger.server_info(PATIENCE_S)


def test_a_server_goes_with_its_last_reference() -> None:
    client = replay.Server([table()]).localhost_client()

    def is_gone() -> bool:
        try:
            client.server_info(0.5)
        except (DeadlineExceeded, Unavailable):
            return True
        return False

    until(is_gone)


# Bad input.


BAD_CALLS: dict[str, tuple[Callable[[Any], object], str]] = {
    "insert: table": (lambda c: c.insert(step(0), {"tabel": 1.0}), "no table 'tabel'.*'table'"),
    "insert: no table": (lambda c: c.insert(step(0), {}), "priorities is empty"),
    "insert: no data": (lambda c: c.insert({}, {"table": 1.0}), "no array"),
    "insert: object": (lambda c: c.insert({"a": object()}, {"table": 1.0}), "column 'a'"),
    "insert: None": (lambda c: c.insert({"a": 1, "b": None}, {"table": 1.0}), "column 'b'"),
    "insert: NaN": (
        lambda c: c.insert(step(0), {"table": float("nan")}),
        r"insert: priorities\['table'\]=nan: give a number",
    ),
    "insert: no numbers": (
        lambda c: c.insert(step(0), {"table": "high"}),
        r"priorities\['table'\]='high': give a number",
    ),
    "insert: no tables": (lambda c: c.insert(step(0), 1.0), "priorities=1.0: give the priority"),
    "insert: no name": (lambda c: c.insert(step(0), {3: 1.0}), "name=3: give a string"),
    "sample: no name": (lambda c: c.sample(3), "sample: table=3: give a string"),
    "reset: no name": (lambda c: c.reset(None), "reset: table=None: give a string"),
    "sample: none": (lambda c: c.sample("table", 0), "num_samples"),
    "sample: table": (lambda c: next(iter(c.sample("tabel"))), "no table 'tabel'"),
    "sample: signature of no table": (
        lambda c: c.sample("tabel", unpack_as_table_signature=True),
        "no table 'tabel'",
    ),
    "reset: table": (lambda c: c.reset("tabel"), "no table 'tabel'"),
    "mutate: table": (lambda c: c.mutate_priorities("tabel", {1: 1.0}), "no table 'tabel'"),
    "mutate: NaN": (lambda c: c.mutate_priorities("table", {1: float("nan")}), "priorit"),
    "mutate: no number": (
        lambda c: c.mutate_priorities("table", {1: 0.5, 2: "high"}),
        r"mutate_priorities: updates\[2\]='high': give a number",
    ),
    "mutate: no updates": (lambda c: c.mutate_priorities("table", [1]), r"updates=\[1\]: give"),
    "mutate: no key": (lambda c: c.mutate_priorities("table", {-1: 1.0}), r"keys.*\[-1\]: give"),
    "mutate: no keys": (
        lambda c: c.mutate_priorities("table", deletes=[1.5]),
        r"deletes=\[1.5\]: give keys of items",
    ),
    "update: negative keys": (
        lambda c: c.update_priorities("table", np.array([-1]), np.ones(1)),
        r"update_priorities: keys=array\(\[-1\]\): give keys",
    ),
    "update: keys with a fraction": (
        lambda c: c.update_priorities("table", np.array([1.0]), np.ones(1)),
        "give keys of items",
    ),
    "update: no numbers": (
        lambda c: c.update_priorities("table", np.array([1]), ["high"]),
        r"priorities=\['high'\]: give numbers",
    ),
    "update: shapes": (
        lambda c: c.update_priorities("table", np.array([1, 2]), np.ones(1)),
        "shape",
    ),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_calls_are_refused(serve: Serve, name: str) -> None:
    call, problem = BAD_CALLS[name]
    client = serve(table())
    with pytest.raises(UsageError, match=problem):
        call(client)
    assert client.server_info()["table"].current_size == 0


def test_an_item_that_does_not_fit_the_signature_is_refused(serve: Serve) -> None:
    client = serve(table(signature=SIGNATURE))
    with pytest.raises(UsageError, match=r"observation.*float64.*float32"):
        client.insert(Step(np.zeros(3), 1.0), {"table": 1.0})


def test_a_step_has_the_names_of_the_signature(serve: Serve) -> None:
    spec = replay.ArraySpec((None,), np.int64)
    client = serve(table("named", signature={"one": spec, "two": spec}))
    with pytest.raises(UsageError, match=r"insert for table 'named'.*'tow'; did you mean 'two'"):
        client.insert({"one": 1, "tow": 2}, {"named": 1.0})
    client.insert(collections.OrderedDict(one=1, two=2), {"named": 1.0})  # as in Reverb
    assert client.server_info()["named"].current_size == 1


@pytest.mark.parametrize("priority", [1.0, -1.0], ids=["signature", "priority"])
def test_no_table_has_what_another_one_refuses(serve: Serve, priority: float) -> None:
    sampler, signature = replay.selectors.Prioritized(1.0), replay.ArraySpec((1,), np.int64)
    other = table("other", sampler=sampler, signature=signature)
    tables = [table("table"), other]
    client = serve(*tables)
    kind = np.float64 if priority > 0 else np.int64
    with pytest.raises(UsageError, match="float64" if priority > 0 else "negative"):
        client.insert(np.array(1, kind), {"table": 1.0, "other": priority})
    assert [len(each) for each in tables] == [0, 0]
    client.insert(np.array(1), {"table": 1.0, "other": 1.0})
    assert [len(each) for each in tables] == [1, 1]


def test_arrays_come_in_the_order_of_bytes_of_this_machine(serve: Serve) -> None:
    foreign = np.dtype(np.float32).newbyteorder("S")
    client = serve(table(signature={"x": replay.ArraySpec((None, 2), foreign)}))
    client.insert({"x": np.array([1, 2], foreign)}, {"table": 1.0})
    with client.trajectory_writer(1) as writer:
        writer.append({"x": np.array([1, 2], foreign)})
        writer.create_item("table", 1.0, {"x": writer.history["x"][:]})
    for sample in client.sample("table", 2, emit_timesteps=False):
        assert sample.data[0].dtype == np.float32
        assert sample.data[0].tolist() == [[1, 2]]


def test_items_without_steps_are_refused_as_steps(serve: Serve) -> None:
    client = serve(table())
    client.courier.write(frame(0, "table", range(1)))
    with pytest.raises(UsageError, match="emit_timesteps=False"):
        next(iter(client.sample("table")))


def test_bad_tables_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one table"):
        replay.Server([])
    with pytest.raises(UsageError, match=r"two tables.*'a'"):
        replay.Server([table("a"), table("b"), table("a")])


def test_a_table_is_served_by_one_server_at_a_time(serve: Serve) -> None:
    shared = table()
    with replay.Server([shared]) as server:
        with pytest.raises(UsageError, match=r"'table' is served by another server.*replace"):
            replay.Server([shared])
        client = server.localhost_client()
        client.insert(step(0), {"table": 1.0})
        assert len(list(client.sample("table", 2))) == 2
        client.reset("table")
    serve(shared).insert(step(1), {"table": 1.0})


def test_the_tables_of_a_server_that_could_not_begin_are_free(serve: Serve) -> None:
    shared = table()
    with replay.Server([table()]) as other, pytest.raises(OSError, match=str(other.port)):
        replay.Server([shared], port=other.port)
    serve(shared).insert(step(0), {"table": 1.0})
