"""Where the services of a run listen: the controller has a directory, and so has each worker."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
from typing import TYPE_CHECKING

from launchpad_lite.endpoint import EndpointRecord
from launchpad_lite.errors import DeadlineExceeded, Unavailable, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from launchpad_lite.stop_token import StopToken

_log = logging.getLogger(__name__)

WAITING_HINT_S = 10.0
"""Seconds after which whoever waits for a service says so in the log."""


@dataclasses.dataclass(frozen=True, slots=True)
class EndedRecord:
    """A service that will not come back.

    Attributes:
      name: the service.
      reason: why it ended, for whoever calls it.
      incarnation: the last one there was.
    """

    name: str
    reason: str
    incarnation: int = 0


class Directory:
    """Names to endpoint records, with waiting."""

    def __init__(self, names: Iterable[str] | None = None) -> None:
        """Make an empty directory.

        Args:
          names: all that will ever be in it; None when that is not known here.
        """
        self._names = None if names is None else frozenset(names)
        self._changed = threading.Condition()
        self._records: dict[str, EndpointRecord | EndedRecord] = {}
        self._watchers: dict[str, list[Callable[[EndpointRecord], object]]] = {}

    def publish(self, record: EndpointRecord) -> bool:
        """Take a record, unless a newer incarnation is known; return whether it was taken."""
        with self._changed:
            known = self._records.get(record.name)
            if isinstance(known, EndpointRecord) and known.incarnation > record.incarnation:
                return False
            if isinstance(known, EndedRecord) and known.incarnation >= record.incarnation:
                return False  # it was on its way when its worker died
            self._records[record.name] = record
            self._changed.notify_all()
            watchers = list(self._watchers.get(record.name, ()))
        for callback in watchers:
            callback(record)
        return True

    def watch(
        self, name: str, callback: Callable[[EndpointRecord], object]
    ) -> Callable[[], object]:
        """Call a quick function with each new record of a service; return what ends that."""
        with self._changed:
            self._watchers.setdefault(name, []).append(callback)

        def forget() -> None:
            with self._changed, contextlib.suppress(ValueError):  # it was forgotten before
                self._watchers[name].remove(callback)

        return forget

    def end(self, ended: EndedRecord) -> None:
        """Note that a service will not come back."""
        with self._changed:
            self._records[ended.name] = ended
            self._changed.notify_all()

    def learn(self, news: EndpointRecord | EndedRecord) -> None:
        """Take news that may be old: only of services that nothing is known of."""
        with self._changed:
            self._records.setdefault(news.name, news)
            self._changed.notify_all()

    def get(self, name: str) -> EndpointRecord | EndedRecord | None:
        """Return what is known of a service.

        Raises:
          Unavailable: there never was and never will be one of this name.
        """
        if self._names is not None and name not in self._names:
            message = f"the program has no node {name!r}{nearest(name, self._names)}"
            raise Unavailable(message, maybe_executed=False)
        return self._records.get(name)

    def resolve(self, name: str, timeout: float | None, stop: StopToken) -> EndpointRecord:
        """Return where a service listens, waiting until it does; see `Scope.resolve`."""
        start = time.monotonic()
        hinted = False
        stop.on_close(self._wake)
        try:
            with self._changed:
                while True:
                    stop.check()
                    record = self.get(name)
                    if isinstance(record, EndedRecord):
                        message = f"{name} is not there any more: {record.reason}"
                        raise Unavailable(message, maybe_executed=False)
                    if record is not None:
                        return record
                    waited = time.monotonic() - start
                    if timeout is not None and waited >= timeout:
                        message = f"{name} did not come up within {timeout:.3g} s"
                        raise DeadlineExceeded(message)
                    if waited >= WAITING_HINT_S and not hinted:
                        hinted = True
                        _log.warning("still waiting for %s, which has not come up yet", name)
                    limits = [] if hinted else [WAITING_HINT_S - waited]
                    limits += [] if timeout is None else [timeout - waited]
                    self._changed.wait(min(limits) if limits else None)
        finally:
            stop.forget(self._wake)

    def await_change(self, record: EndpointRecord, timeout: float, stop: StopToken) -> None:
        """Wait until a record is replaced, or for `timeout` seconds."""
        deadline = time.monotonic() + timeout
        stop.on_close(self._wake)
        try:
            with self._changed:
                while self._records.get(record.name) == record and not stop.closed:
                    left = deadline - time.monotonic()
                    if left <= 0 or not self._changed.wait(left):
                        return
        finally:
            stop.forget(self._wake)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
