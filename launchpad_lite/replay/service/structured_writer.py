"""The writer of steps that makes items of them by itself, as its configs say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from launchpad_lite.replay.core.nest import unflatten
from launchpad_lite.replay.service.configs import Config, require_configs
from launchpad_lite.replay.service.history import StepReference, TrajectoryColumn
from launchpad_lite.replay.service.matching import Match, Matches
from launchpad_lite.replay.service.outgoing import Pattern
from launchpad_lite.replay.service.trajectory_writer import Part, TrajectoryWriter
from launchpad_lite.validation import within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launchpad_lite.courier.client import Client
    from launchpad_lite.replay.service.signatures import Signatures


class StructuredWriter:
    """Streams steps to a replay server, and makes items of them as its configs say.

    After each `append`, and before an episode ends, each config makes an item of the latest step if
    its conditions are fulfilled and each step that its pattern refers to is there and has a value.
    It makes at most one of each step, as soon as it can where the step comes in parts.

    For items, errors and the end of the writer, see `TrajectoryWriter`.

    Example:
      ```
      step = structured_writer.create_reference_step({"observation": None, "reward": None})
      config = structured_writer.create_config(
          pattern={"observations": step["observation"][-2:], "reward": step["reward"][-1]},
          table="replay",
      )
      with client.structured_writer([config]) as writer:
          for observation, reward in steps:
              writer.append({"observation": observation, "reward": reward})
      ```
    """

    def __init__(
        self,
        courier_client: Client,
        configs: Sequence[Config],
        *,
        signatures: Signatures | None = None,
    ) -> None:
        """Make a writer; `Client.structured_writer` does it.

        Args:
          courier_client: a Courier client of the server.
          configs: what it makes items of; several may be for one table.
          signatures: what is known of the tables' signatures already.

        Raises:
          UsageError: configs is empty, or one is something else.
        """
        with within("structured_writer"):
            self._matches = Matches(require_configs(configs))
        self._writer = TrajectoryWriter(courier_client, 1, signatures=signatures)
        for path, need in self._matches.needs.items():
            self._writer.configure(path, num_keep_alive_refs=need)
        self._patterns: dict[Match, Pattern] = {}

    @property
    def step_is_open(self) -> bool:
        """Whether the last `append` had `partial_step=True`, so that the next adds to its step."""
        return self._writer.step_is_open

    def append(self, data: Any, *, partial_step: bool = False) -> None:
        """Append a step, or a part of one, and make the items that it completes.

        Values of columns that no config refers to are not looked at.

        Args:
          data: a nest of arrays and numbers; None where a column has no value (yet). The first one
            has all columns that the configs refer to.
          partial_step: the step is not complete: the next `append` adds further columns to it.

        Raises:
          UsageError: the first step lacks a column that a config refers to; a column is given twice
            in one step, has another dtype or shape than before, or is no array of numbers; an item
            does not fit the signature of its table, or there is no such table; a condition is on a
            column that has no whole numbers; the writer is closed, or items were refused.
        """
        matches = self._matches
        self._writer.append(matches.needed(data), partial_step=partial_step)
        if not matches.is_bound:
            matches.bind(self._writer.history)
        self._create_items(is_end=False)

    def flush(self, block_until_num_items: int = 0, timeout_ms: int | None = None) -> None:
        """Wait until items are inserted.

        Args:
          block_until_num_items: how many may be left that are not.
          timeout_ms: how long to wait at most; None or negative for no limit.

        Raises:
          DeadlineExceeded: they are not in time; they are still being sent.
          UsageError: items were refused, or an argument is wrong.
        """
        self._writer.flush(block_until_num_items, timeout_ms)

    def end_episode(self, clear_buffers: bool = True, timeout_ms: int | None = None) -> None:  # noqa: FBT001, FBT002 - as in the original
        """Make the items of its end, wait until all are inserted, and begin another episode.

        Args:
          clear_buffers: let later items refer to no step of this episode.
          timeout_ms: how long to wait at most; None or negative for no limit.

        Raises:
          DeadlineExceeded: they are not in time; they are still being sent.
          UsageError: items were refused, or an argument is wrong, or the writer is closed. Unless
            it is one of the last two, the episode has ended nevertheless, as after any failure.
        """
        try:
            self._create_items(is_end=True)
        finally:
            try:
                self._writer.end_episode(clear_buffers, timeout_ms)
            finally:
                self._matches.ended()

    def close(self, *, retry_on_unavailable: bool = True) -> None:
        """Wait until all items are inserted, and end the writer. Once closed, it does nothing.

        Args:
          retry_on_unavailable: send again what was under way to a server that went away.

        Raises:
          UsageError: items were refused.
        """
        self._writer.close(retry_on_unavailable=retry_on_unavailable)

    def _create_items(self, *, is_end: bool) -> None:
        for match, parts in self._matches.items(is_end=is_end):
            table, priority = match.config.table, match.priority(parts)
            pattern = self._patterns.get(match)
            if pattern is None:
                columns = list(map(_column, parts))
                self._writer.create_item(table, priority, unflatten(match.structure, columns))
                self._patterns[match] = Pattern.of(parts)
            else:
                self._writer.create_alike(table, priority, pattern, parts)
            match.applied()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        """Close it, or abandon it where the block has failed for a reason of this package."""
        self._writer.__exit__(*failure)

    def __repr__(self) -> str:
        return repr(self._writer).replace("TrajectoryWriter", "StructuredWriter")


def _column(part: Part) -> TrajectoryColumn:
    column, steps, squeezed = part
    return TrajectoryColumn([StepReference(column, step) for step in steps], squeeze=squeezed)
