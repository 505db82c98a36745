"""Results kept for a while: one refresh at a time however many ask, in the background meanwhile."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import logging
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from launchpad_lite.courier.deadlines import deadlines
from launchpad_lite.errors import ResourceExhausted

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

R = TypeVar("R")

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class CachedResult(Generic[R]):
    """A result that a cacher has kept, or got just now.

    Attributes:
      value: the result.
      age_s: seconds since it came to the cacher.
    """

    value: R
    age_s: float


@dataclasses.dataclass(slots=True, eq=False)
class _Entry:
    """One question.

    Attributes:
      title: what is asked, for people.
      ask: asks it.
      flight: becomes the answer of the call that is being made, and when it came.
      begun: when the last refresh began.
      answer: the last answer, and when it came.
      wanted: somebody has asked since the last refresh began.
      failed: the last refresh has.
      cancel: takes the next look at it back.
    """

    title: str
    ask: Callable[[], Future[Any]]
    flight: Future[tuple[Any, float]] | None = None
    begun: float = 0.0
    answer: tuple[Any, float] | None = None
    wanted: bool = True
    failed: bool = False
    cancel: Callable[[], object] = lambda: None


class Cache:
    """Answers to questions, by key; thread-safe.

    An answer is refreshed `refresh_s` after it came if somebody has asked for it since the refresh
    before; else as soon as somebody asks. One that nobody asks for is dropped when it is stale.
    """

    def __init__(
        self,
        refresh_s: float,
        stale_s: float,
        max_entries: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        call_later: Callable[[float, Callable[[], object]], Callable[[], object]] = (
            deadlines.call_later
        ),
    ) -> None:
        """Make an empty cache.

        Args:
          refresh_s: seconds after which an answer is refreshed.
          stale_s: seconds after which an answer is given no more.
          max_entries: how many answers are kept; those that were asked for last.
          clock: returns seconds.
          call_later: calls a function after some seconds; returns what prevents it.
        """
        self._refresh_s = refresh_s
        self._stale_s = stale_s
        self._max_entries = max_entries
        self._clock = clock
        self._call_later = call_later
        self._entries: collections.OrderedDict[Hashable, _Entry] = collections.OrderedDict()
        self._lock = threading.Lock()
        self._closed = False

    def __len__(self) -> int:
        """Return how many answers are kept or on their way."""
        return len(self._entries)

    def get(self, key: Hashable, title: str, ask: Callable[[], Future[Any]]) -> CachedResult[Any]:
        """Return an answer that is not stale, waiting for one where there is none.

        Args:
          key: tells the question from others.
          title: what is asked, for people.
          ask: asks it, unless it is being asked already.

        Raises:
          Exception: there is no answer, and asking failed with it.
        """
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry(title, ask)
            self._entries.move_to_end(key)
            entry.wanted = True
            kept = entry.answer if self._left(entry) >= 0 else None
            begins = entry.flight is None
            if kept is not None and not (begins and self._is_due(entry)):
                return self._aged(*kept)
            flight = entry.flight or self._begin(entry)
            self._make_room()
        if begins:
            self._refresh(key, entry, flight)
        return self._aged(*(kept or flight.result()))

    def close(self) -> None:
        """Forget all; refresh no more."""
        with self._lock:
            self._closed = True
            for entry in self._entries.values():
                entry.cancel()
            self._entries.clear()

    def _aged(self, value: Any, came: float) -> CachedResult[Any]:
        return CachedResult(value, self._clock() - came)

    def _left(self, entry: _Entry) -> float:
        """Return the seconds until an entry's answer is stale; negative once it is."""
        return -1.0 if entry.answer is None else entry.answer[1] + self._stale_s - self._clock()

    def _is_due(self, entry: _Entry) -> bool:
        """Whether the last refresh, or the last attempt, is as long ago as that."""
        return self._clock() - entry.begun >= self._refresh_s

    def _begin(self, entry: _Entry) -> Future[tuple[Any, float]]:
        entry.begun = self._clock()
        entry.flight = Future()
        return entry.flight

    def _make_room(self) -> None:
        """Drop what was not asked for longest, but nothing that is being asked."""
        while len(self._entries) > self._max_entries:
            idle = (key for key, entry in self._entries.items() if entry.flight is None)
            key = next(idle, None)
            if key is None:
                return
            self._entries.pop(key).cancel()

    def _refresh(self, key: Hashable, entry: _Entry, flight: Future[tuple[Any, float]]) -> None:
        try:
            call = entry.ask()
        except Exception as error:
            call = Future[Any]()
            call.set_exception(error)
        call.add_done_callback(lambda call: self._land(key, entry, flight, call))

    def _land(
        self,
        key: Hashable,
        entry: _Entry,
        flight: Future[tuple[Any, float]],
        call: Future[Any],
    ) -> None:
        error = call.exception()
        now = self._clock()
        with self._lock:
            entry.flight = None
            first, entry.failed = not entry.failed, error is not None
            if error is None:
                entry.answer = (call.result(), now)
            if self._entries.get(key) is entry and not self._closed:
                self._look_later(key, entry, self._refresh_s)
            kept = self._left(entry) >= 0
        if error is None:
            flight.set_result((call.result(), now))
            return
        if first and kept:
            text = "%s could not be refreshed, and is given until it is stale: %s"
            _log.warning(text, entry.title, error)
        flight.set_exception(error)

    def _look_later(self, key: Hashable, entry: _Entry, seconds: float) -> None:
        entry.cancel()
        with contextlib.suppress(ResourceExhausted):  # without a thread, who asks next looks
            entry.cancel = self._call_later(seconds, lambda: self._look(key, entry))

    def _look(self, key: Hashable, entry: _Entry) -> None:
        """Refresh an entry if it was asked for; drop it once it is stale."""
        with self._lock:
            if self._entries.get(key) is not entry or entry.flight is not None:
                return
            if not entry.wanted:
                left = self._left(entry)
                if left > 0:
                    self._look_later(key, entry, left)
                else:
                    del self._entries[key]
                return
            entry.wanted = False
            flight = self._begin(entry)
        self._refresh(key, entry, flight)
