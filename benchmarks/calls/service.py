"""What the servers of all peers serve. Every method takes one argument."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

FEATURES, ACTIONS = 128, 8
_FLOATS_OF_A_PAGE = 4096 // 4


@dataclasses.dataclass(frozen=True)
class Service:
    """What a server makes and serves.

    Attributes:
      cls: the class.
      args: the arguments of its constructor.
      threads: methods that may run at a time; None for what the peer does by default.
    """

    cls: type
    args: tuple[Any, ...] = ()
    threads: int | None = None

    def make(self) -> Any:
        """Make the object."""
        return self.cls(*self.args)


def read(array: Array) -> float:
    """Read one number of each page, so that memory that comes late is part of the time."""
    return float(array[::_FLOATS_OF_A_PAGE].sum())


@functools.cache
def floats(count: int) -> Array:
    """Return an array that is made once in a process."""
    return np.arange(count, dtype=np.float32)


class Served:
    """What every server has."""

    def pid(self, _: None) -> int:
        """Return the server's process."""
        return os.getpid()


class Echo(Served):
    """Does nothing with what it gets, or as little as there can be."""

    def echo(self, value: Any) -> Any:
        """Return what came."""
        return value

    def take(self, array: Array) -> float:
        """Read an array, and return a number."""
        return read(array)

    def fetch(self, count: int) -> Array:
        """Return an array of so many floats, always the same."""
        return floats(count)


class Scale(Served):
    """Costs next to nothing per array, so that the calls are measured."""

    def act(self, observation: Array) -> Array:
        """Return twice the observation, or twice a batch of them."""
        return observation * np.float32(2)


class Policy(Served):
    """A network with two hidden layers: [..., FEATURES] to [..., ACTIONS]."""

    def __init__(self, hidden: int) -> None:
        """Make the weights, for hidden layers of so many units."""
        rng = np.random.default_rng(0)
        sizes = (FEATURES, hidden, hidden, ACTIONS)
        self._layers = [
            rng.normal(size=shape).astype(np.float32) for shape in itertools.pairwise(sizes)
        ]

    def act(self, observation: Array) -> Array:
        """Return the values of the actions, for one observation or for many."""
        values = observation
        for layer in self._layers:
            values = np.maximum(values, 0) @ layer
        return values
