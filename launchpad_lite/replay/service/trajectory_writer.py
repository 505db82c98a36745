"""The writer of trajectories: steps in columns, and items that refer to any of them."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from launchpad_lite.courier import finalizers
from launchpad_lite.errors import LaunchpadError, UsageError
from launchpad_lite.replay.core.layout import Column, Layout
from launchpad_lite.replay.core.nest import check_structure, flatten
from launchpad_lite.replay.core.spec import check_columns
from launchpad_lite.replay.service.flat import shallow
from launchpad_lite.replay.service.history import TrajectoryColumn
from launchpad_lite.replay.service.outgoing import Outgoing, Pattern, items
from launchpad_lite.replay.service.sender import Sender
from launchpad_lite.replay.service.signatures import Signatures
from launchpad_lite.replay.service.steps import Steps
from launchpad_lite.validation import integer, number, optional, within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launchpad_lite.courier.client import Client
    from launchpad_lite.replay.service.columns import StreamColumn
    from launchpad_lite.replay.service.flat import Token

_count = integer(1)
_LEAVES = frozenset({TrajectoryColumn})
_MOST_PATTERNS = 1000

Part: TypeAlias = "tuple[StreamColumn, Sequence[int], bool]"
"""A column of an item: what it is of, its steps, and whether it is squeezed."""


class TrajectoryWriter:
    """Streams steps to a replay server, and makes items of them.

    Steps that no item refers to are never sent. Items are sent in the background, many at once;
    they are inserted in the order of their creation, table by table. What the server refuses is
    raised by the next `append`, `create_item`, `flush` or `close`.

    While the server lives, each item is inserted exactly once, also over connections that break.
    A server that is restarted in the middle does not know how far the one before was, and is sent
    all items again that were not confirmed: those that are in the checkpoint that it began with are
    in the table twice then.

    A writer is used by one thread at a time. At the end it must be closed: by `close`, or as a
    context manager.

    Example:
      ```
      with client.trajectory_writer(num_keep_alive_refs=2) as writer:
          for step in steps:
              writer.append({"observation": step.observation, "reward": step.reward})
              if writer.episode_steps >= 2:
                  writer.create_item(
                      table="replay",
                      priority=1.0,
                      trajectory={
                          "observation": writer.history["observation"][-2:],
                          "reward": writer.history["reward"][-1],
                      },
                  )
      ```
    """

    def __init__(
        self,
        courier_client: Client,
        num_keep_alive_refs: int,
        validate_items: bool = True,  # noqa: FBT001, FBT002 - as in the original
        *,
        signatures: Signatures | None = None,
    ) -> None:
        """Make a writer; `Client.trajectory_writer` does it.

        Args:
          courier_client: a Courier client of the server.
          num_keep_alive_refs: how many of its latest steps each column keeps for items to refer
            to: the longest that an item can be.
          validate_items: check items against the signatures of their tables when they are created,
            not only when they are inserted.
          signatures: what is known of them already.

        Raises:
          UsageError: num_keep_alive_refs is not a positive integer.
        """
        with within("trajectory_writer"):
            keep: int = _count("num_keep_alive_refs", num_keep_alive_refs)
        self._signatures = (signatures or Signatures(courier_client)) if validate_items else None
        self._outgoing = Outgoing()
        self._sender = Sender(courier_client, self._outgoing)
        self._lock = self._sender.lock  # of everything that is sent
        self._steps = Steps(self._outgoing, self._lock, keep)
        self._patterns: dict[Any, Pattern] = {}
        self._closed = False
        self._let_go = weakref.finalize(self, finalizers.later, self._sender.let_go)
        self._let_go.atexit = False

    @property
    def history(self) -> Any:
        """All steps since the history was cleared: a `ColumnHistory` for each column.

        They are nested like the data; where `append` was given different structures, like the union
        of these. An index means the same step in all columns.

        Raises:
          RuntimeError: nothing was appended yet.
        """
        return self._steps.history

    @property
    def episode_steps(self) -> int:
        """How many steps were appended since the last `end_episode`, without an open one."""
        return self._steps.in_episode

    @property
    def step_is_open(self) -> bool:
        """Whether the last `append` had `partial_step=True`, so that the next adds to its step."""
        return self._steps.is_open

    def configure(
        self,
        path: Sequence[str | int],
        *,
        num_keep_alive_refs: int,
        max_chunk_length: int | None = None,
    ) -> None:
        """Change how many steps one column keeps; also before its first step.

        Args:
          path: where the column is: the keys, names and indices that lead to it.
          num_keep_alive_refs: how many of its latest steps it keeps.
          max_chunk_length: checked, and not needed: steps are not sent in chunks of fixed length.

        Raises:
          UsageError: a number is not positive, or max_chunk_length exceeds the other.
        """
        with within("configure"):
            keep: int = _count("num_keep_alive_refs", num_keep_alive_refs)
            optional(integer(1, keep))("max_chunk_length", max_chunk_length)
        self._steps.configure(tuple(path), keep)

    def append(self, data: Any, *, partial_step: bool = False) -> Any:
        """Append a step, or a part of one. Its values are copied.

        A column that is missing or None has no value at the step. New columns may appear at any
        time; they had no value before.

        Args:
          data: a nest of arrays and numbers.
          partial_step: the step is not complete: the next `append` adds further columns to it.

        Returns:
          References to the values, in the structure of `data`, None where it is None. See
          `TrajectoryColumn`.

        Raises:
          UsageError: a column is given twice in one step, has another dtype or shape than before,
            or is no array of numbers; the writer is closed, or items were refused.
        """
        self._check()
        return self._steps.append(data, partial=partial_step)

    def create_item(self, table: str, priority: float, trajectory: Any) -> None:
        """Create an item, to be inserted soon; `flush` waits until it is.

        It waits only where very many items are not inserted yet: 10 000, or 256 MiB of their steps.

        Args:
          table: the table's name.
          priority: its priority.
          trajectory: a nest of `TrajectoryColumn`: slices and elements of `history`.

        Raises:
          TypeError: a leaf of the trajectory is something else.
          UsageError: a column has no step, a step that is no longer kept, or one of another writer;
            the item does not fit the table's signature; there is no such table; the priority is no
            number; the writer is closed, or items were refused.
        """
        self._check()
        token: Token
        flat = shallow(trajectory)
        if flat is None or not _LEAVES.issuperset(map(type, flat[0])):
            leaves, token = flatten(trajectory)
        else:
            leaves, token = flat
        if type(priority) is not float or priority != priority:  # noqa: PLR0124 - NaN
            with within("create_item"):
                priority = number("priority", priority)
        parts, places = self._parts(leaves)
        key = (table, token, places)
        pattern = self._patterns.get(key)
        if pattern is None:
            self._check_signature(table, trajectory, parts)
            pattern = Pattern.of(parts)
            if len(self._patterns) >= _MOST_PATTERNS:
                self._patterns.clear()
            self._patterns[key] = pattern
        self.create_alike(table, priority, pattern, parts)

    def create_alike(
        self, table: str, priority: float, pattern: Pattern, parts: list[Part]
    ) -> None:
        """Create an item that is like one that `create_item` has checked; for writers only.

        Args:
          table: the table's name.
          priority: its priority.
          pattern: what such items consist of.
          parts: of what this one consists; all its steps are there.

        Raises:
          UsageError: the writer is closed, or items were refused.
        """
        self._check()
        outgoing, sender = self._outgoing, self._sender
        with self._lock:
            if outgoing.full:
                sender.wait(lambda: not outgoing.full, None, "create_item")
            outgoing.add(table, self._steps.episode, pattern, parts, priority)
            sender.wake()

    def _parts(self, leaves: list[Any]) -> tuple[list[Part], tuple[Any, ...]]:
        """Return of what a trajectory consists, and what is equal where that is alike."""
        if not leaves:
            raise UsageError("create_item: the trajectory has no column.")
        parts: list[Part] = []
        alike: list[Any] = []
        base: int | None = None
        stream = self._outgoing.stream
        for leaf in leaves:
            if leaf.__class__ is not TrajectoryColumn:
                raise TypeError(
                    "create_item: all leaves of the trajectory must be TrajectoryColumn, as "
                    f"writer.history[...] gives them, and one is {leaf!r}."
                )
            column, steps, squeezed = leaf.column, leaf.steps, leaf.is_squeezed
            if column is None or not steps or column.stream != stream or not column.has(steps):
                raise self._refusal(column, steps)
            parts.append((column, steps, squeezed))
            if base is None:
                base = steps[0]
            if steps.__class__ is range:
                alike += (column.number, squeezed, steps.start - base, len(steps), steps.step)
            else:
                alike += (column.number, squeezed, tuple([step - base for step in steps]))
        return parts, tuple(alike)

    def _refusal(self, column: StreamColumn | None, steps: Sequence[int]) -> UsageError:
        """Return why no item can refer to some steps."""
        if column is None or not steps:
            name = "of the trajectory" if column is None else repr(column.name)
            return UsageError(f"create_item: column {name} has no step.")
        if column.stream != self._outgoing.stream:
            return UsageError(
                f"create_item: column {column.name!r} is of another writer, whose steps this one "
                "does not have."
            )
        oldest = min(steps)
        since, until = self._steps.span.since, self._steps.span.until
        if oldest < since:
            return UsageError(
                f"create_item: column {column.name!r} refers to a step from before the last "
                "end_episode, which has cleared the history. End it with clear_buffers=False to "
                "keep it."
            )
        return UsageError(
            f"create_item: step {oldest - since} of column {column.name!r} is no longer kept: "
            f"num_keep_alive_refs={column.keep} keeps the latest {column.keep}. An item that goes "
            f"back that far needs num_keep_alive_refs={until - oldest} or more."
        )

    def _check_signature(self, table: str, trajectory: Any, parts: list[Part]) -> None:
        if self._signatures is None:
            return
        with within("create_item"):
            signature = self._signatures.of(table)
        if signature is None:
            return
        what = f"create_item for table {table!r}"
        check_structure(signature.structure, flatten(trajectory)[1], what)
        layout = Layout(
            [Column(column.kind, len(steps), squeezed) for column, steps, squeezed in parts]
        )
        if not signature.fits(layout.steps):
            check_columns(signature, layout.columns, what)

    def flush(self, block_until_num_items: int = 0, timeout_ms: int | None = -1) -> None:
        """Wait until items are inserted.

        Args:
          block_until_num_items: how many may be left that are not, which need not wait for the
            table's rate limiter then.
          timeout_ms: how long to wait at most; None or negative for no limit.

        Raises:
          DeadlineExceeded: they are not in time; they are still being sent.
          UsageError: items were refused, or an argument is wrong.
        """
        self._check()
        with within("flush"):
            at_most: int = integer(0)("block_until_num_items", block_until_num_items)
            timeout_s = _timeout(timeout_ms)
        self._sender.flush(at_most, timeout_s)

    def end_episode(self, clear_buffers: bool = True, timeout_ms: int | None = None) -> None:  # noqa: FBT001, FBT002 - as in the original
        """Wait until all items are inserted, and begin another episode.

        Args:
          clear_buffers: clear the history. Keep it only for items that span episodes.
          timeout_ms: how long to wait at most; None or negative for no limit.

        Raises:
          DeadlineExceeded: they are not in time; they are still being sent.
          UsageError: items were refused, or an argument is wrong, or the writer is closed. Unless
            it is one of the last two, the episode has ended nevertheless, as after any failure.
        """
        self._check_open()
        with within("end_episode"):
            timeout_s = _timeout(timeout_ms)
        try:
            self._sender.flush(0, timeout_s)
        finally:
            self._steps.end_episode(clear=clear_buffers)

    def close(self, *, retry_on_unavailable: bool = True) -> None:
        """Wait until all items are inserted, and end the writer. Once closed, it does nothing.

        Args:
          retry_on_unavailable: send again what was under way to a server that went away.

        Raises:
          UsageError: items were refused.
        """
        if not self._closed:
            self._end()
            self._sender.close(patient=retry_on_unavailable)

    def abandon(self) -> None:
        """End the writer at once; items that are not inserted never may be."""
        if not self._closed:
            self._end()
            self._sender.end()

    def _end(self) -> None:
        self._closed = True
        self._let_go.detach()

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError("this writer is closed. Make another one.")

    def _check(self) -> None:
        self._check_open()
        if self._sender.failure is not None:
            self._sender.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        """Close it, or abandon it where the block has failed for a reason of this package."""
        if isinstance(failure[1], LaunchpadError):
            self.abandon()
        else:
            self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{items(self._outgoing.items)} not inserted"
        return f"<TrajectoryWriter: {state}>"


def _timeout(milliseconds: float | None) -> float | None:
    milliseconds = optional(number)("timeout_ms", milliseconds)
    return None if milliseconds is None or milliseconds < 0 else milliseconds / 1000
