"""Answers of a replay server: cut into runs, into timesteps, and joined."""

from __future__ import annotations

import numpy as np
import pytest

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.service.batches import Naming, in_order, join, part, timesteps
from tests.unit.replay_answers import answer

NAMING = Naming("here", ("observation", "reward"))


def test_a_part_is_a_view() -> None:
    whole = answer(range(5))
    some = part(whole, 1, 3)
    assert some.places.tolist() == [1, 2]
    assert some.info.key.tolist() == [1, 2]
    assert all(np.shares_memory(a, b) for a, b in zip(some.columns, whole.columns, strict=True))


def test_an_answer_of_one_sort_is_one_run() -> None:
    batches = [answer(range(3))]
    assert in_order(batches) is batches


def test_runs_come_in_the_order_of_sampling() -> None:
    runs = in_order([answer([0, 1, 4], [0, 1, 4]), answer([2, 3, 5], [2, 3, 5], length=2)])
    assert [run.info.key.tolist() for run in runs] == [[0, 1], [2, 3], [4], [5]]
    assert [run.columns[1].shape[1] for run in runs] == [1, 2, 1, 2]


def test_timesteps_of_single_steps_are_a_view() -> None:
    whole = answer(range(3))
    flat, length = timesteps(whole, NAMING)
    assert length == 1
    assert [column.shape for column in flat.columns] == [(3, 2), (3,)]
    assert np.shares_memory(flat.columns[0], whole.columns[0])
    assert flat.info is whole.info


def test_timesteps_have_the_info_of_their_item() -> None:
    flat, length = timesteps(answer([7, 8], length=3), NAMING)
    assert length == 3
    assert flat.info.key.tolist() == [7, 7, 7, 8, 8, 8]
    assert flat.columns[0].tolist() == [[7, 0], [7, 1], [7, 2], [8, 0], [8, 1], [8, 2]]
    assert flat.places.tolist() == [0, 0, 0, 1, 1, 1]


def test_columns_of_different_lengths_have_no_timesteps() -> None:
    whole = answer([1], length=3)
    other = whole._replace(columns=[whole.columns[0], whole.columns[1][:, :2]])
    with pytest.raises(UsageError) as found:
        timesteps(other, NAMING)
    assert str(found.value) == (
        "here: an item's columns do not all have the same steps (column 'observation' has 3, "
        "column 'reward' has 2), so it cannot be given as timesteps. Sample it as a whole: with a "
        "TrajectoryDataset, or Client.sample(..., emit_timesteps=False)."
    )
    squeezed = whole._replace(squeezed=(False, True), columns=[whole.columns[0], np.zeros(1)])
    with pytest.raises(UsageError, match="column 1 is squeezed"):
        timesteps(squeezed, Naming("here"))


def test_one_batch_is_joined_as_it_is() -> None:
    whole = answer(range(3))
    assert join([whole], NAMING) is whole


def test_batches_are_joined() -> None:
    both = join([answer([1, 2]), answer([3])], NAMING)
    assert both.info.key.tolist() == [1, 2, 3]
    assert both.columns[1].tolist() == [[1], [2], [3]]
    assert both.columns[0].dtype == np.float32


def test_what_differs_is_not_joined() -> None:
    with pytest.raises(UsageError) as found:
        join([answer([1], length=3), answer([2], length=4)], NAMING)
    assert str(found.value) == (
        "here: column 'observation' is float32[3, 2] in some items and float32[4, 2] in others, so "
        "they cannot be stacked in a batch. Insert items of one shape, or leave out batch_size and "
        "batch them yourself."
    )
    one = answer([1])
    wide = one._replace(columns=[one.columns[0].astype(np.float64), one.columns[1]])
    with pytest.raises(UsageError, match=r"column 0 is float32.* and float64"):
        join([one, wide], Naming("here"))
    fewer = one._replace(squeezed=(False,), columns=one.columns[:1])
    with pytest.raises(UsageError, match="some items have 2 columns and others 1"):
        join([one, fewer], NAMING)
