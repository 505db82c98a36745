"""The machines of a cluster: what they have, and how much of something that is enough for."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

CPU = "CPU"
GPU = "GPU"
MEMORY = "memory"

GB = 1e9

_SLACK = 1e-6  # Ray counts in units of 0.0001


def _no_labels() -> Mapping[str, str]:
    return {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """A node of the cluster.

    Attributes:
      name: for people.
      total: what it has, by Ray's names of resources; memory in bytes.
      free: what of it is not taken.
      labels: which Ray knows it by, and whoever has started Ray there.
    """

    name: str
    total: Mapping[str, float]
    free: Mapping[str, float]
    labels: Mapping[str, str] = dataclasses.field(default_factory=_no_labels)


def room(space: Mapping[str, float], each: Mapping[str, float]) -> int:
    """Return how often there is room for something."""
    return min(math.floor(space.get(name, 0) / amount + _SLACK) for name, amount in each.items())


def amounts(resources: Mapping[str, float]) -> str:
    """Return resources, for people."""
    shown = [
        f"{name} {value / GB:.3g} GB" if name == MEMORY else f"{name} {value:g}"
        for name, value in resources.items()
        if not internal(name)
    ]
    return ", ".join(shown) or "nothing"


def internal(name: str) -> bool:
    """Return whether a resource is Ray's own."""
    return name.startswith("node:") or name == "object_store_memory"
