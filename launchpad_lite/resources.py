"""What a node asks of the machine it runs on."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from launchpad_lite import validation
from launchpad_lite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


_RULES = {
    "nodes": validation.optional(validation.integer(1)),
    "exclusive": validation.boolean,
}


def _no_custom() -> Mapping[str, float]:
    return {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resources:
    """What each node of a group asks for; None leaves it to the launcher.

    Attributes:
      cpus: CPU cores.
      gpus: whole GPUs.
      memory_gb: memory, in 10^9 bytes.
      nodes: over how many machines the group spreads, where a cluster has several.
      exclusive: nothing else runs on its machines.
      custom: a launcher's own resources, by name.
    """

    cpus: float | None = None
    gpus: int | None = None
    memory_gb: float | None = None
    nodes: int | None = None
    exclusive: bool = False
    custom: Mapping[str, float] = dataclasses.field(default_factory=_no_custom)

    def __post_init__(self) -> None:
        """Refuse negative amounts, and parts of a GPU.

        Raises:
          UsageError: an amount is no number, or a negative one, or `gpus` is no integer.
        """
        amounts = {"cpus": self.cpus, "gpus": self.gpus, "memory_gb": self.memory_gb}
        for name, amount in {**amounts, **self.custom}.items():
            if amount is None:
                continue
            if type(amount) not in (int, float) or not math.isfinite(amount):
                message = f"Resources({name}={amount!r}): an amount is a number."
                raise UsageError(message)
            if amount < 0:
                message = f"Resources({name}={amount}): an amount cannot be negative."
                raise UsageError(message)
        if self.gpus is not None and type(self.gpus) is not int:
            message = f"Resources(gpus={self.gpus}): only whole GPUs can be asked for."
            raise UsageError(message)
        with validation.within("Resources"):
            validation.validate(self, _RULES)

    def __str__(self) -> str:
        """Return the amounts asked for, or a dash."""
        amounts = {"cpus": self.cpus, "gpus": self.gpus, "memory_gb": self.memory_gb, **self.custom}
        asked = [f"{name}={amount:g}" for name, amount in amounts.items() if amount is not None]
        asked += [f"nodes={self.nodes}"] if self.nodes is not None else []
        asked += ["exclusive"] if self.exclusive else []
        return " ".join(asked) or "-"
