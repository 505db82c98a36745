"""Asks all nodes of a run what they have counted of their calls."""

from __future__ import annotations

import dataclasses
import itertools
import threading
import time
from typing import TYPE_CHECKING

from launchpad_lite.courier import metering

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launchpad_lite.metrics import CallMetrics
    from launchpad_lite.runtime.subscription import Subscription

ANSWER_S = 5.0
"""Seconds that nodes have to answer."""


@dataclasses.dataclass(frozen=True, slots=True)
class MetricsWanted:
    """Asks a worker for what it has counted.

    Attributes:
      question: the number to answer with.
    """

    question: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RunMetrics:
    """What the nodes of a run have counted of their calls.

    Attributes:
      calls: one for each node, side, server, method and caller, in this order.
      silent: nodes that did not answer in time; what they have counted is missing.
    """

    calls: tuple[CallMetrics, ...]
    silent: tuple[str, ...]


class Measuring:
    """Puts the question to the workers, and takes their answers."""

    def __init__(self, run_id: str, followers: Callable[[], Mapping[str, Subscription]]) -> None:
        """Make it.

        Args:
          run_id: the run.
          followers: returns the ways to the workers of other processes.
        """
        self._run_id = run_id
        self._followers = followers
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._answers: dict[int, dict[str, list[CallMetrics]]] = {}

    def metrics(self, timeout: float = ANSWER_S) -> RunMetrics:
        """Ask all nodes, and wait for their answers for so many seconds at most."""
        number, end = next(self._numbers), time.monotonic() + timeout
        with self._changed:
            answers = self._answers[number] = {}
        asked = self._followers()
        for follower in asked.values():
            follower.put(MetricsWanted(number))
        with self._changed:
            self._changed.wait_for(
                lambda: len(answers) == len(asked), max(0.0, end - time.monotonic())
            )
            del self._answers[number]
            told = [row for rows in answers.values() for row in rows]
            silent = tuple(sorted(asked.keys() - answers.keys()))
        told += metering.metrics(self._run_id)
        told.sort(key=lambda row: (row.node, row.side, row.server, row.method, row.caller))
        return RunMetrics(calls=tuple(told), silent=silent)

    def report(self, number: int, worker: str, told: list[CallMetrics]) -> None:
        """Take a worker's answer; one that is late is for nobody."""
        with self._changed:
            if number in self._answers:
                self._answers[number][worker] = told
                self._changed.notify_all()
