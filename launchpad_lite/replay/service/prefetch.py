"""Samples of a table that are asked for before they are needed."""

from __future__ import annotations

import collections
import contextvars
import functools
import logging
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Self

from launchpad_lite.courier import finalizers
from launchpad_lite.errors import LaunchpadError, Unavailable

if TYPE_CHECKING:
    from concurrent.futures import Future

    from launchpad_lite.courier.client import Client
    from launchpad_lite.replay.core.info import ReplaySample
    from launchpad_lite.replay.service.elements import Elements
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
    ) -> None:
        """Ask for nothing yet.

        Args:
          courier: the client of the replay server.
          table: the table's name.
          what: who samples, for messages.
          whole: whether an answer should have all the items that it was asked for.
          timeout_s: how long the table's rate limiter may hold a call; None for no limit.
          max_samples: how many items to sample; None for no end.
        """
        self.under_way = 0
        self._method = courier.futures.sample
        self._table = table
        self._what = what
        self._whole = whole
        self._timeout_s = timeout_s
        self._left = max_samples
        self._ended = False
        # a deadline of the block that asks is not one of what is asked for ahead
        self._context = contextvars.Context()
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
        call = self._context.run(self._method, self._table, count, at_least, self._timeout_s)
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


class SampleIterator(Iterator["ReplaySample"]):
    """Iterates over samples of a table; made by `iter(dataset)`.

    For one thread at a time; but `close` may be called from any.
    """

    def __init__(
        self,
        prefetch: Prefetch,
        elements: Elements,
        what: str,
        *,
        window: int,
        ordered: bool,
        drop_remainder: bool,
    ) -> None:
        """Begin; nothing is asked for before the first element.

        Args:
          prefetch: what asks for samples.
          elements: what makes elements of them.
          what: who samples, for messages.
          window: how many items may be under way or here, beside those of the newest element.
          ordered: whether the order of the items matters, so that calls must not overtake.
          drop_remainder: whether a last batch that is not full is dropped.
        """
        self._prefetch = prefetch
        self._elements = elements
        self._what = what
        self._window = window
        self._ordered = ordered
        self._drop_remainder = drop_remainder
        self._closed = False

    def __next__(self) -> ReplaySample:
        if self._closed:
            raise StopIteration
        try:
            element = self._elements.pop()
            if element is not None:
                return element
            return self._next()
        except Exception as error:
            self.close()
            if isinstance(error, LaunchpadError):
                error.add_note(f"in the iterator of a {self._what}")
            raise

    def close(self) -> None:
        """Ask for no more, and end the iteration; once closed, it does nothing."""
        self._closed = True
        self._prefetch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next(self) -> ReplaySample:
        elements = self._elements
        while True:
            self._ask()
            answer = self._prefetch.take()
            if answer is None:
                break
            elements.push(answer)
            element = elements.pop()
            if element is not None:
                self._ask()  # while the element is used
                return element
        rest = elements.rest()
        if rest is None or self._drop_remainder:
            raise StopIteration
        return rest

    def _ask(self) -> None:
        prefetch, elements = self._prefetch, self._elements
        while True:
            under_way = prefetch.under_way
            count = elements.wanted(under_way)
            full = self._ordered or elements.held + under_way + count > self._window
            if (under_way and full) or not prefetch.ask(count):
                return


def _cancel(calls: collections.deque[tuple[int, Future[list[SampledBatch]]]]) -> None:
    for _, call in list(calls):
        call.cancel()
