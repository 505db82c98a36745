"""A replay buffer with the concepts and names of google-deepmind/reverb, on NumPy alone.

The names load on first use: importing this package loads neither NumPy nor optree.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from launchpad_lite.errors import nearest

if TYPE_CHECKING:
    from launchpad_lite.replay import (
        checkpointers,
        errors,
        pattern_dataset,
        rate_limiters,
        selectors,
        structured_writer,
    )
    from launchpad_lite.replay.core.extensions import TableExtension
    from launchpad_lite.replay.core.info import ReplaySample, SampleInfo, TableInfo
    from launchpad_lite.replay.core.spec import ArraySpec
    from launchpad_lite.replay.core.table import Table
    from launchpad_lite.replay.errors import DeadlineExceededError, ReverbError
    from launchpad_lite.replay.service.client import Client
    from launchpad_lite.replay.service.datasets import TimestepDataset, TrajectoryDataset
    from launchpad_lite.replay.service.history import TrajectoryColumn
    from launchpad_lite.replay.service.pattern_dataset import PatternDataset
    from launchpad_lite.replay.service.server import Server
    from launchpad_lite.replay.service.structured_writer import StructuredWriter
    from launchpad_lite.replay.service.trajectory_writer import TrajectoryWriter
    from launchpad_lite.replay.service.writer import Writer

    item_selectors = selectors
    structured = structured_writer

__all__ = [
    "ArraySpec",
    "Client",
    "DeadlineExceededError",
    "PatternDataset",
    "ReplaySample",
    "ReverbError",
    "SampleInfo",
    "Server",
    "StructuredWriter",
    "Table",
    "TableExtension",
    "TableInfo",
    "TimestepDataset",
    "TrajectoryColumn",
    "TrajectoryDataset",
    "TrajectoryWriter",
    "Writer",
    "checkpointers",
    "errors",
    "item_selectors",
    "pattern_dataset",
    "rate_limiters",
    "selectors",
    "structured",
    "structured_writer",
]

_HOMES = {
    "ArraySpec": "core.spec",
    "Client": "service.client",
    "DeadlineExceededError": "errors",
    "PatternDataset": "service.pattern_dataset",
    "ReplaySample": "core.info",
    "ReverbError": "errors",
    "SampleInfo": "core.info",
    "Server": "service.server",
    "StructuredWriter": "service.structured_writer",
    "Table": "core.table",
    "TableExtension": "core.extensions",
    "TableInfo": "core.info",
    "TimestepDataset": "service.datasets",
    "TrajectoryColumn": "service.history",
    "TrajectoryDataset": "service.datasets",
    "TrajectoryWriter": "service.trajectory_writer",
    "Writer": "service.writer",
}
"""Where each name is defined; those that are not here are modules."""

_ALIASES = {"item_selectors": "selectors", "structured": "structured_writer"}

_NEEDS_TENSORFLOW = (
    "it needs TensorFlow. Client samples and updates priorities, and the datasets give batches of "
    "NumPy arrays, which tensors are made of"
)
_ELSEWHERE = {
    "PriorityTable": "take Table",
    "PriorityTableExtensionBase": "extend TableExtension, whose methods are the hooks",
    "ReplayDataset": "take TimestepDataset or TrajectoryDataset",
    "TFClient": _NEEDS_TENSORFLOW,
    "TableExtensionBase": "extend TableExtension, whose methods are the hooks",
    "distributions": "take selectors",
    "tf_client": _NEEDS_TENSORFLOW,
}
"""Names of Reverb's that are not here, and what to do instead."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        if name in _ELSEWHERE:
            raise AttributeError(f"{message}: {_ELSEWHERE[name]}.")
        raise AttributeError(message if name.startswith("_") else message + nearest(name, __all__))
    home = _HOMES.get(name, _ALIASES.get(name, name))
    module = importlib.import_module(f"{__name__}.{home}")
    return getattr(module, name) if name in _HOMES else module


def __dir__() -> list[str]:
    return __all__
