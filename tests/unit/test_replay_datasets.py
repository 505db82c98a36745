"""Datasets of a replay server, over real sockets."""

from __future__ import annotations

import gc
import logging
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

import launchpad_lite as lp
from launchpad_lite import replay
from launchpad_lite.errors import DeadlineExceeded, Unavailable, UsageError
from launchpad_lite.replay.service import prefetch
from launchpad_lite.replay.service.methods import ReplayService
from launchpad_lite.replay.service.protocol import Block, Frame, ItemColumn, ItemRun
from tests.unit.replay_servers import PATIENCE_S, Serve, until

KINDS = [replay.TimestepDataset, replay.TrajectoryDataset]

Kind = type[replay.TimestepDataset] | type[replay.TrajectoryDataset]


class Step(NamedTuple):
    observation: Any
    reward: Any


SIGNATURE = Step(replay.ArraySpec((None, 3), np.float32), replay.ArraySpec((None,), np.int64))


def table(name: str = "table", **settings: Any) -> replay.Table:
    usual: dict[str, Any] = {
        "sampler": replay.selectors.Uniform(),
        "remover": replay.selectors.Fifo(),
        "max_size": 1000,
        "rate_limiter": replay.rate_limiters.MinSize(1),
        "signature": SIGNATURE,
    }
    return replay.Table(name, **(usual | settings))


def queue(name: str = "queue", size: int = 1000) -> replay.Table:
    return replay.Table.queue(name, size, signature=SIGNATURE)


def insert(client: replay.Client, name: str, lengths: Sequence[int], stream: int = 1) -> None:
    """Inserts items of so many steps each; the steps are numbered from 0 on."""
    total, first = sum(lengths), 0
    numbers = np.arange(total)
    vectors = np.repeat(numbers[:, np.newaxis], 3, axis=1).astype(np.float32)
    runs: list[ItemRun] = []
    for length in lengths:
        columns = tuple(ItemColumn(column, length, squeezed=False) for column in (0, 1))
        steps = np.tile(np.arange(first, first + length), 2)[np.newaxis]
        runs.append(ItemRun(name, 0, columns, np.ones(1), steps))
        first += length
    blocks = [Block(0, 0, vectors), Block(1, 0, numbers)]
    client.courier.write(Frame(stream, 0, True, blocks, runs, []))


def waiting(client: replay.Client, name: str) -> int:
    """How many samples of a table wait."""
    return client.server_info()[name].rate_limiter_info.sample_stats.pending


# Elements.


def test_timesteps_one_by_one(serve: Serve) -> None:
    client = serve(queue())
    insert(client, "queue", [2, 1])
    dataset = replay.TimestepDataset.from_table_signature(client, "queue", max_samples=2)
    found = list(dataset)
    assert [step.data.reward for step in found] == [0, 1, 2]
    assert found[1].data.observation.tolist() == [1, 1, 1]
    assert found[0].info.key == found[1].info.key != found[2].info.key
    assert found[0].info.probability == 1.0


def test_trajectories_one_by_one(serve: Serve) -> None:
    client = serve(queue())
    insert(client, "queue", [2, 1])
    dataset = replay.TrajectoryDataset.from_table_signature(client, "queue", max_samples=2)
    assert [item.data.reward.tolist() for item in dataset] == [[0, 1], [2]]


@pytest.mark.parametrize("at_once", [-1, 1, 2, 3, 100])
@pytest.mark.parametrize("in_flight", [-1, 1, 4, 100])
def test_batches_of_timesteps_in_order(serve: Serve, in_flight: int, at_once: int) -> None:
    client = serve(queue())
    insert(client, "queue", [3, 1, 2, 2, 4])
    dataset = replay.TimestepDataset(
        client,
        "queue",
        max_in_flight_samples_per_worker=in_flight,
        max_samples_per_stream=at_once,
        batch_size=4,
        max_samples=5,
    )
    batches = list(dataset)
    assert [batch.data.reward.tolist() for batch in batches] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
    ]
    assert batches[0].data.observation.shape == (4, 3)
    assert batches[0].info.key.shape == (4,)


@pytest.mark.parametrize("in_flight", [-1, 1, 7, 100])
def test_batches_of_trajectories(serve: Serve, in_flight: int) -> None:
    client = serve(queue())
    insert(client, "queue", [2] * 6)
    dataset = replay.TrajectoryDataset(client, "queue", None, None, in_flight, batch_size=3)
    with iter(dataset) as batches:
        assert next(batches).data.observation.shape == (3, 2, 3)
        assert next(batches).data.reward.tolist() == [[6, 7], [8, 9], [10, 11]]


def test_a_uniform_table_is_sampled_without_end(serve: Serve) -> None:
    client = serve(table())
    insert(client, "table", [1] * 10)
    dataset = replay.TimestepDataset(
        client, "table", max_in_flight_samples_per_worker=96, batch_size=32
    )
    counts = np.zeros(10)
    with iter(dataset) as batches:
        for _ in range(50):
            counts += np.bincount(next(batches).data.reward, minlength=10)
    assert counts.sum() == 1600
    assert counts.min() > 80


def test_batches_may_be_kept_and_written_to(serve: Serve) -> None:
    frames = replay.Table("frames", replay.selectors.Fifo(), replay.selectors.Fifo(), 9, _one())
    client = serve(frames)
    frame = np.arange(2**18, dtype=np.uint8)
    client.insert(frame, {"frames": 1.0})
    dataset = replay.TimestepDataset(client, "frames", batch_size=4, max_samples=40)
    kept: list[Any] = []
    for batch in dataset:
        batch.data[0][:] += len(kept)
        kept.append(batch)
    assert len(kept) == 10
    for index, batch in enumerate(kept):
        assert (batch.data[0] == frame + np.uint8(index)).all()


def test_without_a_signature_data_is_a_list_of_columns(serve: Serve) -> None:
    client = serve(table(signature=None))
    insert(client, "table", [1])
    [item] = replay.TrajectoryDataset(client, "table", max_samples=1)
    assert [column.tolist() for column in item.data] == [[[0, 0, 0]], [0]]


def test_dtypes_and_shapes_nest_and_check(serve: Serve) -> None:
    client = serve(table(signature=None))
    insert(client, "table", [1])
    dtypes = {"image": np.float32, "number": np.int64}
    dataset = replay.TimestepDataset(
        client, "table", dtypes, {"image": (3,), "number": ()}, max_samples=1
    )
    [step] = dataset
    assert step.data["number"] == 0
    wrong = replay.TimestepDataset(
        client, "table", dtypes, {"image": (4,), "number": ()}, max_samples=1
    )
    with pytest.raises(
        UsageError,
        match=r"TimestepDataset of table 'table': column 'image' has shape \[3\], and must have",
    ):
        list(wrong)
    fewer = replay.TrajectoryDataset(client, "table", [np.float32], [(1, 3)], max_samples=1)
    with pytest.raises(UsageError, match="it has 2 columns, and must have 1"):
        list(fewer)


def test_ragged_trajectories_are_not_stacked(serve: Serve) -> None:
    client = serve(queue())
    insert(client, "queue", [2, 3])
    iterator = iter(replay.TrajectoryDataset(client, "queue", batch_size=2))
    with pytest.raises(
        UsageError,
        match=r"TrajectoryDataset of table 'queue': column 'observation' is float32\[2, 3\] in",
    ):
        next(iterator)
    assert list(iterator) == []  # an error ends it


# The end.


@pytest.mark.parametrize("timeout_ms", [0, 50])
@pytest.mark.parametrize("in_flight", [-1, 2])
def test_a_timeout_ends_it_after_all_that_was_sampled(
    serve: Serve, timeout_ms: int, in_flight: int
) -> None:
    client = serve(queue())
    insert(client, "queue", [1] * 10)

    def sizes(**settings: Any) -> list[int]:
        dataset = replay.TimestepDataset(
            client,
            "queue",
            max_in_flight_samples_per_worker=in_flight,
            rate_limiter_timeout_ms=timeout_ms,
            batch_size=4,
            **settings,
        )
        return [len(batch.info.key) for batch in dataset]

    assert sizes() == [4, 4, 2]
    insert(client, "queue", [1] * 10, stream=2)
    assert sizes(drop_remainder=True) == [4, 4]
    assert sizes() == []


def test_a_timeout_ends_single_elements(serve: Serve) -> None:
    client = serve(queue())
    insert(client, "queue", [1] * 10)
    dataset = replay.TrajectoryDataset(client, "queue", rate_limiter_timeout_ms=0)
    assert len(list(dataset)) == 10
    assert list(dataset) == []


def test_the_last_of_some_samples_make_a_smaller_batch(serve: Serve) -> None:
    client = serve(table())
    insert(client, "table", [1] * 3)
    for drop_remainder, expected in ((False, [4, 4, 2]), (True, [4, 4])):
        dataset = replay.TrajectoryDataset(
            client, "table", batch_size=4, max_samples=10, drop_remainder=drop_remainder
        )
        assert [len(batch.info.key) for batch in dataset] == expected


def test_nothing_more_is_sampled_than_may_be(serve: Serve) -> None:
    client = serve(queue())
    insert(client, "queue", [1] * 10)
    assert len(list(replay.TrajectoryDataset(client, "queue", max_samples=3))) == 3
    assert client.server_info()["queue"].current_size == 7


def test_closing_takes_the_call_out_of_the_line(serve: Serve) -> None:
    client = serve(queue())
    insert(client, "queue", [1])
    iterator = iter(replay.TimestepDataset(client, "queue", max_in_flight_samples_per_worker=1))
    next(iterator)
    until(lambda: waiting(client, "queue") == 1)
    iterator.close()
    until(lambda: waiting(client, "queue") == 0)
    iterator.close()
    assert list(iterator) == []


def test_what_nobody_refers_to_is_closed(serve: Serve) -> None:
    client = serve(queue())
    insert(client, "queue", [1])
    for _ in replay.TimestepDataset(client, "queue", max_in_flight_samples_per_worker=1):
        break
    gc.collect()
    until(lambda: waiting(client, "queue") == 0)


def test_another_thread_may_close_one_that_waits(serve: Serve) -> None:
    client = serve(queue())
    iterator = iter(replay.TimestepDataset(client, "queue", batch_size=2))
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.extend(iterator))
    thread.start()
    until(lambda: waiting(client, "queue") >= 1)
    iterator.close()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert found == []


def test_an_iterator_keeps_no_batch(serve: Serve) -> None:
    client = serve(queue())
    insert(client, "queue", [1] * 4)
    iterator = iter(replay.TrajectoryDataset(client, "queue", batch_size=4))
    batch = next(iterator)
    column = weakref.ref(batch.data.observation)
    del batch
    gc.collect()
    assert column() is None
    iterator.close()


# Failures.


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_table(serve: Serve, kind: Kind) -> None:
    client = serve(table("replay"))
    name = kind.__name__
    with pytest.raises(UsageError, match=rf"^{name}: there is no table 'repaly'; did you mean 'r"):
        iter(kind(client, "repaly"))
    with pytest.raises(UsageError, match=rf"^{name}.from_table_signature: there is no table 'rep"):
        kind.from_table_signature(client, "repaly")


def test_a_table_without_signature(serve: Serve) -> None:
    client = serve(table(signature=None))
    with pytest.raises(UsageError) as found:
        replay.TimestepDataset.from_table_signature(client, "table")
    assert str(found.value) == (
        "TimestepDataset.from_table_signature: table 'table' has no signature: give it one, as in "
        "Table(..., signature=...), or make a TimestepDataset(...) without it, whose data is a "
        "list of columns unless you give dtypes and shapes."
    )


def test_a_server_that_does_not_answer_in_time() -> None:
    with pytest.raises(DeadlineExceeded):
        replay.TimestepDataset.from_table_signature(
            "localhost:1", "table", get_signature_timeout_secs=0.05
        )


def test_a_server_that_stops_is_an_error_where_one_iterates() -> None:
    server = replay.Server([queue()])
    client = server.localhost_client()
    iterator = iter(replay.TimestepDataset(client, "queue", batch_size=2))

    def stop() -> None:
        until(lambda: waiting(client, "queue") >= 1)
        server.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(Unavailable) as found:
        next(iterator)
    thread.join()
    assert found.value.__notes__ == ["in the iterator of a TimestepDataset of table 'queue'"]
    assert list(iterator) == []


def test_one_that_waits_says_so(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    iterator = iter(replay.TimestepDataset(serve(queue()), "queue"))
    told: list[str] = []

    def tell(message: str, *values: object) -> None:
        told.append(message % values)
        if len(told) == 2:
            iterator.close()

    monkeypatch.setattr(prefetch, "TOLD_AFTER_S", 0.05)
    monkeypatch.setattr(logging.getLogger(prefetch.__name__), "warning", tell)
    assert list(iterator) == []
    assert told[0] == (
        "TimestepDataset of table 'queue' has waited for samples for 0.05 s. The table's rate "
        "limiter lets none pass (the server's log tells the numbers), or the server cannot be "
        "reached."
    )
    assert "for 0.1 s." in told[1]


def test_a_deadline_is_not_one_of_what_comes_later(serve: Serve) -> None:
    client = serve(queue())
    insert(client, "queue", [1])
    iterator = iter(replay.TimestepDataset(client, "queue", max_in_flight_samples_per_worker=1))
    with lp.deadline(0.2):
        next(iterator)
        other = client.courier.futures.sample("queue", 1)
    with pytest.raises(DeadlineExceeded):
        other.result(PATIENCE_S)
    insert(client, "queue", [1], stream=2)
    next(iterator)
    iterator.close()


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"batch_size": 0}, "batch_size=0: give a whole number, 1 or more."),
    ({"batch_size": 2.5}, "batch_size=2.5: give a whole number, 1 or more."),
    (
        {"max_in_flight_samples_per_worker": 0},
        "max_in_flight_samples_per_worker=0: give a whole number, 1 or more.",
    ),
    (
        {"num_workers_per_iterator": -2},
        "num_workers_per_iterator=-2: give a whole number, 1 or more.",
    ),
    (
        {"rate_limiter_timeout_ms": -2},
        "rate_limiter_timeout_ms=-2: give a whole number of milliseconds, 0 or more.",
    ),
    ({"max_samples": 0}, "max_samples=0: give a whole number, 1 or more."),
    ({"drop_remainder": "no"}, "drop_remainder='no': give True or False."),
    ({"dtypes": [np.float32]}, "give both dtypes and shapes, or neither."),
]


@pytest.mark.parametrize(("settings", "message"), WRONG)
def test_wrong_arguments(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as found:
        replay.TrajectoryDataset("localhost:1", "table", **settings)
    assert str(found.value) == f"TrajectoryDataset: {message}"


def test_dtypes_and_shapes_must_be_nested_alike() -> None:
    with pytest.raises(UsageError, match="TimestepDataset: shapes and dtypes are not nested alike"):
        replay.TimestepDataset("localhost:1", "table", {"a": np.float32}, {"b": ()})


# Elsewhere.


SERVER = (
    "import sys; from launchpad_lite import replay\n"
    "server = replay.Server([replay.Table.queue('queue', 9)], port=int(sys.argv[1]))\n"
    "print(server.port, flush=True); server.wait()"
)


def serving(port: int = 0) -> tuple[subprocess.Popen[str], int]:
    command = [sys.executable, "-c", SERVER, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_it_goes_on_with_a_server_that_was_killed_and_started_again() -> None:
    process, port = serving()
    try:
        client = replay.Client(f"localhost:{port}")
        insert(client, "queue", [1])
        iterator = iter(replay.TimestepDataset(client, "queue", max_in_flight_samples_per_worker=1))
        next(iterator)
        until(lambda: waiting(client, "queue") == 1)
    finally:
        kill(process)
    process, _ = serving(port)
    try:
        insert(client, "queue", [1, 1], stream=2)
        assert next(iterator).data[1] == 0
        assert next(iterator).data[1] == 1
        iterator.close()
    finally:
        kill(process)


class Buffer(ReplayService):
    def __init__(self) -> None:
        super().__init__([queue()])


class Learner:
    def __init__(self, buffer: Any) -> None:
        self._buffer = buffer

    def run(self) -> None:
        for _ in replay.TimestepDataset(self._buffer, "queue", batch_size=2):
            raise AssertionError


class Stopper:
    def __init__(self, buffer: Any) -> None:
        self._buffer = buffer

    def run(self) -> None:
        until(lambda: waiting(replay.Client(self._buffer), "queue") >= 1)
        lp.stop()


@pytest.mark.parametrize("launcher", ["thread", "process"])
def test_the_end_of_a_run_ends_it(launcher: str) -> None:
    program = lp.Program("datasets")
    buffer = program.add_node(lp.CourierNode(Buffer), label="buffer")
    program.add_node(lp.CourierNode(Learner, buffer), label="learner")
    program.add_node(lp.CourierNode(Stopper, buffer), label="stopper")
    lp.launch(program, launcher=launcher).wait(PATIENCE_S)


def test_a_dataset_may_be_pickled(serve: Serve) -> None:
    client = serve(queue())
    insert(client, "queue", [1] * 4)
    dataset = replay.TrajectoryDataset.from_table_signature(client, "queue", batch_size=2)
    copy = pickle.loads(pickle.dumps(dataset))
    assert repr(copy) == repr(dataset)
    with iter(copy) as batches:
        assert next(batches).data.reward.tolist() == [[0], [1]]


def test_an_address_or_a_courier_client_will_do(serve: Serve) -> None:
    client = serve(table())
    insert(client, "table", [1])
    for server in (client.server_address, client.courier):
        [step] = replay.TimestepDataset(server, "table", max_samples=1)
        assert step.data.reward == 0


def _one() -> replay.rate_limiters.MinSize:
    return replay.rate_limiters.MinSize(1)
