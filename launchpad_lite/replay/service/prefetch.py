"""Samples of a table that are asked for before they are needed."""

from __future__ import annotations

import collections
import contextvars
import functools
import logging
import time
import weakref
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

from launchpad_lite.courier import finalizers
from launchpad_lite.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from launchpad_lite.courier.client import Client
    from launchpad_lite.replay.service.protocol import SampledBatch

_log = logging.getLogger(__name__)

TOLD_AFTER_S = 5.0
"""Seconds after which the log says that nothing comes; then after twice as many."""


class Prefetch:
    """Calls of `sample` that are under way, without a thread of their own.

    An answer that was lost with its connection is asked for again, as soon as the server is back.

    Attributes:
      under_way: how many items have been asked for and not been taken.
    """

    def __init__(
        self,
        courier: Client,
        table: str,
        what: str,
        *,
        whole: bool,
        timeout_s: float | None,
        max_samples: int | None,
        detached: bool,
    ) -> None:
        """Ask for nothing yet.

        Args:
          courier: the client of the replay server.
          table: the table's name.
          what: who samples, for messages.
          whole: whether an answer should have all the items that it was asked for.
          timeout_s: how long the table's rate limiter may hold a call; None for no limit.
          max_samples: how many items to sample; None for no end.
          detached: whether calls are free of the deadline of the block that asks for them: what is
            asked for ahead is not what the block waits for.
        """
        self.under_way = 0
        method: Callable[..., Future[list[SampledBatch]]] = courier.futures.sample
        # a context of their own has no deadline
        self._method = functools.partial(contextvars.Context().run, method) if detached else method
        self._table = table
        self._what = what
        self._whole = whole
        self._timeout_s = timeout_s
        self._left = max_samples
        self._ended = False
        self._calls: collections.deque[tuple[int, Future[list[SampledBatch]]]] = collections.deque()
        cancel = functools.partial(_cancel, self._calls)
        weakref.finalize(self, finalizers.later, cancel).atexit = False

    def ask(self, count: int) -> bool:
        """Ask for up to `count` items; return whether that was done, or no more are wanted."""
        if self._left is not None:
            count = min(count, self._left)
        if self._ended or not count:
            return False
        at_least = count if self._whole else 1
        call = self._method(self._table, count, at_least, self._timeout_s)
        self._note(count)
        self._calls.append((count, call))
        if self._ended:  # closed by another thread meanwhile
            _cancel(self._calls)
        return True

    def take(self) -> list[SampledBatch] | None:
        """Wait for the oldest call; return its answer, or None if there are no more.

        Raises:
          UsageError: there is no such table.
          Unavailable: the server has stopped.
          Stopped: the run has stopped.
        """
        while self._calls:
            count, call = self._calls[0]
            try:
                batches = self._result(call)
            except CancelledError:
                return None
            except Unavailable as error:
                if not error.maybe_executed:
                    raise
                _log.warning("%s: %s. It is asked again.", self._what, error)
                self._calls.popleft()
                self._note(-count)
                self.ask(count)
                continue
            self._calls.popleft()
            self._note(-count)
            got = sum(len(batch.places) for batch in batches)
            if self._left is not None:
                self._left -= got
            self._ended = self._ended or got < (count if self._whole else 1)
            if got:
                return batches
        return None

    def close(self) -> None:
        """Cancel what is under way; `take` returns None from now on, also where it waits."""
        self._ended = True
        _cancel(self._calls)

    def _note(self, count: int) -> None:
        self.under_way += count
        if self._left is not None:
            self._left -= count

    def _result(self, call: Future[list[SampledBatch]]) -> list[SampledBatch]:
        began, told_at = time.monotonic(), TOLD_AFTER_S
        while True:
            try:
                return call.result(max(0.0, began + told_at - time.monotonic()))
            except TimeoutError:
                if call.done():  # it may have failed with a timeout of its own
                    return call.result()
            _log.warning(
                "%s has waited for samples for %g s. The table's rate limiter lets none pass (the "
                "server's log tells the numbers), or the server cannot be reached.",
                self._what,
                told_at,
            )
            told_at *= 2


def _cancel(calls: collections.deque[tuple[int, Future[list[SampledBatch]]]]) -> None:
    for _, call in list(calls):
        call.cancel()
