"""Datasets as torch's, where torch is installed."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from launchpad_lite import replay
from launchpad_lite.errors import UsageError
from launchpad_lite.replay import structured_writer
from tests.unit.replay_servers import Serve

HAS_TORCH = importlib.util.find_spec("torch") is not None
torch: Any = pytest.importorskip("torch") if HAS_TORCH else None
with_torch = pytest.mark.skipif(not HAS_TORCH, reason="torch is not installed")
# torch says it itself of a process with threads; those of a client are no matter to the child
forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

Fill = Callable[[Any], replay.Client]


@pytest.fixture
def fill(serve: Serve) -> Fill:
    """Makes a client of a server with a table of 64 items, which are copies of one step."""

    def start(step: Any) -> replay.Client:
        client = serve(
            replay.Table(
                "table",
                sampler=replay.selectors.Fifo(),
                remover=replay.selectors.Fifo(),
                max_size=64,
                rate_limiter=replay.rate_limiters.MinSize(1),
            )
        )
        for _ in range(64):
            client.insert(step, {"table": 1.0})
        return client

    return start


def dataset(client: replay.Client, **settings: Any) -> replay.TimestepDataset:
    dtypes = {"image": np.uint8, "reward": np.float64}
    shapes = {"image": (4,), "reward": ()}
    return replay.TimestepDataset(client, "table", dtypes, shapes, **settings)


STEP = {"image": np.arange(4, dtype=np.uint8), "reward": 0.5}


@pytest.mark.skipif(HAS_TORCH, reason="torch is installed")
def test_without_torch_there_is_an_error_that_says_so() -> None:
    with pytest.raises(
        UsageError, match=r"TimestepDataset\.torch: torch is not installed: pip install torch\."
    ):
        replay.TimestepDataset("localhost:1", "table").torch()


@with_torch
def test_batches_are_tensors_over_the_same_memory(fill: Fill) -> None:
    found = list(dataset(fill(STEP), batch_size=32, max_samples=64).torch())
    assert len(found) == 2
    info, data = found[0]
    assert isinstance(info, replay.SampleInfo)
    assert data["image"].dtype == torch.uint8
    assert data["image"].shape == (32, 4)
    assert data["reward"].tolist() == [0.5] * 32
    assert info.key.shape == (32,)
    assert torch.equal(info.priority, torch.ones(32, dtype=torch.float64))


@with_torch
def test_a_loader_batches_single_elements(fill: Fill) -> None:
    samples = dataset(fill(STEP), max_samples=10).torch()
    first, *_ = torch.utils.data.DataLoader(samples, batch_size=5)
    assert first.data["image"].shape == (5, 4)
    assert first.info.key.shape == (5,)


@with_torch
@forks
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_each_of_a_loader_s_workers_samples_for_itself(fill: Fill, context: str) -> None:
    client = fill(STEP)
    samples = dataset(client, batch_size=8, max_samples=16).torch()
    loader = torch.utils.data.DataLoader(
        samples, batch_size=None, num_workers=2, multiprocessing_context=context
    )
    batches = list(loader)
    assert len(batches) == 4
    assert all(batch.data["reward"].tolist() == [0.5] * 8 for batch in batches)
    assert len(list(samples)) == 2  # and this process goes on with its own


@with_torch
def test_recorded_steps_are_tensors_as_well() -> None:
    reference = structured_writer.create_reference_step({"x": None, "y": None})
    pattern = {"x": reference["x"][-2:], "y": reference["y"][-1]}
    recorded = replay.PatternDataset(
        [{"x": np.full(2, i, np.float32), "y": i} for i in range(3)],
        [structured_writer.create_config(pattern, "table")],
        respect_episode_boundaries=True,
        is_end_of_episode=lambda _: False,
    )
    items = list(torch.utils.data.DataLoader(recorded.torch(), batch_size=2))
    assert [item["y"].tolist() for item in items] == [[1, 2]]
    assert items[0]["x"].shape == (2, 2, 2)
    assert items[0]["x"].dtype == torch.float32


@with_torch
def test_it_may_be_pickled(fill: Fill) -> None:
    samples = dataset(fill(STEP), batch_size=8, max_samples=8).torch()
    copy = pickle.loads(pickle.dumps(samples))
    assert repr(copy) == repr(samples)
    assert repr(copy).endswith("'table', batch_size=8).torch()")
    assert len(list(copy)) == 1


@with_torch
def test_a_dtype_that_torch_has_not_is_an_error(fill: Fill) -> None:
    client = fill({"name": np.array("bob"), "reward": 0.5})
    samples = replay.TimestepDataset(
        client, "table", {"name": "U3", "reward": np.float64}, {"name": (), "reward": ()}
    )
    with pytest.raises(
        UsageError, match="column 'name' has dtype <U3, of which torch has no tensors"
    ):
        next(iter(samples.torch()))
