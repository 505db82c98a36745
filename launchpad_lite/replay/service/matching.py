"""Where configs apply: which items the steps make that a writer was given. No input or output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from launchpad_lite.errors import UsageError, nearest
from launchpad_lite.replay.core.nest import column_names, column_paths, flatten, is_flat, unflatten
from launchpad_lite.replay.service.conditions import Counter
from launchpad_lite.replay.service.configs import TdError
from launchpad_lite.replay.service.flat import like, shallow
from launchpad_lite.validation import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launchpad_lite.replay.core.nest import Structure
    from launchpad_lite.replay.service.columns import StreamColumn
    from launchpad_lite.replay.service.conditions import Left
    from launchpad_lite.replay.service.configs import Config
    from launchpad_lite.replay.service.flat import Token
    from launchpad_lite.replay.service.history import ColumnHistory, Path, Span
    from launchpad_lite.replay.service.patterns import Source
    from launchpad_lite.replay.service.trajectory_writer import Part

_WHOLE = "biu"


class Moment:
    """Where a writer is.

    Attributes:
      until: the number after the latest step.
      index: the latest step's number in its episode.
      is_end: whether the episode is being ended.
    """

    __slots__ = ("index", "is_end", "until")

    def __init__(self) -> None:
        """Be at the beginning."""
        self.until = 0
        self.index = 0
        self.is_end = False


class Match:
    """One config, and where it was applied last.

    Attributes:
      config: the config.
      structure: that of its pattern.
    """

    def __init__(self, config: Config) -> None:
        """Apply it nowhere yet."""
        self.config = config
        self.structure = config.pattern_structure
        self._applied_at = self._seen_at = -1
        self._since = 0
        self._parts: list[tuple[StreamColumn, int, int, int, bool]] = []
        self._columns: dict[Path, StreamColumn] = {}
        self._errors = -1  # which part has those that the priority is of

    def bind(self, columns: dict[Path, StreamColumn]) -> None:
        """Learn which columns it is of."""
        self._columns = columns
        nodes = self.config.flat
        self._parts = [
            (columns[node.source.path], node.start, node.stop, node.step, node.is_squeezed)
            for node in nodes
        ]
        if isinstance(self.config.priority, TdError):
            self._errors = [node.source for node in nodes].index(self.config.priority.source)

    def _value(self, left: Left, moment: Moment) -> int | None:
        """Return what is on the left of a condition, or None if it has no value."""
        if left is Counter.STEP_INDEX:
            return moment.index
        if left is Counter.STEPS_SINCE_APPLIED:
            return self._since
        if left is Counter.IS_END_EPISODE:
            return int(moment.is_end)
        return _whole(self._columns[left.path], moment.until - 1)

    def at(self, moment: Moment) -> list[Part] | None:
        """Return the columns of the item that it makes of the latest step, or None.

        Raises:
          UsageError: a condition is on a column that has no whole numbers.
        """
        now = moment.until - 1
        if self._applied_at == now:  # a step that was open then, or an episode that ends with it
            return None
        if self._seen_at != now:
            self._seen_at = now
            self._since += 1
        for condition in self.config.conditions:
            value = self._value(condition.left, moment)
            if value is None or not condition.holds(value):
                return None
        parts: list[Part] = []
        until = moment.until
        for column, start, stop, step, squeezed in self._parts:
            steps = range(until + start, until + stop, step)
            if not column.has(steps):
                return None
            parts.append((column, steps, squeezed))
        return parts

    def applied(self) -> None:
        """Note that an item was made where it was looked at last."""
        self._applied_at = self._seen_at
        self._since = 0

    def priority(self, parts: Sequence[Part]) -> float:
        """Return the priority of an item.

        Raises:
          UsageError: it is computed from a column that has not one number at each step.
        """
        priority = self.config.priority
        if not isinstance(priority, TdError):
            return priority
        column, steps, _ = parts[self._errors]
        errors = np.abs([column.value(step) for step in steps])
        if errors.ndim != 1:
            raise UsageError(
                f"td_error: column {column.name!r} has shape {list(column.kind.shape)} at each "
                "step, and must have one number there."
            )
        weight = priority.max_priority_weight
        value = weight * errors.max() + (1 - weight) * errors.mean()
        return number("td_error: the priority", float(value))


class Matches:
    """Some configs, and the columns that they are of.

    Attributes:
      needs: how many of its latest steps each of the columns must have.
    """

    def __init__(self, configs: Sequence[Config]) -> None:
        """Compile the configs."""
        self._matches = [Match(config) for config in configs]
        self.needs: dict[Path, int] = {}
        self._sources: list[Source] = []
        for config in configs:
            for source, need in config.needs.items():
                if source.path not in self.needs:
                    self._sources.append(source)
                self.needs[source.path] = max(need, self.needs.get(source.path, 0))
        self._unused: dict[Token | Structure, tuple[int, ...]] = {}
        self._columns: list[StreamColumn] = []
        self._span: Span | None = None
        self._moment = Moment()
        self._began = 0

    def needed(self, data: Any) -> Any:
        """Return a step without the values that no config refers to.

        Raises:
          UsageError: it is the first one, and lacks a column that one refers to.
        """
        flat = shallow(data)
        if flat is not None:
            unused = self._unused.get(flat[1])
            if unused is not None:
                return like(data, _without(flat[0], unused)) if unused else data
        leaves, structure = flatten(data)
        unused = self._unused.get(structure)
        if unused is None:
            paths = column_paths(structure)
            if self._span is None:
                self._check(structure, paths)
            unused = tuple(i for i, path in enumerate(paths) if path not in self.needs)
            self._unused[structure] = unused
        if flat is not None and is_flat(structure):
            self._unused[flat[1]] = unused
        return unflatten(structure, _without(leaves, unused)) if unused else data

    def _check(self, structure: Structure, paths: Sequence[Path]) -> None:
        for source in self._sources:
            if source.path not in paths:
                raise UsageError(
                    "append: the first step must have all columns that the configs refer to, None "
                    f"where there is no value yet: there is no column {source.name!r}"
                    f"{nearest(source.name, column_names(structure))}"
                )

    @property
    def is_bound(self) -> bool:
        """Whether it is known which columns the configs are of."""
        return self._span is not None

    def bind(self, history: Any) -> None:
        """Learn which columns the configs are of, after the first step, or a part of it.

        Args:
          history: see `Steps.history`.
        """
        histories: list[ColumnHistory] = flatten(history)[0]
        columns = {each.path: each.column for each in histories}
        self._columns = [columns[path] for path in self.needs]
        self._span = histories[0].span
        for match in self._matches:
            match.bind(columns)

    def ended(self) -> None:
        """Note that an episode has ended."""
        if self._span is not None:
            self._began = self._span.until

    def items(self, *, is_end: bool = False) -> Iterator[tuple[Match, list[Part]]]:
        """Iterate over what the configs make of the latest step, in their order.

        Args:
          is_end: its episode is being ended; else something was appended to it.

        Yields:
          What matches, which is to be told with `applied` that it was made; and the item's columns.
        """
        span, moment = self._span, self._moment
        if span is None or span.since == span.until:
            return
        if not is_end:
            moment.until = span.until
            moment.index = span.until - 1 - self._began
        moment.is_end = is_end
        now = moment.until - 1
        if all(column.latest != now for column in self._columns):
            return
        for match in self._matches:
            parts = match.at(moment)
            if parts is not None:
                yield match, parts


def _without(leaves: list[Any], unused: Sequence[int]) -> list[Any]:
    for index in unused:
        leaves[index] = None
    return leaves


def _whole(column: StreamColumn, step: int) -> int | None:
    """Return the value of a step as a whole number, or None if it has none."""
    if column.latest != step:
        return None
    value = column.value(step)
    if value.size != 1 or value.dtype.kind not in _WHOLE:
        raise UsageError(
            f"a condition is on column {column.name!r}, which is {value.dtype}"
            f"{list(value.shape)}: it must be one whole number, or True or False."
        )
    return int(value.reshape(())[()])
