"""How a table selects the item to sample, or the item to remove when it is full."""

from launchpad_lite.replay.core.selectors.base import Selector
from launchpad_lite.replay.core.selectors.heap import MaxHeap, MinHeap
from launchpad_lite.replay.core.selectors.ordered import Fifo, Lifo
from launchpad_lite.replay.core.selectors.prioritized import Prioritized
from launchpad_lite.replay.core.selectors.uniform import Uniform

__all__ = ["Fifo", "Lifo", "MaxHeap", "MinHeap", "Prioritized", "Selector", "Uniform"]
