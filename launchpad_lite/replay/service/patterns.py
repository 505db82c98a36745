"""Patterns: of which columns and steps an item consists, told relative to the latest step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.nest import column_names, column_paths, flatten, unflatten
from launchpad_lite.validation import function, integer, optional, within

if TYPE_CHECKING:
    from launchpad_lite.replay.core.nest import Structure
    from launchpad_lite.replay.service.history import Path

Pattern: TypeAlias = Any
"""A nest of `PatternNode`."""

ReferenceStep: TypeAlias = Any
"""A nest of `ReferenceColumn`."""

PatternTransform: TypeAlias = Callable[[ReferenceStep], Pattern]


@dataclasses.dataclass(frozen=True)
class Source:
    """A column of the steps that will be appended.

    Attributes:
      path: the keys, names and indices that lead to it.
      name: what it is called in messages.
    """

    path: Path
    name: str


def sources(step_structure: Any) -> tuple[list[Source], Structure]:
    """Return the columns of a step, in the order of its leaves, and its structure."""
    structure = flatten(step_structure)[1]
    named = zip(column_paths(structure), column_names(structure), strict=True)
    return [Source(path, name) for path, name in named], structure


@dataclasses.dataclass(frozen=True)
class PatternNode:
    """Some steps of one column; a leaf of a pattern. Indices of a `ReferenceColumn` give it.

    Attributes:
      source: the column.
      start: where the first step is; -1 is the latest one.
      stop: where the steps end, without that one; 0 is after the latest one.
      step: the distance from one to the next.
      is_squeezed: whether it is one step, without an axis of steps.
    """

    source: Source
    start: int
    stop: int
    step: int = 1
    is_squeezed: bool = False

    def __len__(self) -> int:
        """Return how many steps there are."""
        return len(self.steps(0))

    def steps(self, until: int) -> range:
        """Return their numbers where `until` is the number after the latest step."""
        return range(until + self.start, until + self.stop, self.step)


class ReferenceColumn:
    """Stands for a column in a pattern: `column[-1]`, `column[-3:]`, `column[-6:-1:2]`.

    Attributes:
      source: the column.
    """

    __slots__ = ("source",)

    def __init__(self, source: Source) -> None:
        """Stand for a column; `create_reference_step` does it."""
        self.source = source

    def __getitem__(self, key: int | slice) -> PatternNode:
        """Return a leaf of a pattern.

        Args:
          key: one step, or several, counted back from the latest one, which is -1. `stop` may be
            left out or 0: the latest one is the last then.

        Raises:
          UsageError: it does not count from the latest step, or there is no step in it.
        """
        with within(f"pattern of column {self.source.name!r}"):
            if not isinstance(key, slice):
                at: int = integer(None, -1)("index", key)
                return PatternNode(self.source, at, at + 1, is_squeezed=True)
            start: int = integer(None, -1)("start", key.start)
            stop: int | None = optional(integer(None, 0))("stop", key.stop)
            step: int | None = optional(integer(1))("step", key.step)
            node = PatternNode(self.source, start, stop or 0, step or 1)
            if not len(node):
                raise UsageError(f"there is no step in [{start}:{stop}].")
            return node

    __iter__ = None  # it would not end

    def __repr__(self) -> str:
        return f"<reference to column {self.source.name!r}>"


def create_reference_step(step_structure: Any) -> ReferenceStep:
    """Return what patterns are made of.

    Example:
      ```
      step = create_reference_step({"observation": None, "reward": None})
      pattern = {"observations": step["observation"][-2:], "reward": step["reward"][-1]}
      ```

    Args:
      step_structure: a nest like the steps that will be appended, whatever its leaves are.

    Returns:
      A nest of the same structure, of `ReferenceColumn`.
    """
    columns, structure = sources(step_structure)
    return unflatten(structure, [ReferenceColumn(column) for column in columns])


def pattern_from_transform(step_structure: Any, transform: PatternTransform) -> Pattern:
    """Return the pattern that a function makes of a reference step.

    Args:
      step_structure: see `create_reference_step`.
      transform: takes the reference step, and returns a nest of its columns' indices and slices.

    Raises:
      UsageError: transform is no function.
    """
    function(transform, "pattern_from_transform")
    return transform(create_reference_step(step_structure))
