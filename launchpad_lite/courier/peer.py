"""A server as its clients see it: found, connected to, and found again after a restart."""

from __future__ import annotations

import abc
import threading
import time
import weakref
from typing import TYPE_CHECKING

from launchpad_lite.courier import messages, names, transports
from launchpad_lite.courier.auth import user_credentials
from launchpad_lite.courier.deadlines import deadlines
from launchpad_lite.endpoint import EndpointRecord, host_id
from launchpad_lite.errors import DeadlineExceeded, MethodNotFound, Unavailable, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.context import Scope
    from launchpad_lite.courier.transport import Channel
    from launchpad_lite.credentials import Credentials

_FIRST_RETRY_S = 0.02
_LAST_RETRY_S = 1.0
_FOREVER_S = 2.0**31  # more than locks, sockets or gRPC can wait, infinity included


class Deadline:
    """What is left of a timeout.

    Attributes:
      timeout: the seconds that there were in the beginning; None for no limit.
    """

    def __init__(self, timeout: float | None) -> None:
        """Start the clock; None never ends."""
        if timeout is not None and timeout >= _FOREVER_S:
            timeout = None
        self.timeout = timeout
        self._at = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """Return the seconds left, at least 0; None for no limit."""
        return None if self._at is None else max(0.0, self._at - time.monotonic())

    def __str__(self) -> str:
        """Return what there was in the beginning, for messages."""
        return "the time there was" if self.timeout is None else f"{self.timeout:g} s"

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.left() == 0.0


class _Waiter:
    """Someone who is called when the server was found."""

    __slots__ = ("deadline", "keep_time", "then")

    def __init__(
        self, deadline: Deadline, then: Callable[[Channel | None, Exception | None], object]
    ) -> None:
        self.deadline = deadline
        self.then = then
        self.keep_time: Callable[[], object] | None = None


class _Search(Deadline):
    """The time that a search has: as much as anyone who waits for it."""

    def __init__(self, waiting: dict[_Waiter, None]) -> None:
        super().__init__(None)
        self._waiting = waiting

    def left(self) -> float | None:
        most = 0.0
        for waiter in list(self._waiting):
            left = waiter.deadline.left()
            if left is None:
                return None
            most = max(most, left)
        return most


class Peer(abc.ABC):
    """One server; every client of it in a scope shares the peer and so its connections."""

    def __init__(self, scope: Scope | None, *, compress: bool) -> None:
        """Make a peer that is not connected yet."""
        self.scope = scope
        self.methods: frozenset[str] = frozenset()
        self._compress = compress
        self._channel: Channel | None = None
        self._retired: weakref.WeakSet[Channel] = weakref.WeakSet()
        self._connecting = threading.Lock()
        self._lock = threading.RLock()  # may be wanted again by a garbage collection inside it
        self._waiting: dict[_Waiter, None] = {}
        self._searching = False
        self._failure: Exception | None = None  # why the last attempt to connect failed
        if scope is not None:
            scope.stop.on_close(self.close)

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """What to call the server in messages."""

    @abc.abstractmethod
    def _connect(self, deadline: Deadline, *, wait: bool) -> Channel:
        """Find the server and connect; with `wait`, until the deadline."""

    def connected(self) -> Channel | None:
        """Return the channel if there is one."""
        if self.scope is not None:
            self.scope.stop.check()
        return self._channel

    def channel(self, deadline: Deadline, *, wait: bool) -> Channel:
        """Return the channel, connecting first where there is none.

        Raises:
          Unavailable: the server cannot be reached, and `wait` is False or it has ended.
          DeadlineExceeded: it did not come up in time.
          Stopped: the run has stopped.
        """
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
        if self._failure is None or not isinstance(failure, DeadlineExceeded):
            self._failure = failure

    def _too_late(self, deadline: Deadline) -> DeadlineExceeded:
        why = f": {self._failure}" if self._failure is not None else ""
        return DeadlineExceeded(f"{self.title} could not be reached within {deadline}{why}")

    def _install(self, channel: Channel) -> Channel:
        with self._lock:
            kept = self._channel
            if kept is None:
                self.methods = frozenset(channel.info.methods)
                self._channel = kept = channel
                self._failure = None
        if kept is not channel:  # another thread was faster
            channel.close()
        if self.scope is not None and self.scope.stop.closed:
            self.close()
        return kept

    def when_ready(
        self,
        deadline: Deadline,
        *,
        wait: bool,
        then: Callable[[Channel | None, Exception | None], object],
    ) -> Callable[[], object]:
        """Call `then(channel, None)` or `then(None, error)` once the server was found, or not.

        Returns:
          A function that takes it back; `then` may still be called when it was too late for that.
        """
        waiter = _Waiter(deadline, then)
        if not wait:
            self._start(lambda: self._try_once(waiter))
            return lambda: None
        with self._lock:
            if not self._searching:
                self._start(self._search)
                self._searching = True
            self._waiting[waiter] = None
        left = deadline.left()
        if left is not None:
            waiter.keep_time = deadlines.call_later(left, lambda: self._give_up(waiter))
            if waiter not in self._waiting:  # it was called before it had the timer
                waiter.keep_time()
        return lambda: self._take(waiter)

    def _start(self, function: Callable[[], object]) -> None:
        name = f"lp-connect {self.title}"
        threading.Thread(target=function, name=name, daemon=True).start()

    def _try_once(self, waiter: _Waiter) -> None:
        try:
            channel = self.channel(waiter.deadline, wait=False)
        except Exception as error:
            waiter.then(None, error)
        else:
            waiter.then(channel, None)

    def _take(self, waiter: _Waiter) -> bool:
        """Return whether the waiter was still waiting; it does so no longer."""
        with self._lock:
            waited = waiter in self._waiting
            self._waiting.pop(waiter, None)
        if waiter.keep_time is not None:
            waiter.keep_time()
        return waited

    def _give_up(self, waiter: _Waiter) -> None:
        if self._take(waiter):
            waiter.then(None, self._too_late(waiter.deadline))

    def _search(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._searching = False
                    return
            channel: Channel | None = None
            failure: Exception | None = None
            try:
                channel = self.channel(_Search(self._waiting), wait=True)
            except DeadlineExceeded as error:  # each has a deadline of its own, see below
                failure = error
            except Exception as error:
                failure = error
            for waiter in list(self._waiting):
                if isinstance(failure, DeadlineExceeded) and not waiter.deadline.passed:
                    continue
                if isinstance(failure, DeadlineExceeded):
                    self._give_up(waiter)
                elif self._take(waiter):
                    waiter.then(channel, failure)

    def check_method(self, channel: Channel, method: str, deadline: Deadline) -> None:
        """Refuse a method the server does not have, after asking it once more.

        Raises:
          MethodNotFound: it does not have it; the message has the nearest name.
        """
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


class NamedPeer(Peer):
    """A service of a run, found by its name."""

    def __init__(self, scope: Scope, name: str, *, compress: bool) -> None:
        """Name the service."""
        self._name = name
        super().__init__(scope, compress=compress)
        self._scope = scope

    @property
    def title(self) -> str:
        """See the base class."""
        return self._name

    def _connect(self, deadline: Deadline, *, wait: bool) -> Channel:
        pause = _FIRST_RETRY_S
        while True:
            record = self._resolve(deadline, wait=wait)
            failure: Exception = Unavailable(
                f"{self._name} listens at {', '.join(record.endpoints) or 'no place'}, which "
                "cannot be reached from here",
                maybe_executed=False,
            )
            for endpoint in record.endpoints:
                scheme = endpoint.partition(":")[0]
                if scheme in ("inproc", "unix") and record.host_id != host_id():
                    continue
                try:
                    return self._try(endpoint, record, deadline)
                except (Unavailable, DeadlineExceeded) as error:
                    failure = error
            left = deadline.left()
            if not wait and isinstance(failure, DeadlineExceeded):
                raise failure
            if not wait:
                message = f"failed to connect to all addresses of {self._name}: {failure}"
                raise Unavailable(message, maybe_executed=False) from failure
            self._note(failure)
            if left == 0.0:
                raise self._too_late(deadline) from failure
            self._scope.await_change(record, pause if left is None else min(pause, left))
            pause = min(pause * 2, _LAST_RETRY_S)

    def _resolve(self, deadline: Deadline, *, wait: bool) -> EndpointRecord:
        try:
            return self._scope.resolve(self._name, deadline.left() if wait else 0.0)
        except DeadlineExceeded as error:
            if wait:
                message = f"{self._name} did not come up within {deadline}"
                raise DeadlineExceeded(message) from error
            message = f"{self._name} is not up yet: failed to connect to all addresses, it has none"
            raise Unavailable(message, maybe_executed=False) from error

    def _try(self, endpoint: str, record: EndpointRecord, deadline: Deadline) -> Channel:
        transport = transports.get(endpoint.partition(":")[0])
        credentials = self._scope.credentials
        channel = transport.connect(endpoint, credentials, deadline.left(), compress=self._compress)
        try:
            messages.check_versions(channel.info, endpoint)
            messages.check_identity(channel.info, record.run_id, record.name)
        except BaseException:
            channel.close()
            raise
        return channel


class AddressedPeer(Peer):
    """A server that is used alone, at an address or with a name."""

    def __init__(self, address: str, credentials: Credentials | None, *, compress: bool) -> None:
        """Say which server it is.

        Args:
          address: its address or name, see `names.endpoint_of`.
          credentials: what the server has too; None for this user's.
          compress: ask for compression where the transport has it.

        Raises:
          UsageError: it is neither an address nor a name.
        """
        if names.is_name(address):
            names.check(address)
        self._address = address
        self._credentials = credentials
        super().__init__(None, compress=compress)

    @property
    def title(self) -> str:
        """See the base class."""
        return self._address

    def _connect(self, deadline: Deadline, *, wait: bool) -> Channel:
        pause = _FIRST_RETRY_S
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
            time.sleep(pause if left is None else min(pause, left))
            pause = min(pause * 2, _LAST_RETRY_S)

    def _try(self, deadline: Deadline) -> Channel:
        endpoint = names.endpoint_of(self._address)
        transport = transports.get(endpoint.partition(":")[0])
        credentials = self._credentials or user_credentials()
        channel = transport.connect(endpoint, credentials, deadline.left(), compress=self._compress)
        try:
            messages.check_versions(channel.info, self._address)
        except BaseException:
            channel.close()
            raise
        return channel
