"""The steps that a writer is given: sorted into columns, and shown as its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.nest import column_names, column_paths, flatten, is_flat, unflatten
from launchpad_lite.replay.service.columns import StreamColumn, is_plain
from launchpad_lite.replay.service.flat import like, shallow
from launchpad_lite.replay.service.history import ColumnHistory, Span, StepReference

if TYPE_CHECKING:
    import threading

    from launchpad_lite.replay.core.nest import Structure
    from launchpad_lite.replay.service.flat import Token
    from launchpad_lite.replay.service.history import Path
    from launchpad_lite.replay.service.outgoing import Outgoing


_ARRAY: Any = np.ndarray


class Steps:
    """The columns of a writer, and where it is in its episodes. For one thread at a time.

    Attributes:
      episode: how many episodes have ended.
      is_open: whether the latest step is not complete.
      span: which steps the history has.
    """

    def __init__(self, outgoing: Outgoing, lock: threading.Lock, keep: int) -> None:
        """Begin without a step.

        Args:
          outgoing: what counts the steps, and sends the columns.
          lock: that of `outgoing`.
          keep: how many steps a column keeps, if nothing else is configured for it.
        """
        self.episode = 0
        self.is_open = False
        self.span = Span()
        self._outgoing = outgoing
        self._lock = lock
        self._keep = keep
        self._configured: dict[Path, int] = {}
        self._columns: dict[Path, StreamColumn] = {}
        self._histories: dict[Path, ColumnHistory] = {}
        self._nest: Any = None  # of the histories
        self._copies = False  # whether a copy of the nest shares nothing with it
        self._known: dict[Token, list[StreamColumn]] = {}
        self._began = 0  # the step with which the episode began

    @property
    def in_episode(self) -> int:
        """How many steps the episode has, without an open one."""
        return self._outgoing.following - self._began

    @property
    def history(self) -> Any:
        """A nest of the histories of the columns.

        Raises:
          RuntimeError: there is no step yet.
        """
        nest = self._nest
        if nest is None:
            raise RuntimeError(
                "history cannot be accessed before `append` is called at least once."
            )
        if self._copies:
            return nest.copy()
        histories, structure = flatten(nest)
        return unflatten(structure, histories)

    def configure(self, path: Path, keep: int) -> None:
        """Change how many steps one column keeps; also before its first step."""
        column = self._columns.get(path)
        with self._lock:
            if column is None:
                self._configured[path] = keep
            else:
                column.keep_only(keep)

    def append(self, data: Any, *, partial: bool) -> Any:
        """Append a step or a part of one; see `TrajectoryWriter.append`."""
        token: Token
        flat = shallow(data)
        if flat is not None:
            leaves, token = flat
            columns = self._known.get(token)
            if columns is not None and _fit(columns, leaves):
                return like(data, self._append(leaves, columns, partial=partial))
        leaves, structure = flatten(data)
        known = self._known.get(structure)
        columns = self._learn(structure) if known is None else known
        for index, (column, value) in enumerate(zip(columns, leaves, strict=True)):
            leaves[index] = None if value is None else column.checked(value)
        if flat is not None and is_flat(structure):
            self._known[flat[1]] = columns
        return unflatten(structure, self._append(leaves, columns, partial=partial))

    def _append(
        self, leaves: list[Any], columns: list[StreamColumn], *, partial: bool
    ) -> list[StepReference | None]:
        step = self._outgoing.following
        if self.is_open:
            for column, value in zip(columns, leaves, strict=True):
                if value is not None and column.live and column.live[-1] == step:
                    raise UsageError(
                        f"append: column {column.name!r} has already been set in the active step "
                        "by a previous (partial) append, and thus must be omitted or set to None, "
                        f"not {value!r}."
                    )
        references: list[StepReference | None] = []
        with self._lock:
            for column, value in zip(columns, leaves, strict=True):
                if value is None:
                    references.append(None)
                else:
                    column.put(step, value)
                    references.append(StepReference(column, step))
            self.is_open = partial
            self.span.until = step + 1
            if not partial:
                self._outgoing.following = step + 1
        return references

    def _learn(self, structure: Structure) -> list[StreamColumn]:
        """Return the columns of a structure that is seen for the first time."""
        paths = column_paths(structure)
        if not paths:
            raise UsageError("append: data has no array in it.")
        columns, histories = dict(self._columns), dict(self._histories)
        following = self._outgoing.following
        for path, name in zip(paths, column_names(structure), strict=True):
            if path not in columns:
                keep = self._configured.get(path, self._keep)
                column = StreamColumn(self._outgoing.stream, len(columns), name, keep, following)
                column.irregular = following > self.span.since
                columns[path] = column
                histories[path] = ColumnHistory(path, column, self.span)
        nest = unflatten(structure, [histories[path] for path in paths])
        self._nest = nest if self._nest is None else merged(self._nest, nest)
        self._copies = self._nest.__class__ in (dict, list) and is_flat(flatten(self._nest)[1])
        self._columns, self._histories = columns, histories
        with self._lock:
            self._outgoing.columns = list(columns.values())
        self._known[structure] = found = [columns[path] for path in paths]
        return found

    def end_episode(self, *, clear: bool) -> None:
        """Begin another episode; with `clear`, also another history."""
        with self._lock:
            following = self._outgoing.following = self._outgoing.following + self.is_open
            self.is_open = False
            self.episode += 1
            self._began = following
            if clear:
                self.span.since = self.span.until = following
                for column in self._columns.values():
                    column.clear(following)


def _fit(columns: list[StreamColumn], leaves: list[Any]) -> bool:
    """Return whether all are values that need no conversion."""
    for column, value in zip(columns, leaves, strict=True):
        kind: Any = value.__class__
        if kind is column.scalar:
            if kind is int and not is_plain(value):
                return False
        elif value is not None and (
            kind is not _ARRAY or value.dtype is not column.dtype or value.shape != column.shape
        ):
            return False
    return True


def merged(one: Any, other: Any, where: str = "") -> Any:
    """Return the union of two nests of `ColumnHistory`; what both have is the same in both.

    Raises:
      UsageError: they have different containers, or a column and a container, at one place.
    """
    if one is other:
        return one
    kind: Any = one.__class__
    if kind is not other.__class__ or kind is ColumnHistory:
        raise UsageError(
            f"append: {where or 'data'} is {_kind_of(other)}, and was {_kind_of(one)} in the steps "
            "before."
        )
    if dict in kind.__mro__:
        union: dict[Any, Any] = one.copy()
        for key, value in other.items():
            known = key in union
            union[key] = merged(union[key], value, f"{where}[{key!r}]") if known else value
        return union
    if list in kind.__mro__ or tuple in kind.__mro__:
        shared = min(len(one), len(other))
        values = [merged(one[i], other[i], f"{where}[{i}]") for i in range(shared)]
        values += [*one[shared:], *other[shared:]]
        return kind(*values) if hasattr(kind, "_fields") else kind(values)
    if flatten(one)[1] != flatten(other)[1]:
        raise UsageError(
            f"append: {where or 'data'} has another structure than in the steps before."
        )
    return one


def _kind_of(nest: object) -> str:
    return "an array" if isinstance(nest, ColumnHistory) else f"a {type(nest).__name__}"
