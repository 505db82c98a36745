"""Configs: which items a structured writer makes, of what, when, and with which priority."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.nest import column_names, flatten
from launchpad_lite.replay.service.conditions import Comparable, Comparison
from launchpad_lite.replay.service.patterns import (
    Pattern,
    PatternNode,
    ReferenceColumn,
    Source,
    create_reference_step,
)
from launchpad_lite.validation import function, instance, number, refuse, text, within

if TYPE_CHECKING:
    from launchpad_lite.replay.core.nest import Structure


@dataclasses.dataclass(frozen=True)
class TdError:
    """A priority that is computed from the temporal-difference errors of the item's steps.

    Attributes:
      max_priority_weight: the weight of the largest one; the rest is that of their mean.
      source: the column that has them.
    """

    max_priority_weight: float
    source: Source


Priority: TypeAlias = float | TdError


@dataclasses.dataclass(frozen=True)
class Config:
    """What a structured writer makes items of; `create_config` makes it.

    Attributes:
      pattern: a nest of `PatternNode`.
      table: the name of the table that the items are for.
      conditions: all of them must be fulfilled at a step.
      priority: the items' priority, or how it is computed.
    """

    pattern: Pattern
    table: str
    conditions: tuple[Comparison, ...]
    priority: Priority

    @property
    def flat(self) -> list[PatternNode]:
        """The leaves of the pattern, in order."""
        return flatten(self.pattern)[0]

    @property
    def pattern_structure(self) -> Structure:
        """The structure of the pattern, and of the items."""
        return flatten(self.pattern)[1]

    @property
    def needs(self) -> dict[Source, int]:
        """How many of its latest steps each column must have for an item, and for a condition."""
        needs: dict[Source, int] = {}
        for node in self.flat:
            needs[node.source] = max(needs.get(node.source, 0), -node.start)
        for condition in self.conditions:
            if isinstance(condition.left, Source):
                needs.setdefault(condition.left, 1)
        return needs


def create_config(
    pattern: Pattern,
    table: str,
    conditions: Sequence[Comparison] = (),
    priority: Priority | None = None,
) -> Config:
    """Return what a structured writer makes items of.

    Args:
      pattern: a nest of indices and slices of a reference step's columns: what an item is.
      table: the name of the table that the items are for.
      conditions: what must be fulfilled at a step to make an item of it; see `Condition`. Where a
        step that the pattern refers to does not exist, or has no value, none is made either.
      priority: the items' priority, 1 if not given, or what `td_error` returns.

    Raises:
      UsageError: a part of the pattern or a condition is something else, the pattern is empty, or
        the priority is negative or no number, or computed from a column that is not in the pattern.
    """
    with within("create_config"):
        leaves, structure = flatten(pattern)
        if not leaves:
            raise UsageError("the pattern is empty: an item needs at least one column.")
        for leaf, name in zip(leaves, column_names(structure), strict=True):
            if not isinstance(leaf, PatternNode):
                raise UsageError(
                    f"the pattern's column {name!r} is {leaf!r}: give an index or a slice of a "
                    "reference step's column, as in step['observation'][-2:]."
                )
        if not text("table", table):
            raise UsageError("table is empty: give the name of a table.")
        return Config(pattern, table, _conditions(conditions), _priority(priority, leaves))


def require_configs(given: object) -> list[Config]:
    """Return configs.

    Raises:
      UsageError: there are none, or one is something else.
    """
    rule = instance(Config, "what create_config returns")
    if not isinstance(given, Iterable):
        raise UsageError(f"configs={given!r}: give a list of what create_config returns.")
    configs = list(cast("Iterable[Any]", given))
    if not configs:
        raise UsageError("configs is empty: at least one config must be given.")
    return [rule(f"configs[{index}]", each) for index, each in enumerate(configs)]


def unpack_pattern(config: Config) -> Pattern:
    """Return the pattern of a config."""
    return config.pattern


def constant_priority_fn(value: float) -> Priority:
    """Return the priority that is the same for all items.

    Raises:
      UsageError: it is negative, or no number.
    """
    with within("constant_priority_fn"):
        return _constant("value", value)


def td_error(
    max_priority_weight: float,
    step_structure: Any,
    get_field_from_step_fn: Callable[[Any], Any],
) -> Priority:
    """Return the priority that is computed from the temporal-difference errors of an item's steps.

    It is `weight * max(|error|) + (1 - weight) * mean(|error|)`, over the steps that the item has
    of the errors' column; where it has the column twice, those of the first in order.

    Source: Kapturowski et al., Recurrent Experience Replay in Distributed Reinforcement Learning,
    2019, section 2.3, https://openreview.net/pdf?id=r1lyTjAqYX.

    Args:
      max_priority_weight: 0 to 1.
      step_structure: a nest like the steps that will be appended.
      get_field_from_step_fn: takes a nest like a step, and returns the column of the errors.

    Raises:
      UsageError: the weight is something else, or the function does not return a column.
    """
    with within("td_error"):
        weight = number("max_priority_weight", max_priority_weight)
        if not 0 <= weight <= 1:
            refuse("max_priority_weight", max_priority_weight, "a number from 0 to 1")
        function(get_field_from_step_fn, "get_field_from_step_fn")
        column = get_field_from_step_fn(create_reference_step(step_structure))
        if not isinstance(column, ReferenceColumn):
            raise UsageError(
                f"get_field_from_step_fn returned {column!r}: let it return one column of the step "
                "that it takes, as in `lambda step: step['td_error']`."
            )
        return TdError(weight, column.source)


def _conditions(given: object) -> tuple[Comparison, ...]:
    if not isinstance(given, Iterable):
        refuse("conditions", given, "a list of conditions, as in [Condition.step_index() >= 5]")
    conditions = tuple(cast("Iterable[object]", given))
    for index, each in enumerate(conditions):
        if isinstance(each, Comparable):
            raise UsageError(f"conditions[{index}]: {each} is compared with nothing: add `>= 5`.")
        rule = instance(Comparison, "a condition, as in Condition.step_index() >= 5")
        rule(f"conditions[{index}]", each)
    return cast("tuple[Comparison, ...]", conditions)


def _priority(given: Any, nodes: list[PatternNode]) -> Priority:
    if given is None:
        return 1.0
    if not isinstance(given, TdError):
        return _constant("priority", given)
    if all(node.source != given.source for node in nodes):
        raise UsageError(
            f"priority: the td_error is computed from column {given.source.name!r}, which is not "
            "in the pattern."
        )
    return given


def _constant(name: str, value: Any) -> float:
    priority = number(name, value)
    if not 0 <= priority < float("inf"):
        refuse(name, value, "a number, 0 or more")
    return priority
