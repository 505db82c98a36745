"""The structured writer, over real sockets: which items it makes of which steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

from launchpad_lite import replay
from launchpad_lite.errors import DeadlineExceeded, UsageError
from launchpad_lite.replay import structured_writer
from launchpad_lite.replay.structured_writer import Condition, create_config, create_reference_step
from tests.helpers import unchecked
from tests.unit.replay_servers import Serve

STEP = {"a": None, "b": None}
REFERENCE = create_reference_step(STEP)
DATA = Condition.data(STEP)


@pytest.fixture
def client(serve: Serve) -> replay.Client:
    """A client of a server with two queues."""
    return serve(replay.Table.queue("table", 1000), replay.Table.queue("other", 1000))


def content(client: replay.Client, table: str = "table") -> list[list[Any]]:
    """The columns of all items of a table, as lists."""
    count = client.server_info()[table].current_size
    if not count:
        return []
    sampled = client.sample(table, count, emit_timesteps=False)
    return [[column.tolist() for column in item.data] for item in sampled]


def made(
    client: replay.Client, steps: Sequence[Any], pattern: Any, *conditions: Any
) -> list[list[Any]]:
    """The items that one config makes of the steps of one episode."""
    with client.structured_writer([create_config(pattern, "table", conditions)]) as writer:
        for step in steps:
            writer.append(step)
        writer.end_episode()
    return content(client)


@pytest.mark.parametrize(
    ("condition", "steps"),
    [
        (Condition.step_index() <= 2, [0, 1, 2]),
        (Condition.step_index() % 3 == 0, [0, 3, 6, 9]),
        (Condition.step_index() != 3, [0, 1, 2, 4, 5, 6, 7, 8, 9]),
        (Condition.steps_since_applied() >= 4, [3, 7]),
        (Condition.is_end_episode(), [9]),
    ],
)
def test_a_condition_chooses_steps(client: replay.Client, condition: Any, steps: list[int]) -> None:
    latest = structured_writer.pattern_from_transform(None, lambda step: step[-1])
    assert made(client, range(10), latest, condition) == [[step] for step in steps]


def test_all_conditions_must_be_fulfilled(client: replay.Client) -> None:
    steps = [{"a": step, "b": step % 2 == 0} for step in range(6)]
    assert made(client, steps, REFERENCE["a"][-1], DATA["b"] == 1, DATA["a"] > 1) == [[2], [4]]


def test_a_condition_may_be_on_a_column_that_is_in_no_pattern(client: replay.Client) -> None:
    steps = [{"a": 1, "b": 11}, {"a": 2, "b": 10}, {"a": 3, "b": 11}, {"a": 4, "b": None}]
    assert made(client, steps, REFERENCE["a"][-2], DATA["b"] > 10) == [[2]]


@pytest.mark.parametrize(
    ("pattern", "items"),
    [
        ({"x": REFERENCE["a"][-3], "y": REFERENCE["b"][-2:]}, [[0, [10, 20]], [1, [20, 30]]]),
        ({"x": REFERENCE["a"][-3:-1], "y": REFERENCE["a"][-1]}, [[[0, 1], 2], [[1, 2], 3]]),
        ([REFERENCE["a"][-4::2]], [[[0, 2]]]),
        (REFERENCE["a"][-9:], []),
    ],
)
def test_a_pattern_is_applied_once_the_history_is_long_enough(
    client: replay.Client, pattern: Any, items: list[Any]
) -> None:
    assert made(client, [{"a": i, "b": 10 * i} for i in range(4)], pattern) == items


def test_a_step_without_a_value_makes_no_item(client: replay.Client) -> None:
    steps = [{"a": None if i == 2 else i, "b": i} for i in range(6)]
    pattern = {"x": REFERENCE["a"][-2:], "y": REFERENCE["b"][-1]}
    assert made(client, steps, pattern) == [[[0, 1], 1], [[3, 4], 4], [[4, 5], 5]]


def test_a_step_in_which_no_column_has_a_value_is_not_looked_at(client: replay.Client) -> None:
    steps = [{"a": value, "b": 5} for value in (0, None, 2, 3, 4)]
    latest = REFERENCE["a"][-1]
    assert made(client, steps, latest, Condition.steps_since_applied() >= 2) == [[2], [4]]
    assert made(client, steps, latest, Condition.step_index() == 3) == [[3]]


def test_configs_are_applied_in_their_order_to_their_tables(client: replay.Client) -> None:
    configs = [
        create_config(REFERENCE["a"][-1], "table", [DATA["a"] % 2 == 0]),
        create_config(REFERENCE["b"][-1], "other", [DATA["a"] % 2 == 1]),
        create_config([REFERENCE["a"][-2:]], "table"),
    ]
    with client.structured_writer(configs) as writer:
        for step in range(4):
            writer.append({"a": step, "b": -step})
    assert content(client) == [[0], [[0, 1]], [2], [[1, 2]], [[2, 3]]]
    assert content(client, "other") == [[-1], [-3]]


def test_the_priority_is_constant_or_of_the_errors(serve: Serve) -> None:
    client = serve(replay.Table.queue("table", 10))
    errors = {"x": REFERENCE["a"][-2:]}
    configs = [
        create_config(REFERENCE["b"][-1], "table"),
        create_config(REFERENCE["b"][-1], "table", priority=0.5),
        create_config(errors, "table", priority=structured_writer.constant_priority_fn(2)),
        create_config(
            errors, "table", priority=structured_writer.td_error(0.75, STEP, lambda step: step["a"])
        ),
    ]
    with client.structured_writer(configs) as writer:
        writer.append({"a": -4.0, "b": 0})
        writer.append({"a": 2.0, "b": 0})
    priorities = [item.info.priority for item in client.sample("table", 6, emit_timesteps=False)]
    assert priorities == [1.0, 0.5, 1.0, 0.5, 2.0, 0.75 * 4 + 0.25 * 3]


def test_a_td_error_is_one_number_at_each_step(client: replay.Client) -> None:
    priority = structured_writer.td_error(0.5, STEP, lambda step: step["a"])
    config = create_config([REFERENCE["a"][-1:]], "table", priority=priority)
    refused = {
        r"td_error: column 'a' has shape \[2\] at each step": np.zeros(2),
        "td_error: the priority=nan: give a number": np.nan,
    }
    for message, value in refused.items():
        writer = client.structured_writer([config])
        with writer, pytest.raises(UsageError, match=message):
            writer.append({"a": value, "b": 0})


# Partial steps.


def test_a_partial_step_makes_what_it_can_and_nothing_twice(client: replay.Client) -> None:
    configs = [
        create_config(REFERENCE["a"][-1], "table"),
        create_config([REFERENCE["a"][-1], REFERENCE["b"][-1]], "other"),
    ]
    with client.structured_writer(configs) as writer:
        assert not writer.step_is_open
        writer.append({"a": 1, "b": None}, partial_step=True)
        assert writer.step_is_open
        writer.flush()
        assert (content(client), content(client, "other")) == ([[1]], [])
        writer.append({"a": None, "b": 2})
        assert not writer.step_is_open
        writer.append({"a": 3, "b": None}, partial_step=True)
        with pytest.raises(UsageError, match="column 'a' has already been set in the active step"):
            writer.append({"a": 4, "b": 4})
        writer.end_episode()
        assert not writer.step_is_open
    assert (content(client), content(client, "other")) == ([[3]], [[1, 2]])


def test_parts_of_a_step_are_one_step(client: replay.Client) -> None:
    conditions = [Condition.steps_since_applied() >= 2, Condition.step_index() >= 0]
    config = create_config([REFERENCE["a"][-1], REFERENCE["b"][-1]], "table", conditions)
    with client.structured_writer([config]) as writer:
        for step in range(4):
            writer.append({"a": step, "b": None}, partial_step=True)
            writer.append({"a": None, "b": step})
    assert content(client) == [[1, 1], [3, 3]]


# Episodes.


@pytest.mark.parametrize(
    ("clear", "items"), [(True, [[0, 1], [2, 3]]), (False, [[0, 1], [1, 2], [2, 3]])]
)
def test_items_span_episodes_where_the_buffers_are_kept(
    client: replay.Client, clear: bool, items: list[list[int]]
) -> None:
    config = create_config(REFERENCE["a"][-2:], "table")
    with client.structured_writer([config]) as writer:
        for step in range(4):
            writer.append({"a": step, "b": 0})
            if step == 1:
                writer.end_episode(clear_buffers=clear)
    assert content(client) == [[item] for item in items]


def test_the_step_index_begins_anew_and_the_steps_since_an_item_do_not(
    client: replay.Client,
) -> None:
    configs = [
        create_config(REFERENCE["a"][-1], "table", [Condition.step_index() == 1]),
        create_config(REFERENCE["a"][-1], "other", [Condition.steps_since_applied() >= 3]),
    ]
    with client.structured_writer(configs) as writer:
        for step in range(6):
            writer.append({"a": step, "b": 0})
            if step in {1, 3}:
                writer.end_episode()
    assert content(client) == [[1], [3], [5]]
    assert content(client, "other") == [[2], [5]]


def test_the_end_of_an_episode_makes_an_item_once(client: replay.Client) -> None:
    config = create_config(REFERENCE["a"][-1], "table", [Condition.is_end_episode()])
    with client.structured_writer([config]) as writer:
        writer.end_episode()
        writer.append({"a": 1, "b": 0})
        writer.end_episode(clear_buffers=False)
        writer.end_episode()
        writer.end_episode()
        writer.append({"a": 2, "b": None}, partial_step=True)
        writer.end_episode()
    assert content(client) == [[1], [2]]


def test_an_episode_ends_though_its_last_items_are_not_inserted_in_time(serve: Serve) -> None:
    client = serve(replay.Table.queue("table", 1))
    latest = structured_writer.pattern_from_transform(None, lambda step: step[-1])
    config = create_config(latest, "table", [Condition.step_index() == 0])
    with client.structured_writer([config]) as writer:
        writer.append(0)
        writer.end_episode()
        writer.append(1)
        with pytest.raises(DeadlineExceeded, match="not inserted"):
            writer.end_episode(timeout_ms=50)
        writer.append(2)
        with pytest.raises(DeadlineExceeded):
            writer.flush(timeout_ms=50)
        sampled = client.sample("table", 3, emit_timesteps=False)
        assert [int(item.data[0]) for item in sampled] == [0, 1, 2]


# What steps and configs may look like.


class Point(NamedTuple):
    x: Any
    y: Any


@pytest.mark.parametrize(
    ("make", "pick"),
    [
        (lambda x, y: {"z": y, "x": x, "unused": "text"}, lambda step: (step["x"], step["z"])),
        (lambda x, y: [y, [x, "text"]], lambda step: (step[1][0], step[0])),
        (lambda x, y: (x, y, object()), lambda step: (step[0], step[1])),
        (Point, lambda step: (step.x, step.y)),
        (
            lambda x, y: {"deep": {"x": x, "unused": [1, None]}, "z": (y,)},
            lambda step: (step["deep"]["x"], step["z"][0]),
        ),
    ],
    ids=["dict", "list", "tuple", "named tuple", "nest"],
)
def test_steps_may_be_nested_in_any_way(
    client: replay.Client, make: Callable[[Any, Any], Any], pick: Callable[[Any], Any]
) -> None:
    def transform(step: Any) -> Any:
        x, y = pick(step)
        return {"second": y[-1:], "first": [x[-2]]}

    pattern = structured_writer.pattern_from_transform(make(None, None), transform)
    steps = [make(np.float32(i), np.array([i, i + 1])) for i in range(3)]
    assert made(client, steps, pattern) == [[0.0, [[1, 2]]], [1.0, [[2, 3]]]]


def test_an_item_has_the_structure_of_the_pattern(serve: Serve) -> None:
    signature = {"x": replay.ArraySpec([2], np.int64), "y": [replay.ArraySpec([], np.int64)]}
    client = serve(replay.Table.queue("table", 10, signature=signature))
    config = create_config({"x": REFERENCE["a"][-2:], "y": [REFERENCE["b"][-1]]}, "table")
    with client.structured_writer([config]) as writer:
        writer.append({"a": 1, "b": 2})
        writer.append({"a": 3, "b": 4})
    (item,) = client.sample("table", 1, emit_timesteps=False, unpack_as_table_signature=True)
    assert (item.data["x"].tolist(), item.data["y"][0].tolist()) == ([1, 3], 4)


def test_a_config_may_serve_several_writers(client: replay.Client) -> None:
    config = create_config(REFERENCE["a"][-1], "table", [Condition.steps_since_applied() >= 2])
    for _ in range(2):
        with client.structured_writer([config]) as writer:
            for step in range(2):
                writer.append({"a": step, "b": 0})
    assert content(client) == [[1], [1]]


# Wrong use.


@pytest.mark.parametrize(
    ("configs", "message"),
    [
        ([], "configs is empty: at least one config must be given"),
        (3, "configs=3: give a list of what create_config returns"),
        ([REFERENCE["a"][-1]], "configs[0]=PatternNode("),
    ],
)
def test_wrong_configs_are_refused(serve: Serve, configs: Any, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        serve(replay.Table.queue("table", 1)).structured_writer(configs)
    assert str(refused.value).startswith(f"structured_writer: {message}")


def test_the_first_step_has_all_columns(client: replay.Client) -> None:
    config = create_config(REFERENCE["a"][-1], "table", [DATA["b"] == 1])
    with client.structured_writer([config]) as writer:
        for step in ({"a": 1, "bb": 1}, {"a": 2, "bb": 1}):
            with pytest.raises(UsageError, match=r"no column 'b'; did you mean 'bb'\?"):
                writer.append(step)
        writer.append({"a": 3, "b": 1, "bb": 1})
        writer.append({"a": 4})
        writer.append({"a": 5, "b": 1})
    assert content(client) == [[3], [5]]


def test_a_structure_or_dtype_that_changes_is_refused(client: replay.Client) -> None:
    with client.structured_writer([create_config(REFERENCE["a"][-2:], "table")]) as writer:
        writer.append({"a": 1, "b": 0})
        with pytest.raises(UsageError, match="column 'a' has dtype float64, and had int64"):
            writer.append({"a": 1.5, "b": 0})
        with pytest.raises(UsageError, match="append: data is a list, and was a dict"):
            writer.append([2, 0])
        writer.append({"a": 2, "b": 0})
    assert content(client) == [[[1, 2]]]


@pytest.mark.parametrize(
    ("value", "shown"), [(0.5, r"float64\[\]"), (np.zeros(2, int), r"int64\[2\]")]
)
def test_a_condition_is_on_one_whole_number(client: replay.Client, value: Any, shown: str) -> None:
    config = create_config(REFERENCE["b"][-1], "table", [DATA["a"] == 0])
    writer = client.structured_writer([config])
    with writer, pytest.raises(UsageError, match=f"on column 'a', which is {shown}"):
        writer.append({"a": value, "b": 0})


def test_a_table_must_be_there_and_fit(serve: Serve) -> None:
    signature = {"x": replay.ArraySpec([2], np.int64)}
    client = serve(replay.Table.queue("table", 10, signature=signature))
    refused = {
        "tabel": "there is no table 'tabel'; did you mean 'table'",
        "table": r"column 'x' has shape \[1\], and must have \[2\]",
    }
    for name, message in refused.items():
        writer = client.structured_writer([create_config({"x": REFERENCE["a"][-1:]}, name)])
        with writer, pytest.raises(UsageError, match=message):
            writer.append({"a": 1, "b": 2})


def test_a_closed_writer_says_so(client: replay.Client) -> None:
    writer = client.structured_writer([create_config(REFERENCE["a"][-1], "table")])
    writer.append({"a": 1, "b": 2})
    assert repr(writer) == "<StructuredWriter: 1 item not inserted>"
    writer.close()
    writer.close()
    assert repr(writer) == "<StructuredWriter: closed>"
    calls: list[Callable[[], object]] = [
        lambda: writer.append({"a": 1, "b": 2}),
        writer.flush,
        writer.end_episode,
    ]
    for call in calls:
        with pytest.raises(UsageError, match="this writer is closed"):
            call()
    assert content(client) == [[1]]


def test_a_wrong_argument_of_flush_is_refused(client: replay.Client) -> None:
    with client.structured_writer([create_config(REFERENCE["a"][-1], "table")]) as writer:
        with pytest.raises(UsageError, match="flush: block_until_num_items=-1: give a whole"):
            writer.flush(-1)
        with pytest.raises(UsageError, match="end_episode: timeout_ms='x': give a number"):
            unchecked(writer.end_episode)(timeout_ms="x")
