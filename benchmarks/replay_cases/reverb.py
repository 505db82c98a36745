"""Reverb, for the workloads. Only its interpreter imports this."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from benchmarks.replay_cases.api import Api

if TYPE_CHECKING:
    from collections.abc import Iterator

reverb: Any = importlib.import_module("reverb")  # typed Any: most who check this have neither
tensorflow: Any = importlib.import_module("tensorflow")


class Package(Api):
    """google-deepmind/reverb."""

    package = reverb

    def array_spec(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """See the base class."""
        return tensorflow.TensorSpec(shape, dtype)

    def batches(self, dataset: str, port: int, table: str, batch_size: int) -> Iterator[Any]:
        """See the base class."""
        samples = getattr(reverb, dataset).from_table_signature(
            server_address=f"localhost:{port}",
            table=table,
            max_in_flight_samples_per_worker=2 * batch_size,
        )
        return iter(samples.batch(batch_size, drop_remainder=True).as_numpy_iterator())
