"""The writer of whole steps: its items are the latest ones of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from launchpad_lite.errors import LaunchpadError, UsageError
from launchpad_lite.replay.core.nest import (
    check_structure,
    column_names,
    flatten,
    unflatten,
)
from launchpad_lite.replay.service.trajectory_writer import TrajectoryWriter
from launchpad_lite.validation import integer, optional, within

if TYPE_CHECKING:
    from launchpad_lite.courier.client import Client
    from launchpad_lite.replay.core.nest import Structure
    from launchpad_lite.replay.service.signatures import Signatures

_count = integer(1)


class Writer:
    """Streams steps of one structure, and makes items of the latest ones.

    All columns of an item have the same steps. For anything else there is `TrajectoryWriter`, which
    see for when items are sent, and how failures are told.

    Example:
      ```
      with client.writer(max_sequence_length=2) as writer:
          writer.append(first)
          writer.append(second)
          writer.create_item("replay", num_timesteps=2, priority=1.0)
      ```
    """

    def __init__(
        self,
        courier_client: Client,
        max_sequence_length: int,
        delta_encoded: bool = False,  # noqa: FBT001, FBT002 - as in the original
        chunk_length: int | None = None,
        max_in_flight_items: int | None = 25,
        *,
        signatures: Signatures | None = None,
    ) -> None:
        """Make a writer; `Client.writer` does it.

        Args:
          courier_client: a Courier client of the server.
          max_sequence_length: how many of the latest steps it keeps: the longest that an item can
            be.
          delta_encoded: accepted and not needed: steps are not compressed.
          chunk_length: checked, and not needed: steps are not sent in chunks of fixed length.
          max_in_flight_items: checked, and not needed: items are sent in groups, of which one is
            under way.
          signatures: what is known of the tables already.

        Raises:
          UsageError: a number is not positive, or chunk_length exceeds max_sequence_length.
        """
        del delta_encoded
        with within("writer"):
            length: int = _count("max_sequence_length", max_sequence_length)
            optional(integer(1, length))("chunk_length", chunk_length)
            optional(_count)("max_in_flight_items", max_in_flight_items)
        self._writer = TrajectoryWriter(courier_client, length, signatures=signatures)
        self._length = length
        self._structure: Structure | None = None
        self._closed = False

    def append(self, data: Any) -> None:
        """Append a step. Its values are copied.

        Args:
          data: a nest of arrays and numbers, of the same structure each time.

        Raises:
          UsageError: the structure, or the dtype or the shape of a column, differs from the steps
            before; the writer is closed, or items were refused.
        """
        leaves, structure = flatten(data)
        self._check_step(leaves, structure)
        self._writer.append(data)

    def append_sequence(self, sequence: Any) -> None:
        """Append several steps.

        Args:
          sequence: a nest of arrays `[T, *shape]`, the steps along their first axis.

        Raises:
          UsageError: the arrays have no axis, or different numbers of steps; or see `append`.
        """
        leaves, structure = flatten(sequence)
        self._check_step(leaves, structure)
        columns = [np.asarray(leaf) for leaf in leaves]
        lengths = {column.shape[:1] for column in columns}
        if len(lengths) > 1 or () in lengths:
            shapes = ", ".join(
                f"{name}: {column.shape}"
                for name, column in zip(column_names(structure), columns, strict=True)
            )
            raise UsageError(
                "append_sequence: all arrays must have the same number of steps, their first axis; "
                f"and they have the shapes {shapes}."
            )
        for step in zip(*columns, strict=True):
            self._writer.append(unflatten(structure, list(step)))

    def _check_step(self, leaves: list[Any], structure: Structure) -> None:
        if self._structure is None:
            if not leaves:
                raise UsageError("append: data has no array in it.")
            self._names = column_names(structure)
        elif structure != self._structure:
            check_structure(self._structure, structure, "append")
        for index, leaf in enumerate(leaves):
            if leaf is None:
                raise UsageError(f"append: column {self._names[index]!r} is None.")
        self._structure = structure

    def create_item(self, table: str, num_timesteps: int, priority: float) -> None:
        """Create an item of the latest steps, to be inserted soon; `flush` waits until it is.

        Args:
          table: the table's name.
          num_timesteps: how many steps.
          priority: its priority.

        Raises:
          UsageError: there are not that many steps, or see `TrajectoryWriter.create_item`.
        """
        with within("create_item"):
            count: int = _count("num_timesteps", num_timesteps)
        steps = self._writer.episode_steps
        if count > min(steps, self._length):
            raise UsageError(
                f"create_item: num_timesteps={count}, and there are {min(steps, self._length)} "
                f"steps: {steps} were appended, and max_sequence_length={self._length} is how many "
                "are kept."
            )
        histories, structure = flatten(self._writer.history)
        trajectory = unflatten(structure, [history[-count:] for history in histories])
        self._writer.create_item(table, priority, trajectory)

    def flush(self) -> None:
        """Wait until all items are inserted.

        Raises:
          UsageError: items were refused.
        """
        self._writer.flush()

    def close(self, retry_on_unavailable: bool = True) -> None:  # noqa: FBT001, FBT002 - as in the original
        """Wait until all items are inserted, and end the writer.

        Args:
          retry_on_unavailable: send again what was under way to a server that went away.

        Raises:
          UsageError: items were refused, or the writer is closed already, as in the original.
          Unavailable: the server went away, and `retry_on_unavailable` is False.
        """
        if self._closed:
            raise UsageError(
                "close: this writer is closed already. Once is enough; a with block does it itself."
            )
        self._closed = True
        self._writer.close(retry_on_unavailable=retry_on_unavailable)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        """Close it; see `TrajectoryWriter`."""
        if isinstance(failure[1], LaunchpadError):
            self._writer.abandon()
        elif not self._closed:
            self.close()

    def __repr__(self) -> str:
        return f"<Writer on {self._writer!r}>"
