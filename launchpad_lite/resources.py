"""What a node asks of the machine it runs on."""

from __future__ import annotations

import dataclasses
import difflib
import math
from typing import TYPE_CHECKING, Any

from launchpad_lite import validation
from launchpad_lite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


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


_NUMBERS: dict[str, Callable[[str], float]] = {
    "cpus": float,
    "gpus": int,
    "memory_gb": float,
    "nodes": int,
}
_EXCLUSIVE = "exclusive"
_MISSPELT = {
    **dict.fromkeys(("cpu", "num_cpus"), "cpus"),
    **dict.fromkeys(("gpu", "num_gpus"), "gpus"),
    **dict.fromkeys(("mem", "memory", "memory_mb", "mem_gb"), "memory_gb"),
    **dict.fromkeys(("node", "num_nodes"), "nodes"),
}
_CLOSE = 0.85  # `npus` and `tpus` are resources of their own
_FORM = "--resources=GROUP:NAME=AMOUNT,... such as --resources=actor:cpus=2,gpus=1"


def with_texts(given: Mapping[str, Resources], texts: Iterable[str]) -> dict[str, Resources]:
    """Return what groups ask for when a command line has the last word, amount by amount.

    Args:
      given: what the program asks for, by group.
      texts: `actor:cpus=2,gpus=1,memory_gb=4,nodes=3,exclusive,TPU=4`; a name that is no attribute
        of `Resources` is a launcher's own resource.

    Raises:
      UsageError: a text has another form.
    """
    result = dict(given)
    for text in texts:
        group, colon, amounts = text.rpartition(":")
        if not (colon and group and amounts):
            raise _not_of_form(text, "it names no group" if amounts else "it names no amount")
        before = result.get(group, Resources())
        own: dict[str, Any] = {}
        custom = dict(before.custom)
        for each in amounts.split(","):
            name, _, amount = each.partition("=")
            if each == _EXCLUSIVE:
                own[name] = True
            elif name in _NUMBERS:
                own[name] = _number(text, each, _NUMBERS[name], amount)
            else:
                if name not in custom:
                    _check_custom(text, name)
                custom[name] = _number(text, each, float, amount)
        with validation.within(f"--resources={text}"):
            result[group] = dataclasses.replace(before, **own, custom=custom)
    return result


def _number(text: str, each: str, kind: Callable[[str], float], amount: str) -> float:
    try:
        return kind(amount)
    except ValueError:
        what = "whole number" if kind is int else "number"
        raise _not_of_form(text, f"{each!r} has no {what}") from None


def _check_custom(text: str, name: str) -> None:
    """Refuse what is rather a misspelt attribute of `Resources` than a launcher's own resource."""
    if name == _EXCLUSIVE:
        raise _not_of_form(text, f"{name!r} has no amount")
    word = name.lower()
    own = (*_NUMBERS, _EXCLUSIVE)
    close = difflib.get_close_matches(word, own, n=1, cutoff=_CLOSE)
    meant = _MISSPELT.get(word) or next(iter(close), "")
    if not name or meant:
        but = f", but {meant!r}" if meant else ""
        raise _not_of_form(text, f"there is no resource {name!r}{but}")


def _not_of_form(text: str, why: str) -> UsageError:
    return UsageError(f"--resources={text}: {why}. Give {_FORM}.")
