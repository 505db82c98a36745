"""What differs between ours and Reverb; all else is the same code. Reverb's interpreter imports it.

That workloads run with both is part of what is shown: the names and their meaning are the same.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALL = "small"
"""A step of float32[84], an int and a float: 352 bytes."""

FRAMES = "frames"
"""A step of one uint8[84, 84, 4]: 28224 bytes."""

STEP_BYTES = {SMALL: 84 * 4 + 8 + 8, FRAMES: 84 * 84 * 4}

_COLUMNS: dict[str, list[tuple[tuple[int, ...], Any]]] = {
    SMALL: [((84,), np.float32), ((), np.int64), ((), np.float64)],
    FRAMES: [((84, 84, 4), np.uint8)],
}

_EXPONENT = 0.6  # of prioritized tables, as is usual with DQN

_STEPS = 64  # different ones


def steps(what: str) -> list[list[Any]]:
    """Return steps to write, one after the other: random numbers, which no codec makes smaller."""
    rng = np.random.default_rng(0)
    if what == FRAMES:
        size = (_STEPS, 84, 84, 4)
        return [[frame] for frame in rng.integers(0, 256, size=size, dtype=np.uint8)]
    floats = rng.normal(size=(_STEPS, 84)).astype(np.float32)
    return [[row, index, index / 2] for index, row in enumerate(floats)]


@dataclasses.dataclass(frozen=True)
class Spi:
    """The settings of a limiter `SampleToInsertRatio`."""

    samples_per_insert: float
    min_size_to_sample: int
    error_buffer: float


@dataclasses.dataclass(frozen=True)
class TableSpec:
    """A table, which removes its oldest items.

    Attributes:
      name: its name.
      what: `SMALL` or `FRAMES`.
      max_size: how many items it holds.
      prioritized: whether it is sampled by priority, or uniformly.
      spi: its limiter; None for one that lets all pass once there is an item.
    """

    name: str
    what: str
    max_size: int = 100_000
    prioritized: bool = False
    spi: Spi | None = None


class Api(abc.ABC):
    """A package with Reverb's names.

    Attributes:
      package: it.
    """

    package: Any

    @abc.abstractmethod
    def array_spec(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return what a signature is made of."""

    @abc.abstractmethod
    def batches(self, dataset: str, port: int, table: str, batch_size: int) -> Iterator[Any]:
        """Return batches, as a learner reads them: `info` and `data` are of NumPy arrays.

        Args:
          dataset: the class: `TimestepDataset` or `TrajectoryDataset`.
          port: of the server, which is on this host.
          table: the table's name.
          batch_size: of each batch.
        """

    def client(self, port: int) -> Any:
        """Return a client of a server on this host."""
        return self.package.Client(f"localhost:{port}")

    def serve(self, tables: list[TableSpec], place: str | None) -> Any:
        """Return a server.

        Args:
          tables: what it serves.
          place: the directory of its checkpoints, if any are made.
        """
        made = [self._table(spec) for spec in tables]
        if place is None:
            return self.package.Server(made)
        checkpointer = self.package.checkpointers.DefaultCheckpointer(place)
        return self.package.Server(made, checkpointer=checkpointer)

    def _table(self, spec: TableSpec) -> Any:
        selectors, limiters = self.package.selectors, self.package.rate_limiters
        return self.package.Table(
            name=spec.name,
            sampler=selectors.Prioritized(_EXPONENT) if spec.prioritized else selectors.Uniform(),
            remover=selectors.Fifo(),
            max_size=spec.max_size,
            rate_limiter=limiters.SampleToInsertRatio(**vars(spec.spi))
            if spec.spi
            else limiters.MinSize(1),
            signature=[self.array_spec(*column) for column in _COLUMNS[spec.what]],
        )
