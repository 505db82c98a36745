"""Ours, for the workloads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.replay_cases.api import Api
from launchpad_lite import replay

if TYPE_CHECKING:
    from collections.abc import Iterator


class Package(Api):
    """The replay buffer of this project."""

    package = replay

    def array_spec(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """See the base class."""
        return replay.ArraySpec(shape, dtype)

    def batches(self, dataset: str, port: int, table: str, batch_size: int) -> Iterator[Any]:
        """See the base class."""
        return iter(
            getattr(replay, dataset).from_table_signature(
                server_address=f"localhost:{port}",
                table=table,
                max_in_flight_samples_per_worker=2 * batch_size,
                batch_size=batch_size,
            )
        )
