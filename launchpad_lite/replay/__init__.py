"""A replay buffer with the concepts and names of google-deepmind/reverb, on NumPy alone.

The names load on first use: importing this package loads neither NumPy nor optree.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launchpad_lite.replay import rate_limiters, selectors
    from launchpad_lite.replay.core.extensions import TableExtension
    from launchpad_lite.replay.core.info import ReplaySample, SampleInfo, TableInfo
    from launchpad_lite.replay.core.spec import ArraySpec
    from launchpad_lite.replay.core.table import Table
    from launchpad_lite.replay.service.client import Client
    from launchpad_lite.replay.service.datasets import TimestepDataset, TrajectoryDataset
    from launchpad_lite.replay.service.history import TrajectoryColumn
    from launchpad_lite.replay.service.server import Server
    from launchpad_lite.replay.service.trajectory_writer import TrajectoryWriter
    from launchpad_lite.replay.service.writer import Writer

__all__ = [
    "ArraySpec",
    "Client",
    "ReplaySample",
    "SampleInfo",
    "Server",
    "Table",
    "TableExtension",
    "TableInfo",
    "TimestepDataset",
    "TrajectoryColumn",
    "TrajectoryDataset",
    "TrajectoryWriter",
    "Writer",
    "rate_limiters",
    "selectors",
]

_HOMES = {
    "ArraySpec": "core.spec",
    "Client": "service.client",
    "ReplaySample": "core.info",
    "SampleInfo": "core.info",
    "Server": "service.server",
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


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOMES.get(name, name)}")
    return getattr(module, name) if name in _HOMES else module


def __dir__() -> list[str]:
    return __all__
