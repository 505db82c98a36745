"""What every case of `rpc.py` serves and how it is called. Ray's interpreter imports it too."""

from __future__ import annotations

import collections
import itertools
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

Array = npt.NDArray[np.float32]

IN_FLIGHT = 64
BATCH_SIZE = 32
THREADS = 16  # of a server, and actor threads of Ray
FEATURES, ACTIONS = 128, 8


class Policy:
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


def drive(submit: Callable[[Array], Any], wait: Callable[[Any], Array], calls: int) -> float:
    """Make calls, IN_FLIGHT at a time, and return how many were answered in a second.

    Args:
      submit: begins a call.
      wait: returns its result.
      calls: how many; as many as are in flight come first and are not timed.
    """
    observation = np.ones(FEATURES, np.float32)
    waiting = collections.deque(submit(observation) for _ in range(IN_FLIGHT))
    while waiting:
        wait(waiting.popleft())
    start = time.perf_counter()
    waiting.extend(submit(observation) for _ in range(IN_FLIGHT))
    for _ in range(calls - IN_FLIGHT):
        wait(waiting.popleft())
        waiting.append(submit(observation))
    while waiting:
        row = wait(waiting.popleft())
        assert row.shape == (ACTIONS,)
    return calls / (time.perf_counter() - start)
