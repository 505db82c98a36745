"""A server as its clients see it: found, connected to, and found again after a restart."""

from __future__ import annotations

import abc
import dataclasses
import logging
import math
import threading
import time
import weakref
from typing import TYPE_CHECKING

from launchpad_lite import forks
from launchpad_lite.context import own_name, process_title
from launchpad_lite.courier import messages, metering, mismatch, names, transports
from launchpad_lite.courier.auth import user_credentials
from launchpad_lite.courier.in_flight import InFlight
from launchpad_lite.courier.remote import Remote
from launchpad_lite.courier.waiters import Longest, Waiters
from launchpad_lite.endpoint import is_loopback
from launchpad_lite.errors import (
    DeadlineExceeded,
    MethodNotFound,
    NotAuthenticated,
    Unavailable,
    UsageError,
    nearest,
)
from launchpad_lite.metrics import Meter, of_stats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launchpad_lite.courier.deadline import Deadline
    from launchpad_lite.courier.transport import Channel, ConnectOptions
    from launchpad_lite.credentials import Credentials
    from launchpad_lite.metrics import CallMetrics
    from launchpad_lite.scope import Scope

_log = logging.getLogger(__name__)

WAITING_HINT_S = 10.0
"""Seconds after which whoever waits for a server that is used alone says so in the log."""

_ANY = ("0.0.0.0", "::")  # noqa: S104 - to connect to these leads to one's own host
FIRST_RETRY_S = 0.02
"""Seconds between the first two attempts to connect; each pause is twice the one before."""

LAST_RETRY_S = 1.0
"""The longest such pause."""

_ATTEMPT_S = 10.0
"""Seconds for one attempt: who accepts connections and is silent may have a successor by then."""


def attempt(deadline: Deadline) -> float:
    """Return the seconds for one attempt to connect."""
    left = deadline.left()
    return _ATTEMPT_S if left is None else min(left, _ATTEMPT_S)


class Peer(Remote):
    """One server; every client of it in a scope shares the peer and so its connections."""

    def __init__(self, scope: Scope | None, options: ConnectOptions) -> None:
        """Make a peer that is not connected yet."""
        self.scope = scope
        self.internal = False
        self.methods: frozenset[str] = frozenset()
        self._node = own_name()
        self._options = options
        self._meter = Meter()
        self.begin()
        forks.track(self)
        metering.register(self)
        self.failure: Exception | None = None  # why the last attempt to connect failed

    def begin(self) -> None:
        """Forget the connections: those that a process was forked with are its parent's.

        Were both to use one, each could get the other's replies.
        """
        caller = self._node or process_title()
        self._options = dataclasses.replace(self._options, caller=caller)
        self.in_flight = InFlight()
        self._channel: Channel | None = None
        self._retired: weakref.WeakSet[Channel] = weakref.WeakSet()
        self._connecting = threading.Lock()
        self._lock = threading.RLock()  # the waiters take it too
        self._waiters = Waiters(self._lock, self._too_late)
        self._searching = False

    @abc.abstractmethod
    def _connect(self, deadline: Deadline, *, wait: bool) -> Channel:
        """Find the server and connect; with `wait`, until the deadline."""

    @property
    def run_id(self) -> str:
        """The run it belongs to; empty for a server used alone."""
        return "" if self.scope is None else self.scope.run_id

    def metrics(self) -> Iterator[CallMetrics]:
        """Yield what the clients have counted."""
        node, title = self._node, self.title
        for method, stats in list(self._meter.items()):
            yield of_stats(
                stats, node=node, side="client", server=title, method=method, caller=node
            )

    def connected(self) -> Channel | None:
        """See the base class."""
        channel = self._channel
        if channel is None and self.scope is not None:  # `close` has taken it
            self.scope.stop.check()
        return channel

    def channel(self, deadline: Deadline, *, wait: bool) -> Channel:
        """See the base class."""
        channel = self.connected()
        if channel is not None:
            return channel
        if not wait:  # not even for someone else who does
            return self._install(self._connect(deadline, wait=False))
        left = deadline.left()
        if not self._connecting.acquire(timeout=-1 if left is None else left):
            raise self._too_late(deadline)
        try:
            channel = self.connected()
            if channel is None:
                channel = self._install(self._connect(deadline, wait=True))
            return channel
        finally:
            self._connecting.release()

    def _note(self, failure: Exception) -> None:
        """Keep why an attempt failed; the last one may only have had too little time."""
        if self.failure is None or not isinstance(failure, DeadlineExceeded):
            self.failure = failure

    def _too_late(self, deadline: Deadline) -> DeadlineExceeded:
        why = f": {self.failure}" if self.failure is not None else ""
        return DeadlineExceeded(f"{self.title} could not be reached within {deadline}{why}")

    def _install(self, channel: Channel) -> Channel:
        with self._lock:
            kept = self._channel
            if kept is None:
                self.methods = frozenset(channel.info.methods)
                channel.meter = self._meter
                self._channel = kept = channel
                self.failure = None
        if kept is not channel:  # another thread was faster
            channel.close()
        if self.scope is not None and self.scope.stop.closed:
            self.close()
        return kept

    def _add_waiter(
        self, deadline: Deadline, then: Callable[[Channel | None, Exception | None], object]
    ) -> Callable[[], object]:
        with self._lock:
            if not self._searching:
                self._start(self._search)
                self._searching = True
            return self._waiters.add(deadline, then)

    def _search(self) -> None:
        while True:
            with self._lock:
                if not self._waiters:
                    self._searching = False
                    return
            channel: Channel | None = None
            failure: Exception | None = None
            try:
                channel = self.channel(Longest(self._waiters), wait=True)
            except Exception as error:
                failure = error
            for waiter in self._waiters:
                if not isinstance(failure, DeadlineExceeded):
                    if self._waiters.take(waiter):
                        waiter.then(channel, failure)
                elif waiter.deadline.passed:  # each has a deadline of its own
                    self._waiters.give_up(waiter)

    def check_method(self, channel: Channel, method: str, deadline: Deadline) -> None:
        """See the base class."""
        if method not in self.methods:
            self.methods = frozenset(channel.refresh(deadline.left()).methods)
            if method not in self.methods:
                likely = nearest(method, self.methods)
                message = f"method {method} not found on {self.title}{likely}"
                raise MethodNotFound(message)

    def discard(self, channel: Channel) -> None:
        """Begin no more calls on a channel, because its server went away.

        Those that have begun may still be answered, by a server that stops in good order.
        """
        with self._lock:
            if self._channel is channel:
                self._channel = None
            self._retired.add(channel)
        channel.retire()

    def close(self) -> None:
        """Hang up."""
        with self._lock:
            if self._channel is not None:
                self._retired.add(self._channel)
            channels, self._channel = list(self._retired), None
        for channel in channels:
            channel.close()
        self.in_flight.close()


def _check_here(address: str) -> None:
    """Refuse to show this user's secret to other hosts, and to whoever listens in between.

    Raises:
      UsageError: the address is one of another host.
    """
    scheme, _, place = address.partition(":")
    host = (place if scheme in transports.SCHEMES else address).rpartition(":")[0].strip("[]")
    if scheme in ("unix", "inproc") or host in _ANY or is_loopback(host):
        return
    message = (
        f"{address!r} is on another host: give the server's credentials="
        "courier.Credentials.load(path), or insecure=True if it was made so."
    )
    raise UsageError(message)


class AddressedPeer(Peer):
    """A server that is used alone, at an address or with a name."""

    def __init__(
        self, address: str, credentials: Credentials | None, options: ConnectOptions
    ) -> None:
        """Say which server it is.

        Args:
          address: its address or name, see `names.endpoints_of`.
          credentials: what the server has too; None for this user's.
          options: how to connect.

        Raises:
          UsageError: it is neither an address nor a name, or on another host, without credentials.
        """
        names.check_address(address)
        if credentials is None and not names.is_name(address):
            _check_here(address)
        self._address = address
        self._credentials = credentials
        super().__init__(None, options)

    @property
    def title(self) -> str:
        """See the base class."""
        return self._address

    def _connect(self, deadline: Deadline, *, wait: bool) -> Channel:
        pause = FIRST_RETRY_S
        hint_at = time.monotonic() + WAITING_HINT_S
        while True:
            try:
                return self._try(deadline)
            except (Unavailable, DeadlineExceeded) as error:
                if not wait:
                    raise
                self._note(error)
                left = deadline.left()
                if left == 0.0:
                    raise self._too_late(deadline) from error
                if time.monotonic() >= hint_at:
                    hint_at = math.inf
                    _log.warning(
                        "still waiting for %s, which has not come up yet: %s", self.title, error
                    )
            time.sleep(pause if left is None else min(pause, left))
            pause = min(pause * 2, LAST_RETRY_S)

    def _try(self, deadline: Deadline) -> Channel:
        # as servers with the same settings choose, see `Server`
        plain = self._credentials is None or self._options.codec == "data"
        scheme = "grpc" if plain else "tcp"
        *cheaper, last = names.endpoints_of(self._address, scheme)
        for endpoint in cheaper:
            try:
                return self._open(endpoint, deadline)
            except (Unavailable, DeadlineExceeded):
                continue
        return self._open(last, deadline)

    def _open(self, endpoint: str, deadline: Deadline) -> Channel:
        transport = transports.get(endpoint.partition(":")[0])
        credentials = self._credentials or user_credentials()
        try:
            channel = transport.connect(endpoint, credentials, attempt(deadline), self._options)
        except (Unavailable, NotAuthenticated) as error:
            raise mismatch.explained(error, self._address, self._credentials) from error
        try:
            messages.check_versions(channel.info, self._address, self._options.codec)
        except BaseException:
            channel.close()
            raise
        return channel
