"""The signature of the items that configs make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launchpad_lite.errors import UsageError, nearest
from launchpad_lite.replay.core.nest import column_names, column_paths, unflatten
from launchpad_lite.replay.core.spec import ArraySpec, Signature
from launchpad_lite.replay.service.configs import Config, require_configs
from launchpad_lite.validation import within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launchpad_lite.replay.service.history import Path
    from launchpad_lite.replay.service.patterns import PatternNode


def infer_signature(configs: Sequence[Config], step_spec: Any) -> Any:
    """Return the signature of the table whose items some configs make.

    Args:
      configs: all configs for the table; their patterns have one structure.
      step_spec: a nest like the steps that will be appended, of `ArraySpec`, arrays, or anything
        with a `shape` and a `dtype`.

    Returns:
      A nest of `ArraySpec`, of the structure of the patterns. Where the number of steps differs
      from config to config, the leading dimension may be of any length.

    Raises:
      UsageError: there is no config, or they are for different tables, or have patterns of
        different structures, or columns that cannot be in one table; step_spec lacks a column.
    """
    with within("infer_signature"):
        configs = require_configs(configs)
        tables = sorted({config.table for config in configs})
        if len(tables) > 1:
            raise UsageError(f"the configs are for several tables: {', '.join(tables)}.")
        structure = configs[0].pattern_structure
        for index, config in enumerate(configs):
            if config.pattern_structure != structure:
                raise UsageError(
                    f"the patterns of configs[0] and configs[{index}] are not nested alike."
                )
        steps = Signature(step_spec)
        specs = dict(zip(column_paths(steps.structure), steps.specs, strict=True))
        names = column_names(structure)
        columns = zip(names, *(config.flat for config in configs), strict=True)
        found = [
            _merged(name, [_spec(node, specs, steps) for node in nodes]) for name, *nodes in columns
        ]
        return unflatten(structure, found)


def _spec(node: PatternNode, specs: dict[Path, ArraySpec], steps: Signature) -> ArraySpec:
    """Return what a column of the items looks like."""
    source = node.source
    spec = specs.get(source.path)
    if spec is None:
        raise UsageError(
            f"step_spec has no column {source.name!r}, which a pattern refers to"
            f"{nearest(source.name, steps.names)}"
        )
    shape = spec.shape if node.is_squeezed else (len(node), *spec.shape)
    return ArraySpec(shape, spec.dtype)


def _merged(name: str, specs: list[ArraySpec]) -> ArraySpec:
    """Return what fits each of some columns that are to be one."""
    first = specs[0]
    shape = first.shape
    for spec in specs[1:]:
        if (
            spec.dtype != first.dtype
            or len(spec.shape) != len(shape)
            or spec.shape[1:] != shape[1:]
        ):
            raise UsageError(
                f"column {name!r} is {first} of one config and {spec} of another: give them "
                "different tables."
            )
        if spec.shape != shape:
            shape = (None, *shape[1:])
    return ArraySpec(shape, first.dtype, name)
