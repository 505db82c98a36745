"""What the controller tells workers in other processes: where services listen, and notices."""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import TYPE_CHECKING

from launchpad_lite.runtime.directory import Directory, EndedRecord
from launchpad_lite.runtime.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from launchpad_lite.endpoint import EndpointRecord
    from launchpad_lite.runtime.status import Notice


class _Notice:
    """A notice, and until when there is time."""

    def __init__(self, notice: Notice) -> None:
        self._notice = notice
        self._deadline = time.monotonic() + notice.seconds

    def now(self) -> Notice:
        """Return it for who hears it only now."""
        left = max(0.0, self._deadline - time.monotonic())
        return dataclasses.replace(self._notice, seconds=left)


class Followers:
    """The workers of a run, and whoever else calls its nodes; thread-safe.

    Attributes:
      directory: where the run's services are.
    """

    def __init__(self, services: Collection[str], workers: Collection[str]) -> None:
        """Begin without any.

        Args:
          services: all that will ever be in the directory.
          workers: the run's; others come and go.
        """
        self.directory = Directory(services)
        self._workers = frozenset(workers)
        self._lock = threading.Lock()
        self._news = threading.Lock()  # news of a service go out in the order they came
        self._lines: dict[str, Subscription] = {}
        self._followed: dict[str, set[str]] = {}
        self._notice: _Notice | None = None
        self._leaving: dict[str, _Notice] = {}  # what some were told alone

    def lines(self) -> dict[str, Subscription]:
        """Return the ways to all of them."""
        with self._lock:
            return dict(self._lines)

    def publish(self, record: EndpointRecord) -> bool:
        """Tell where a service listens; return whether that is news."""
        with self._news:
            taken = self.directory.publish(record)
            if taken:
                self._tell(record.name, record)
        return taken

    def retire(self, name: str, reason: str) -> None:
        """Tell everyone that a service will not come back."""
        with self._news:
            known = self.directory.get(name)
            ended = EndedRecord(name, reason, known.incarnation if known else 0)
            self.directory.end(ended)
            self._tell(name, ended)

    def notify(self, notice: Notice) -> None:
        """Tell everyone that the run stops, also those that come later."""
        with self._lock:
            self._notice = _Notice(notice)
            lines = list(self._lines.values())
        for line in lines:
            line.put(notice)

    def notify_leaving(self, names: Iterable[str], notice: Notice) -> None:
        """Tell some workers that their host leaves, also those of them that come later."""
        with self._lock:
            self._leaving |= dict.fromkeys(names, _Notice(notice))
            lines = [self._lines[name] for name in names if name in self._lines]
        for line in lines:
            line.put(notice)

    def begin_again(self, worker: str) -> None:
        """Take it that a worker is started again: what it was told alone does not hold any more."""
        with self._lock:
            self._leaving.pop(worker, None)

    def _tell(self, name: str, news: EndpointRecord | EndedRecord) -> None:
        with self._lock:
            interested = [
                line
                for follower, line in self._lines.items()
                if name in self._followed.get(follower, ())
            ]
        for line in interested:
            line.put(news)

    def attach(self, worker: str) -> Subscription:
        """Return the stream of what a worker must know: records it follows, and the notice."""
        line = Subscription(lambda ended: self._detach(worker, ended))
        with self._lock:
            self._lines[worker] = line
            followed = list(self._followed.get(worker, ()))
            notice = self._notice or self._leaving.get(worker)
        for name in followed:  # a call of `follow` may have overtaken this one
            news = self.directory.get(name)
            if news is not None:
                line.put(news)
        if notice is not None:
            line.put(notice.now())
        return line

    def _detach(self, worker: str, line: Subscription) -> None:
        with self._lock:
            if self._lines.get(worker) is line:  # not that of its next incarnation
                del self._lines[worker]
                if worker not in self._workers:  # one that comes again has another name
                    self._followed.pop(worker, None)

    def follow(self, worker: str, name: str) -> EndpointRecord | EndedRecord | None:
        """Send a worker all news of a service from now on; return what is known of it."""
        with self._lock:
            self._followed.setdefault(worker, set()).add(name)
        return self.directory.get(name)

    def end(self) -> None:
        """Let them have what they were told, and then nothing more."""
        for line in self.lines().values():
            line.end()
