"""The writers of a replay client, over real sockets."""

from __future__ import annotations

import collections
import gc
import logging
import subprocess
import sys
import threading
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pytest

import launchpad_lite as lp
from launchpad_lite import replay
from launchpad_lite.errors import DeadlineExceeded, LaunchpadError, Stopped, Unavailable, UsageError
from launchpad_lite.replay.service import outgoing, sender
from launchpad_lite.replay.service.protocol import Frame
from tests.helpers import unchecked
from tests.unit.replay_servers import PATIENCE_S, Serve, until


def table(name: str = "table", **settings: Any) -> replay.Table:
    usual: dict[str, Any] = {
        "sampler": replay.selectors.Fifo(),
        "remover": replay.selectors.Fifo(),
        "max_size": 10_000,
        "rate_limiter": replay.rate_limiters.MinSize(1),
        "max_times_sampled": 1,
    }
    return replay.Table(name, **(usual | settings))


@pytest.fixture
def serve(serve: Serve) -> Serve:
    """Makes a client of a new server with some tables; without any, it has the usual one."""
    return lambda *tables, **settings: serve(*(tables or [table()]), **settings)


def data(client: replay.Client, count: int, name: str = "table") -> list[list[Any]]:
    """The columns of the next items, as lists."""
    sampled = client.sample(name, count, emit_timesteps=False)
    return [[column.tolist() for column in item.data] for item in sampled]


def waiting(client: replay.Client, name: str = "queue") -> int:
    """How many insertions wait for the limiter."""
    return client.server_info()[name].rate_limiter_info.insert_stats.pending


def size(client: replay.Client, name: str = "table") -> int:
    return client.server_info()[name].current_size


# The history.


def test_the_history_is_there_after_the_first_append(serve: Serve) -> None:
    with serve().trajectory_writer(2) as writer:
        with pytest.raises(RuntimeError, match="before `append` is called"):
            _ = writer.history
        writer.append(3)
        assert writer.history[-1].numpy() == 3


def test_the_history_grows_with_the_structure(serve: Serve) -> None:
    def shown(column: Iterable[Any]) -> list[Any]:
        return [None if each is None else each.numpy().tolist() for each in column]

    with serve().trajectory_writer(10) as writer:
        writer.append({"x": 1, "z": 2})
        kept = writer.history["x"]
        writer.append({"z": 3, "y": {"a": 4}})
        writer.append({"w": 5})
        writer.append({"x": 6, "w": None})
        history = writer.history
        assert shown(history["x"]) == [1, None, None, 6]
        assert shown(history["z"]) == [2, 3, None, None]
        assert shown(history["y"]["a"]) == [None, 4, None, None]
        assert shown(history["w"]) == [None, None, 5, None]
        assert len(kept) == 4
        assert history["x"].path == ("x",)
        with pytest.raises(
            UsageError, match=r"'x' had no value at step 1 .*cannot contain any None"
        ):
            _ = history["x"][:2]
        with pytest.raises(UsageError, match="'w' had no value at step 3"):
            _ = history["w"][-1]
        with pytest.raises(UsageError, match="'w' had no value at step 0"):
            _ = history["w"][0]
        with pytest.raises(IndexError):
            _ = history["x"][4]
        with pytest.raises(TypeError, match="is indexed with"):
            _ = history["x"]["a"]


@pytest.mark.parametrize(
    ("first", "second"), [((0,), (0, 1)), ([0], [0, 1]), ({"x": 0}, {"x": 0, "y": 1})]
)
def test_containers_may_grow(serve: Serve, first: Any, second: Any) -> None:
    with serve().trajectory_writer(3) as writer:
        writer.append(first)
        writer.append(second)
        assert len(writer.history) == 2


def test_containers_may_not_change(serve: Serve) -> None:
    with serve().trajectory_writer(3) as writer:
        writer.append({"a": [1], "b": 2})
        with pytest.raises(UsageError, match=r"\['a'\] is a tuple, and was a list"):
            writer.append({"a": (1,), "b": 2})
        with pytest.raises(UsageError, match=r"\['b'\] is a dict, and was an array"):
            writer.append({"a": [1], "b": {"c": 2}})
        with pytest.raises(UsageError, match="no array"):
            writer.append({})
        writer.append({"a": [1], "b": 2})
        assert writer.history["b"][:].numpy().tolist() == [2, 2]


def test_columns_tell_their_shape_and_data(serve: Serve) -> None:
    with serve().trajectory_writer(3) as writer:
        for number in range(3):
            writer.append({"a": number, "b": np.full((2, 3), number, np.float32)})
        whole, one = writer.history["b"][:], writer.history["b"][-1]
        assert (whole.shape, whole.dtype, whole.is_squeezed) == ((3, 2, 3), np.float32, False)
        assert (one.shape, one.dtype, one.is_squeezed) == ((2, 3), np.float32, True)
        assert whole.numpy()[:, 0, 0].tolist() == [0, 1, 2]
        assert one.numpy().tolist() == [[2] * 3] * 2
        assert len(whole) == 3
        assert whole[1:][0].numpy()[0, 0] == 1
        assert writer.history["a"][[0, -1]].numpy().tolist() == [0, 2]
        assert writer.history["a"][::-2].numpy().tolist() == [2, 0]
        assert len(writer.history["a"][5:]) == 0


def test_values_are_copied(serve: Serve) -> None:
    with serve().trajectory_writer(3) as writer:
        reused = np.zeros(2)
        for number in range(3):
            reused[:] = number
            writer.append({"x": reused})
        assert writer.history["x"][:].numpy().tolist() == [[0, 0], [1, 1], [2, 2]]


def test_episodes_count_their_steps(serve: Serve) -> None:
    with serve().trajectory_writer(1) as writer:
        for clear in (True, False, True):
            assert writer.episode_steps == 0
            for number in range(3):
                writer.append({"x": 3}, partial_step=True)
                assert writer.step_is_open
                assert writer.episode_steps == number
                writer.append({"y": 2})
                assert not writer.step_is_open
                assert writer.episode_steps == number + 1
            writer.end_episode(clear_buffers=clear)
        assert len(writer.history["x"]) == 0
        with pytest.raises(IndexError):
            _ = writer.history["x"][-1]


def test_parts_of_a_step(serve: Serve) -> None:
    client = serve()
    with client.trajectory_writer(4) as writer:
        writer.append({"x": 1}, partial_step=True)
        writer.create_item("table", 1.0, {"x": writer.history["x"][-1]})
        writer.append({"x": None, "y": 3}, partial_step=True)
        with pytest.raises(UsageError, match="'x' has already been set in the active step"):
            writer.append({"x": 4})
        writer.append({"w": 5})
        writer.append({"w": 6})
        assert len(writer.history["y"]) == 2
        writer.create_item(
            "table", 1.0, {"x": writer.history["x"][:1], "w": writer.history["w"][:]}
        )
    assert data(client, 2) == [[1], [[5, 6], [1]]]


# Items.


class Step(NamedTuple):
    observation: Any
    reward: Any


def test_items_refer_to_any_steps(serve: Serve) -> None:
    client = serve()
    with client.trajectory_writer(5) as writer:
        for number in range(5):
            writer.append(Step({"image": np.full(2, number)}, float(number)))
        history = writer.history
        assert isinstance(history, Step)
        writer.create_item("table", 1.0, Step(history.observation["image"][-2:], history.reward[0]))
        writer.create_item("table", 2.0, [history.reward[[3, 1]], history.reward[::2]])
    assert data(client, 2) == [[[[3, 3], [4, 4]], 0.0], [[3.0, 1.0], [0.0, 2.0, 4.0]]]


def test_items_of_what_append_returned(serve: Serve) -> None:
    client = serve()
    with client.trajectory_writer(2) as writer:
        first = writer.append({"a": 1, "b": {"c": 2.5}})
        second = writer.append({"a": 3, "b": {"c": None}})
        assert (first["b"]["c"].dtype, first["b"]["c"].shape) == (np.float64, ())
        assert second["b"]["c"] is None
        column = replay.TrajectoryColumn([first["a"], second["a"]])
        squeezed = replay.TrajectoryColumn([first["b"]["c"]], squeeze=True)
        writer.create_item("table", 1.0, {"a": column, "c": squeezed})
        with pytest.raises(UsageError, match="exactly one step, not 2"):
            replay.TrajectoryColumn([first["a"], second["a"]], squeeze=True)
        with pytest.raises(UsageError, match="cannot contain any None"):
            replay.TrajectoryColumn([second["b"]["c"]], path=("b",))
        with pytest.raises(UsageError, match=r"several columns: 'a', 'b.c'"):
            replay.TrajectoryColumn([first["a"], first["b"]["c"]])
        with pytest.raises(
            UsageError, match=r"column of steps.* not <TrajectoryColumn of 'a': 2 steps>"
        ):
            unchecked(replay.TrajectoryColumn)([writer.history["a"][:], column])
        with pytest.raises(UsageError, match=r"column of steps.* not 'a'"):
            unchecked(replay.TrajectoryColumn)(first)
        again = unchecked(replay.TrajectoryColumn)(writer.history["a"][:])
        assert again.numpy().tolist() == [1, 3]
        writer.append({"a": 5})
        assert first["a"].expired
        with pytest.raises(RuntimeError, match="num_keep_alive_refs"):
            first["a"].numpy()
        with pytest.raises(RuntimeError, match="no longer kept"):
            column.numpy()
    assert data(client, 1) == [[[1, 3], 2.5]]


def test_the_window_is_of_each_column(serve: Serve) -> None:
    client = serve()
    with client.trajectory_writer(2) as writer:
        writer.configure(("rare",), num_keep_alive_refs=1)
        for number in range(9):
            writer.append({"x": number} | ({"rare": number} if number % 4 == 0 else {}))
        writer.configure(("x",), num_keep_alive_refs=1)
        writer.create_item("table", 1.0, [writer.history["x"][-1:], writer.history["rare"][8]])
        with pytest.raises(UsageError, match="needs num_keep_alive_refs=2 or more"):
            writer.create_item("table", 1.0, writer.history["x"][-2:])
        with pytest.raises(UsageError, match="num_keep_alive_refs='a'"):
            unchecked(writer.configure)(("x",), num_keep_alive_refs="a")
        with pytest.raises(UsageError, match="max_chunk_length=3: give a whole number from 1 to 2"):
            writer.configure(("x",), num_keep_alive_refs=2, max_chunk_length=3)
    assert data(client, 1) == [[[8], 8]]


def test_a_step_that_is_dropped_says_which(serve: Serve) -> None:
    with serve().trajectory_writer(2) as writer:
        for number in range(5):
            writer.append({"x": number})
        with pytest.raises(UsageError, match=r"step 1 of column 'x' .*=2 .*num_keep_alive_refs=4"):
            writer.create_item("table", 1.0, {"x": writer.history["x"][1:3]})
        column = writer.history["x"][-1:]
        writer.end_episode()
        with pytest.raises(UsageError, match="clear_buffers=False"):
            writer.create_item("table", 1.0, {"x": column})


def test_items_may_span_episodes(serve: Serve) -> None:
    client = serve()
    with client.trajectory_writer(3) as writer:
        writer.append({"x": 0})
        writer.end_episode(clear_buffers=False)
        writer.append({"x": 1})
        writer.create_item("table", 1.0, writer.history["x"][:])
    assert data(client, 1) == [[[0, 1]]]


def test_bad_items(serve: Serve) -> None:
    client = serve()
    with client.trajectory_writer(2) as writer, client.trajectory_writer(2) as other:
        writer.append({"x": 1})
        other.append({"x": 1})
        column = writer.history["x"][:]
        with pytest.raises(TypeError, match="must be TrajectoryColumn"):
            writer.create_item("table", 1.0, {"x": column, "y": np.zeros(3)})
        with pytest.raises(UsageError, match="has no column"):
            writer.create_item("table", 1.0, {})
        with pytest.raises(UsageError, match="column 'x' has no step"):
            writer.create_item("table", 1.0, {"x": column[1:]})
        with pytest.raises(UsageError, match="has no step"):
            writer.create_item("table", 1.0, replay.TrajectoryColumn([]))
        with pytest.raises(UsageError, match="priority=nan"):
            writer.create_item("table", float("nan"), column)
        with pytest.raises(UsageError, match="priority='high'"):
            unchecked(writer.create_item)("table", "high", column)
        with pytest.raises(UsageError, match="did you mean 'table'"):
            writer.create_item("tabel", 1.0, column)
        with pytest.raises(UsageError, match="column 'x' is of another writer"):
            writer.create_item("table", 1.0, other.history["x"][:])
        writer.create_item("table", float(np.float32(2)), column)
    assert size(client) == 1


def test_bad_steps_change_nothing(serve: Serve) -> None:
    client = serve()
    with client.trajectory_writer(3) as writer:
        writer.append({"a": 1, "x": np.zeros(2)})
        for bad in (
            {"a": 1, "x": np.zeros(3)},
            {"a": 1.0, "x": np.zeros(2)},
            {"a": 2**70, "x": np.zeros(2)},
            {"a": 1, "x": object()},
        ):
            with pytest.raises(UsageError, match=r"append: column '[ax]'"):
                writer.append(bad)
        writer.append({"a": 2, "x": np.array([3.0, 4.0])})
        assert writer.episode_steps == 2
        writer.create_item("table", 1.0, [writer.history["a"][:], writer.history["x"][:]])
    assert data(client, 1) == [[[1, 2], [[0, 0], [3, 4]]]]


def test_items_are_checked_against_the_signature(serve: Serve) -> None:
    spec = replay.ArraySpec
    signature = {"x": spec((None, 2), np.float32), "a": spec((), np.int64)}
    client = serve(table(signature=signature))
    with client.trajectory_writer(3) as writer:
        writer.append({"x": np.zeros(2, np.float32), "y": np.zeros(2), "a": 1})
        history = writer.history
        for _ in range(2):
            with pytest.raises(UsageError, match="table 'table': column 'x' has dtype float64"):
                writer.create_item("table", 1.0, {"x": history["y"][:], "a": history["a"][0]})
        with pytest.raises(UsageError, match="column 'a' has shape"):
            writer.create_item("table", 1.0, {"x": history["x"][:], "a": history["a"][:]})
        with pytest.raises(UsageError, match="column 'a' is missing"):
            writer.create_item("table", 1.0, {"x": history["x"][:]})
        writer.create_item("table", 1.0, {"x": history["x"][:], "a": history["a"][-1]})
    assert size(client) == 1


def test_a_signature_may_be_that_of_a_step(serve: Serve) -> None:
    client = serve(table(signature={"x": replay.ArraySpec((2,), np.float32)}))
    with client.trajectory_writer(3) as writer:
        for _ in range(3):
            writer.append({"x": np.zeros(2, np.float32), "y": np.zeros(2)})
        writer.create_item("table", 1.0, {"x": writer.history["x"][:]})
        with pytest.raises(UsageError, match="column 'x' has dtype float64"):
            writer.create_item("table", 1.0, {"x": writer.history["y"][:]})
    assert size(client) == 1


@pytest.mark.parametrize("close", ["close", "flush"])
def test_what_the_server_refuses_is_raised_and_the_rest_goes_on(serve: Serve, close: str) -> None:
    client = serve(table(), table("strict", signature={"x": replay.ArraySpec((1,), np.float32)}))
    writer = client.trajectory_writer(3, validate_items=False)
    writer.append({"x": 1})
    writer.create_item("strict", 1.0, {"x": writer.history["x"][-1:]})
    with pytest.raises(UsageError, match=r"1 item of table 'strict' .* column 'x' has dtype int64"):
        writer.flush()
    writer.append({"x": 2})
    writer.create_item("table", 1.0, {"x": writer.history["x"][:]})
    writer.flush()
    writer.create_item("nowhere", 1.0, {"x": writer.history["x"][:]})
    with pytest.raises(UsageError, match="there is no table 'nowhere'"):
        getattr(writer, close)()
    writer.close()
    assert data(client, 1) == [[[1, 2]]]


def test_a_refusal_is_raised_by_the_next_append(serve: Serve) -> None:
    client = serve(table(sampler=replay.selectors.Prioritized(1.0)))
    writer = client.trajectory_writer(1)
    writer.append([1])
    writer.create_item("table", -1.0, writer.history[0][:])
    until(lambda: writer._sender.failure is not None)  # noqa: SLF001 - when it comes is not told
    with pytest.raises(UsageError, match=r"negative|-1"):
        writer.append([2])
    writer.append([2])
    writer.close()


def test_an_episode_ends_though_its_items_were_refused(serve: Serve) -> None:
    client = serve(table(sampler=replay.selectors.Prioritized(1.0)))
    with client.trajectory_writer(2) as writer:
        writer.append([1])
        writer.create_item("table", -1.0, writer.history[0][:])
        until(lambda: writer._sender.failure is not None)  # noqa: SLF001 - when it comes is not told
        with pytest.raises(UsageError, match="1 item of table 'table' may not have been inserted"):
            writer.end_episode()
        assert writer.episode_steps == 0
        for number in (2, 3):
            writer.append([number])
            writer.create_item("table", 1.0, writer.history[0][:])
            writer.end_episode()
    assert client.server_info()["table"].num_episodes == 2
    assert sorted(data(client, 2)) == [[[2]], [[3]]]


def test_a_writer_of_steps_is_closed_once(serve: Serve) -> None:
    client = serve()
    with client.writer(1) as writer:
        writer.append([1])
        writer.create_item("table", 1, 1.0)
        writer.close()
        with pytest.raises(UsageError, match="closed already"):
            writer.close()
    assert size(client) == 1


def test_a_closed_writer(serve: Serve) -> None:
    client = serve()
    writer = client.trajectory_writer(1)
    writer.append([1])
    writer.create_item("table", 1.0, writer.history[0][:])
    writer.close()
    writer.close()
    assert "closed" in repr(writer)
    for use in (lambda: writer.append([1]), writer.flush, writer.end_episode):
        with pytest.raises(UsageError, match="closed"):
            use()
    assert size(client) == 1


@pytest.mark.parametrize("keep", [0, -1, 1.5])
def test_a_writer_keeps_something(serve: Serve, keep: Any) -> None:
    with pytest.raises(UsageError, match="num_keep_alive_refs"):
        serve().trajectory_writer(keep)


# Sending.


def test_many_items_of_two_writers(serve: Serve) -> None:
    client = serve(table("a"), table("b"))

    def write(name: str) -> None:
        with client.trajectory_writer(3) as writer:
            for number in range(3000):
                writer.append({"x": number, "y": np.full(3, number, np.float32)})
                history = writer.history
                trajectory = {"x": history["x"][-3:], "y": history["y"][-1]}
                writer.create_item(name, 1.0, trajectory)
                if number % 700 == 0:
                    writer.end_episode()

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    for name in "ab":
        items = data(client, 3000, name)
        assert [item[0][-1] for item in items] == list(range(3000))
        assert [item[1][0] for item in items] == list(range(3000))


def test_large_steps(serve: Serve) -> None:
    client = serve()
    with client.trajectory_writer(2) as writer:
        for number in range(40):
            writer.append({"x": np.full(2**18, number, np.float32)})
            writer.create_item("table", 1.0, writer.history["x"][-1])
    for number, item in enumerate(client.sample("table", 40, emit_timesteps=False)):
        assert (item.data[0] == number).all()


def test_a_flush_that_waits_for_the_limiter(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sender, "TOLD_AFTER_S", 0.05)
    client = serve(replay.Table.queue("queue", 1))
    writer = client.trajectory_writer(1)
    for number in range(3):
        writer.append([number])
        writer.create_item("queue", 1.0, writer.history[0][-1:])
    with pytest.raises(DeadlineExceeded, match=r"flush: .* not inserted within 0\.2 s"):
        writer.flush(timeout_ms=200)
    with pytest.raises(DeadlineExceeded), lp.deadline(0.1):
        writer.flush()
    assert "flush has waited" in caplog.text
    with pytest.raises(DeadlineExceeded):
        writer.end_episode(timeout_ms=1)
    assert writer.episode_steps == 0
    with pytest.raises(UsageError, match="timeout_ms='soon'"):
        unchecked(writer.end_episode)(timeout_ms="soon")
    with pytest.raises(UsageError, match="block_until_num_items=-1"):
        writer.flush(-1)
    writer.flush(block_until_num_items=3)
    assert data(client, 3, "queue") == [[[0]], [[1]], [[2]]]
    writer.flush(timeout_ms=None)
    writer.close()


@pytest.mark.parametrize("left", [1, 2])
def test_a_flush_ends_while_the_limiter_holds_as_many_as_it_may_leave(
    serve: Serve, left: int
) -> None:
    """The sampler comes only afterwards: to wait for the rest would be to wait for ever."""
    client = serve(replay.Table.queue("queue", 3))
    with client.trajectory_writer(1) as writer:
        for number in range(3 + left):
            writer.append([number])
            writer.create_item("queue", 1.0, writer.history[0][-1:])
        writer.flush(block_until_num_items=left, timeout_ms=int(1000 * PATIENCE_S))
        assert f"{left} item" in repr(writer)
        assert size(client, "queue") == 3
        assert waiting(client) == 1
        with pytest.raises(DeadlineExceeded, match=f"flush: {left} item"):
            writer.flush(left - 1, timeout_ms=50)
        writer.append([9])
        writer.create_item("queue", 1.0, writer.history[0][-1:])
        writer.flush(left + 1)
        assert data(client, 1, "queue") == [[[0]]]
        writer.flush(left)
        assert len(data(client, 3 + left, "queue")) == 3 + left


def test_a_flush_that_is_under_way_hears_of_progress(serve: Serve) -> None:
    client = serve(replay.Table.queue("queue", 1), replay.Table.queue("other", 1))
    with client.trajectory_writer(1) as writer:
        for number in range(6):
            writer.append([number])
            writer.create_item(("queue", "other")[number % 2], 1.0, writer.history[0][-1:])
        flushed = threading.Thread(target=writer.flush, args=(1,))
        flushed.start()
        for name in ("other", "queue", "queue"):
            assert flushed.is_alive()
            assert len(data(client, 1, name)) == 1
        flushed.join(PATIENCE_S)
        assert not flushed.is_alive()
        assert "1 item" in repr(writer)
        assert waiting(client, "other") == 1
        assert len(data(client, 1, "other")) == 1
    assert (size(client, "queue"), size(client, "other")) == (1, 1)


def test_a_server_that_is_restarted_gets_the_whole_frame_again() -> None:
    """It cannot know what the one before has inserted of it."""
    with replay.Server([replay.Table.queue("table", 2)]) as server:
        port = server.port
        writer = server.localhost_client().trajectory_writer(2)
        write(writer, range(4))
        writer.flush(2)
    with replay.Server([replay.Table.queue("table", 10)], port=port) as server:
        writer.close()
        assert [item[0][-1] for item in data(server.localhost_client(), 4)] == [0, 1, 2, 3]


def test_whoever_creates_very_many_waits(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "MOST_ITEMS", 5)
    client = serve(replay.Table.queue("queue", 1))
    with client.trajectory_writer(1) as writer:
        writer.append([7])
        with pytest.raises(DeadlineExceeded, match="create_item"), lp.deadline(1.0):
            for _ in range(7):
                writer.create_item("queue", 1.0, writer.history[0][-1:])
        until(lambda: client.server_info()["queue"].current_size == 1)
        assert len(list(client.sample("queue", 5))) == 5


def test_a_writer_that_failed_for_our_reasons_does_not_wait(serve: Serve) -> None:
    client = serve(replay.Table.queue("queue", 1))
    with pytest.raises(LaunchpadError, match="mine"), client.trajectory_writer(1) as writer:
        writer.append([7])
        for _ in range(3):
            writer.create_item("queue", 1.0, writer.history[0][-1:])
        raise LaunchpadError("mine")
    until(lambda: waiting(client) == 0)


def test_a_writer_that_is_let_go_still_sends(serve: Serve) -> None:
    client = serve()
    writer = client.trajectory_writer(1)
    writer.append([7])
    writer.create_item("table", 1.0, writer.history[0][:])
    del writer
    gc.collect()
    assert data(client, 1) == [[[7]]]


def test_a_process_that_ends_still_sends(serve: Serve) -> None:
    client = serve()
    code = (
        "from launchpad_lite import replay\n"
        f"writer = replay.Client({client.server_address!r}).trajectory_writer(1)\n"
        "for number in range(100):\n"
        "    writer.append([number])\n"
        "    writer.create_item('table', 1.0, writer.history[0][-1:])\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert size(client) == 100


def test_a_writer_that_is_let_go_while_it_waits_ends(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sender, "_LET_GO_S", 0.1)
    client = serve(replay.Table.queue("queue", 1))
    writer = client.trajectory_writer(1)
    writer.append([7])
    for _ in range(3):
        writer.create_item("queue", 1.0, writer.history[0][-1:])
    del writer
    gc.collect()
    until(lambda: "a replay writer ended with" in caplog.text)


# Servers that go.


def write(writer: replay.TrajectoryWriter, numbers: range) -> None:
    for number in numbers:
        writer.append({"x": number})
        writer.create_item("table", 1.0, writer.history["x"][-2:])


def test_a_server_that_was_restarted() -> None:
    with replay.Server([table()]) as server:
        port = server.port
        writer = server.localhost_client().trajectory_writer(2)
        write(writer, range(3))
        writer.flush()
    write(writer, range(3, 5))
    with replay.Server([table()], port=port) as server:
        client = server.localhost_client()
        writer.flush()
        write(writer, range(5, 6))
        writer.close()
        assert data(client, 3) == [[[2, 3]], [[3, 4]], [[4, 5]]]


def test_a_server_that_was_killed() -> None:
    """What is under way then may be inserted twice, and is not lost."""
    code = (
        "import sys\n"
        "from launchpad_lite import replay\n"
        "queue = replay.Table.queue('table', 1000)\n"
        "server = replay.Server([queue], port=int(sys.argv[1]))\n"
        "print(server.port, flush=True)\n"
        "server.wait()\n"
    )

    def start(port: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, port]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def port_of(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()

    with start("0") as first:
        port = port_of(first)
        writer = replay.Client(f"localhost:{port}").trajectory_writer(3)
        write(writer, range(500))
        first.kill()
    write(writer, range(500, 600))
    with start(port) as second:
        assert port_of(second) == port
        write(writer, range(600, 700))
        writer.close()
        client = replay.Client(f"localhost:{port}")
        items = data(client, size(client))
        second.kill()
    last = [item[0][-1] for item in items]
    assert last[-200:] == list(range(500, 700))
    assert last == list(range(last[0], 700))


def test_a_server_that_stops_while_items_wait() -> None:
    with replay.Server([replay.Table.queue("queue", 1)]) as server:
        port, client = server.port, server.localhost_client()
        writer = client.trajectory_writer(1)
        writer.append([7])
        for _ in range(3):
            writer.create_item("queue", 1.0, writer.history[0][-1:])
        until(lambda: waiting(client) == 1)
    with replay.Server([replay.Table.queue("queue", 10)], port=port) as server:
        writer.close()
        assert server.localhost_client().server_info()["queue"].current_size >= 2


def test_a_server_that_says_it_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such an answer is an error after a while, and nothing is lost."""
    monkeypatch.setattr(sender, "_RETRY_FOR_S", 0.1)
    away, frames = [True], []

    def receive(frame: Frame) -> int:
        if away[0]:
            raise Unavailable("away", maybe_executed=False)
        frames.append(frame)
        return 0

    server = lp.courier.Server()
    server.Bind("write", receive)
    server.Bind("close_stream", lambda number: None)
    server.Start()
    try:
        client = lp.courier.Client(server.address)
        writer = replay.TrajectoryWriter(client, 1, validate_items=False)
        write(writer, range(1))
        with pytest.raises(Unavailable, match="away"):
            writer.flush()
        away[0] = False
        writer.close()
    finally:
        server.Stop()
    assert [frame.sequence for frame in frames] == [0]


def test_a_stream_that_was_idle(monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    monkeypatch.setattr("launchpad_lite.replay.service.methods._SWEEP_S", 0.0)
    monkeypatch.setattr("launchpad_lite.replay.service.streams.IDLE_S", 0.0)
    client = serve()
    with client.trajectory_writer(3) as writer:
        for number in range(5):
            writer.append({"x": number})
            writer.create_item("table", 1.0, writer.history["x"][-3:])
            writer.flush()
            client.server_info()  # forgets the stream
    assert data(client, 5)[-1] == [[2, 3, 4]]


def test_the_end_of_a_run_ends_who_waits(caplog: pytest.LogCaptureFixture) -> None:
    ended: collections.deque[BaseException] = collections.deque()

    class Actor:
        def run(self) -> None:
            with replay.Server([replay.Table.queue("queue", 1)]) as server:
                writer = server.localhost_client().trajectory_writer(1)
                writer.append([1])
                for _ in range(3):
                    writer.create_item("queue", 1.0, writer.history[0][-1:])
                lp.stop()
                try:
                    writer.flush()
                except BaseException as error:
                    ended.append(error)
                    raise
                finally:
                    writer.abandon()

    program = lp.Program("writer")
    program.add_node(lp.CourierNode(Actor), label="actor")
    with caplog.at_level(logging.INFO):
        lp.launch(program, launcher="thread").wait(PATIENCE_S)
    assert isinstance(ended[0], Stopped | SystemExit)
    [told] = [record for record in caplog.records if "ended with" in record.message]
    assert told.levelno == logging.INFO


# The writer of whole steps.


def test_whole_steps(serve: Serve) -> None:
    client = serve()
    with client.writer(max_sequence_length=2) as writer:
        for number in range(3):
            writer.append({"b": number, "a": np.full(2, number)})
        writer.create_item("table", 1, 5.0)
        writer.create_item("table", num_timesteps=2, priority=1.0)
        with pytest.raises(UsageError, match=r"num_timesteps=3, and there are 2 steps"):
            writer.create_item("table", 3, 1.0)
        with pytest.raises(UsageError, match="num_timesteps=0"):
            writer.create_item("table", 0, 1.0)
        writer.flush()
        assert size(client) == 2
    assert data(client, 2) == [[[[2, 2]], [2]], [[[1, 1], [2, 2]], [1, 2]]]


def test_a_sequence_is_appended_step_by_step(serve: Serve) -> None:
    client = serve()
    with client.writer(2) as writer:
        writer.append_sequence([np.array([[1, 2, 3], [4, 5, 6]]), np.arange(2)])
        writer.create_item("table", 2, 1.0)
        with pytest.raises(UsageError, match="the same number of steps"):
            writer.append_sequence([np.zeros((2, 3), int), np.arange(3)])
        with pytest.raises(UsageError, match="the same number of steps"):
            writer.append_sequence([1, 2])
    assert data(client, 1) == [[[[1, 2, 3], [4, 5, 6]], [0, 1]]]


def test_whole_steps_have_one_structure(serve: Serve) -> None:
    client = serve()
    with client.writer(2) as writer:
        writer.append({"a": 1, "b": 2.0})
        with pytest.raises(UsageError, match="'b' is missing"):
            writer.append({"a": 1})
        with pytest.raises(UsageError, match="'a' is None"):
            writer.append({"a": None, "b": 2.0})
        with pytest.raises(UsageError, match="'b' has dtype int64"):
            writer.append({"a": 1, "b": 2})


def test_whole_steps_fit_the_signature(serve: Serve) -> None:
    signature = {"a": replay.ArraySpec((None,), np.int64), "b": replay.ArraySpec((None, 2), float)}
    client = serve(table(signature=signature))
    with client.writer(2) as writer:
        writer.append({"a": 1, "b": np.zeros(2)})
        writer.create_item("table", 1, 1.0)
    with client.writer(2) as writer:
        writer.append({"a": 1, "b": np.zeros(3)})
        with pytest.raises(UsageError, match="column 'b' has shape"):
            writer.create_item("table", 1, 1.0)


@pytest.mark.parametrize(
    "settings",
    [
        {"max_sequence_length": 0},
        {"max_sequence_length": 2, "chunk_length": 3},
        {"max_sequence_length": 2, "max_in_flight_items": 0},
    ],
)
def test_bad_settings_of_a_writer(serve: Serve, settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="writer: "):
        serve().writer(**settings)
