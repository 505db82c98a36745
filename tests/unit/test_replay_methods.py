"""The methods of a replay server, called without one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.limiters import MinSize
from launchpad_lite.replay.core.selectors.ordered import Fifo
from launchpad_lite.replay.core.selectors.prioritized import Prioritized
from launchpad_lite.replay.core.selectors.uniform import Uniform
from launchpad_lite.replay.core.table import Table
from launchpad_lite.replay.core.types import AnyArray
from launchpad_lite.replay.service.methods import ReplayService
from launchpad_lite.replay.service.protocol import Frame, StreamLost


def service() -> ReplayService:
    return ReplayService(
        [
            Table("uniform", Uniform(), Fifo(), 10, MinSize(1)),
            Table("prioritized", Prioritized(1.0), Fifo(), 10, MinSize(1)),
        ]
    )


COLUMNS: list[AnyArray] = [np.arange(6.0).reshape(1, 6), np.array([3])]
NBYTES = 6 * 8 + 8


def test_an_item_of_several_tables_is_stored_once_and_goes_with_the_last_one() -> None:
    replay = service()
    assert replay.insert(COLUMNS, {"uniform": 1.0, "prioritized": 2.0}) is None
    assert replay.store.nbytes == NBYTES
    replay.reset("uniform")
    assert replay.store.nbytes == NBYTES
    replay.reset("prioritized")
    assert replay.store.nbytes == 0


@pytest.mark.parametrize("priority", [-1.0, math.inf, math.nan])
def test_what_a_table_refuses_is_not_kept(priority: float) -> None:
    replay = service()
    with pytest.raises(UsageError, match="priority"):
        replay.insert(COLUMNS, {"prioritized": priority})
    assert replay.store.nbytes == 0
    with pytest.raises(UsageError, match="priority"):
        replay.insert(COLUMNS, {"uniform": 1.0, "prioritized": -1.0})
    assert len(replay.tables["uniform"]) == 0
    assert replay.store.nbytes == 0


def test_the_oldest_items_go_from_a_full_table() -> None:
    replay = service()
    for number in range(25):
        columns: list[AnyArray] = [np.array([number])]
        replay.insert(columns, {"uniform": 1.0})
    assert replay.store.nbytes == 10 * 8
    samples = replay.tables["uniform"].try_sample(100)
    assert samples is not None
    (gathered,) = samples.gathered
    assert set(gathered.columns[0].ravel().tolist()) == set(range(15, 25))


def test_a_frame_that_comes_while_the_service_closes_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its stream begins anew, and is given up before it has taken the frame."""
    replay = service()
    begin = Frame(stream=1, sequence=0, begins=True, blocks=[], runs=[], drop=[])
    assert replay.write(begin) == 0
    monkeypatch.setattr(replay, "_close", lambda _: replay.close("the test ends"))
    with pytest.raises(StreamLost):
        replay.write(begin._replace(sequence=5))
