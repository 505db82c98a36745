"""Conditions: at which steps a pattern is applied."""

from __future__ import annotations

import dataclasses
import enum
import operator
from typing import TYPE_CHECKING, Any, TypeAlias

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.nest import unflatten
from launchpad_lite.replay.service.patterns import Source, sources
from launchpad_lite.validation import boolean, integer, within

if TYPE_CHECKING:
    from collections.abc import Callable


class Counter(enum.Enum):
    """What a condition may look at, beside a column's value."""

    STEP_INDEX = "step_index"
    STEPS_SINCE_APPLIED = "steps_since_applied"
    IS_END_EPISODE = "is_end_episode"


Left: TypeAlias = Counter | Source
"""What stands on the left of a comparison."""

_OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A condition: something compared with a number.

    Attributes:
      left: what is compared.
      relation: how: `==`, `!=`, `>=`, `<=`, `>` or `<`.
      right: the number.
      modulo: if not 0, what is compared is the remainder of a division by it.
    """

    left: Left
    relation: str
    right: int
    modulo: int = 0

    def holds(self, value: int) -> bool:
        """Return whether the condition is fulfilled by a value of what is on the left."""
        if self.modulo:  # a remainder has the sign of the value, as in the original
            value = value % self.modulo if value >= 0 else -(-value % self.modulo)
        return _OPERATORS[self.relation](value, self.right)

    def __bool__(self) -> bool:
        """Refuse to be used as one, which `2 <= condition <= 5` does.

        Raises:
          UsageError: always.
        """
        raise UsageError(
            f"{self} is true or false only at a step. Of several conditions, as in `2 <= x <= 5`, "
            "make a list: [x >= 2, x <= 5]."
        )

    def __str__(self) -> str:
        """Return it as it was written."""
        return f"{_shown(self.left, self.modulo)} {self.relation} {self.right}"


class Comparable:
    """What a condition looks at, to be compared with a whole number, or divided by one first."""

    __slots__ = ("_left", "_modulo")
    __hash__ = None  # type: ignore[assignment]  # as `==` does not tell whether two are equal

    def __init__(self, left: Left, modulo: int = 0) -> None:
        """Be ready to be compared; `Condition` makes these."""
        self._left = left
        self._modulo = modulo

    def __mod__(self, modulo: int) -> Comparable:
        """Return the remainder of a division by a positive number."""
        with within(f"condition on {self}"):
            return Comparable(self._left, integer(1)("modulo", modulo))

    def __eq__(self, right: int) -> Comparison:  # type: ignore[override]  # as in the original
        return self._compared("==", right)

    def __ne__(self, right: int) -> Comparison:  # type: ignore[override]  # as in the original
        return self._compared("!=", right)

    def __ge__(self, right: int) -> Comparison:
        return self._compared(">=", right)

    def __le__(self, right: int) -> Comparison:
        return self._compared("<=", right)

    def __gt__(self, right: int) -> Comparison:
        return self._compared(">", right)

    def __lt__(self, right: int) -> Comparison:
        return self._compared("<", right)

    def _compared(self, relation: str, right: Any) -> Comparison:
        with within(f"condition on {self}"):
            if type(right).__name__ in {"bool", "bool_"}:
                right = int(boolean("right", right))
            return Comparison(self._left, relation, integer()("right", right), self._modulo)

    def __repr__(self) -> str:
        return _shown(self._left, self._modulo)


class Condition:
    """What conditions are made of, as in `Condition.step_index() >= 5`."""

    @staticmethod
    def step_index() -> Comparable:
        """Return the number of the latest step in its episode, which begins with 0."""
        return Comparable(Counter.STEP_INDEX)

    @staticmethod
    def steps_since_applied() -> Comparable:
        """Return how many steps were appended since the config has made an item, or at all."""
        return Comparable(Counter.STEPS_SINCE_APPLIED)

    @staticmethod
    def is_end_episode() -> Comparison:
        """Return the condition that `end_episode` is being called."""
        return Comparison(Counter.IS_END_EPISODE, "==", 1)

    @staticmethod
    def data(step_structure: Any) -> Any:
        """Return the values of the latest step: those of whole numbers and booleans.

        A condition on a column that has no value at the latest step is not fulfilled.

        Args:
          step_structure: a nest like the steps that will be appended, whatever its leaves are.

        Returns:
          A nest of the same structure; compare its leaves, as in `data["is_last"] == 1`.
        """
        columns, structure = sources(step_structure)
        return unflatten(structure, [Comparable(column) for column in columns])


def _shown(left: Left, modulo: int) -> str:
    shown = left.value if isinstance(left, Counter) else f"column {left.name!r}"
    return f"{shown} % {modulo}" if modulo else shown
