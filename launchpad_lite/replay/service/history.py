"""The steps that a writer was given, as its user sees them and makes trajectories of them."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from launchpad_lite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launchpad_lite.replay.core.types import AnyArray
    from launchpad_lite.replay.service.columns import StreamColumn

Path: TypeAlias = tuple[str | int, ...]

_new = object.__new__


class StepReference:
    """One step of one column: what `append` returns, in the structure of what it was given.

    Attributes:
      column: the column.
      step: the number of the step in its stream.
    """

    __slots__ = ("column", "step")

    def __init__(self, column: StreamColumn, step: int) -> None:
        """Refer to a step; for writers only."""
        self.column = column
        self.step = step

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the step."""
        return self.column.kind.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its elements."""
        return self.column.kind.dtype

    @property
    def expired(self) -> bool:
        """Whether the writer keeps it no longer, so that no item can refer to it."""
        return not self.column.has((self.step,))

    def numpy(self) -> AnyArray:
        """Return a copy of the step.

        Raises:
          RuntimeError: the writer keeps it no longer.
        """
        if self.expired:
            raise RuntimeError(
                f"a step of column {self.column.name!r} is no longer kept. Raise "
                "num_keep_alive_refs of the writer to keep more."
            )
        return self.column.value(self.step)

    def __repr__(self) -> str:
        return f"<step {self.step} of column {self.column.name!r}>"


class TrajectoryColumn:
    """Steps of one column, for an item: a leaf of the trajectory that `create_item` takes.

    `writer.history` gives them by index or slice. One that was got by an index is squeezed: the
    item's column has no axis of steps.

    Attributes:
      is_squeezed: whether it is squeezed.
      column: the column that its steps are of; None if it has none.
      steps: the numbers of the steps in their stream.
    """

    __slots__ = ("column", "is_squeezed", "steps")

    column: StreamColumn | None
    steps: Sequence[int]

    def __init__(
        self,
        data_references: Sequence[StepReference | None],
        *,
        squeeze: bool = False,
        path: Sequence[object] | None = None,
    ) -> None:
        """Make a column of what `append` has returned.

        Args:
          data_references: the steps, all of one column of one writer.
          squeeze: leave out the axis of steps; for one step only.
          path: what the column is called in messages.

        Raises:
          UsageError: a reference is None or something else, they are of different columns, or
            there is not exactly one though the column is squeezed.
        """
        name = "a TrajectoryColumn" if path is None else f"TrajectoryColumn {tuple(path)}"
        if squeeze and len(data_references) != 1:
            raise UsageError(
                f"{name}: a squeezed column must have exactly one step, not {len(data_references)}."
            )
        references: list[StepReference] = []
        for reference in data_references:
            if reference is None:
                raise UsageError(
                    f"{name} cannot contain any None: the column had no value at that step."
                )
            if not isinstance(cast("object", reference), StepReference):
                raise UsageError(
                    f"{name} is one column of steps, each as `append` has returned it, not "
                    f"{reference!r}. Of several columns make one each."
                )
            references.append(reference)
        columns: set[StreamColumn] = {reference.column for reference in references}
        if len(columns) > 1:
            names = ", ".join(sorted(repr(column.name) for column in columns))
            raise UsageError(
                f"{name}: its steps are of several columns: {names}. Give those of one."
            )
        self.column = columns.pop() if columns else None
        self.steps = tuple(reference.step for reference in references)
        self.is_squeezed = squeeze

    @property
    def _references(self) -> list[StepReference]:
        column = self.column
        return [] if column is None else [StepReference(column, step) for step in self.steps]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the column: `[length, *shape of a step]`, or of the step if squeezed."""
        shape = () if self.column is None else self.column.kind.shape
        return shape if self.is_squeezed else (len(self.steps), *shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its elements."""
        return np.dtype(np.float64) if self.column is None else self.column.kind.dtype

    def numpy(self) -> AnyArray:
        """Return a copy of the data, of the column's shape.

        Raises:
          RuntimeError: the writer keeps some of it no longer.
        """
        values = [reference.numpy() for reference in self._references]
        if self.is_squeezed:
            return values[0]
        return np.stack(values) if values else np.empty(0, self.dtype)

    def __len__(self) -> int:
        """Return how many steps it has."""
        return len(self.steps)

    def __iter__(self) -> Iterator[StepReference]:
        """Iterate over the steps."""
        return iter(self._references)

    def __getitem__(self, index: int | slice) -> TrajectoryColumn:
        """Return some of its steps; squeezed, if one is asked for by its number."""
        return _pick(self.column, self.steps, index, "TrajectoryColumn")

    def __repr__(self) -> str:
        name = None if self.column is None else self.column.name
        squeezed = ", squeezed" if self.is_squeezed else ""
        return f"<TrajectoryColumn of {name!r}: {len(self)} steps{squeezed}>"


class Span:
    """Which steps a history has.

    Attributes:
      since: the number of the first one.
      until: the number after the last one.
    """

    __slots__ = ("since", "until")

    def __init__(self) -> None:
        """Make one without steps."""
        self.since = 0
        self.until = 0


class ColumnHistory:
    """All steps of one column since the history was cleared; a leaf of `writer.history`.

    An index or a slice of it is a `TrajectoryColumn`. Steps at which the column had no value, and
    steps that are no longer kept, count too, so an index means the same step in all columns.

    Attributes:
      path: where in the structure it is.
      column: the column.
      span: the steps.
    """

    __slots__ = ("column", "path", "span")

    def __init__(self, path: Path, column: StreamColumn, span: Span) -> None:
        """Show a column; for writers only."""
        self.path = path
        self.column = column
        self.span = span

    def __len__(self) -> int:
        """Return how many steps there are."""
        return self.span.until - self.span.since

    def __iter__(self) -> Iterator[StepReference | None]:
        """Iterate over the steps; None where there was no value."""
        for step in range(self.span.since, self.span.until):
            missing = self.column.never_had((step,)) is not None
            yield None if missing else StepReference(self.column, step)

    def __getitem__(self, index: int | slice | Sequence[int]) -> TrajectoryColumn:
        """Return some steps; squeezed, if one is asked for by its number.

        Raises:
          UsageError: the column had no value at one of them.
          IndexError: there is no such step.
        """
        column, span = self.column, self.span
        steps = range(span.since, span.until)
        if type(index) is int:  # as `_pick` does it, and faster
            step = steps[index]
            picked = _new(TrajectoryColumn)
            picked.column, picked.steps, picked.is_squeezed = column, range(step, step + 1), True
        elif isinstance(index, slice):  # likewise
            picked = _new(TrajectoryColumn)
            picked.column, picked.steps, picked.is_squeezed = column, steps[index], False
        else:
            picked = _pick(column, steps, index, "history")
        if column.irregular or column.latest != span.until - 1:
            missing = column.never_had(picked.steps)
            if missing is not None:
                raise UsageError(
                    f"history: column {column.name!r} had no value at step {missing - span.since} "
                    "(None): TrajectoryColumns cannot contain any None."
                )
        return picked

    def __repr__(self) -> str:
        return f"<history of column {self.column.name!r}: {len(self)} steps>"


def _pick(
    column: StreamColumn | None, steps: Sequence[int], index: Any, what: str
) -> TrajectoryColumn:
    new = _new(TrajectoryColumn)
    new.column = column
    new.is_squeezed = False
    if type(index) is slice:
        new.steps = steps[index]
    elif hasattr(index, "__index__"):
        step = steps[operator.index(index)]
        new.steps = range(step, step + 1)
        new.is_squeezed = True
    elif isinstance(index, list | tuple):
        new.steps = tuple(map(steps.__getitem__, cast("Sequence[int]", index)))
    else:
        raise TypeError(
            f"{what} is indexed with a whole number, a slice or a list of whole numbers, not with "
            f"{index!r}."
        )
    return new
