"""A server as its clients see it: found, connected to, and found again after a restart."""

from __future__ import annotations

import abc
import threading
import time
from typing import TYPE_CHECKING

from launchpad_lite.courier import auth, messages, transports
from launchpad_lite.endpoint import EndpointRecord, host_id
from launchpad_lite.errors import DeadlineExceeded, MethodNotFound, Unavailable, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.context import Scope
    from launchpad_lite.courier.transport import Channel

_FIRST_RETRY_S = 0.02
_LAST_RETRY_S = 1.0


class Deadline:
    """What is left of a timeout."""

    def __init__(self, timeout: float | None) -> None:
        """Start the clock; None never ends."""
        self._at = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """Return the seconds left, at least 0; None for no limit."""
        return None if self._at is None else max(0.0, self._at - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.left() == 0.0


class Peer(abc.ABC):
    """One server; every client of it in a scope shares the peer and so its connections."""

    def __init__(self, scope: Scope | None, *, compress: bool) -> None:
        """Make a peer that is not connected yet."""
        self.scope = scope
        self.methods: frozenset[str] = frozenset()
        self._compress = compress
        self._channel: Channel | None = None
        self._connecting = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: list[Callable[[Channel | None, Exception | None], object]] = []
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
        left = deadline.left()
        if not self._connecting.acquire(timeout=-1 if left is None else left):
            message = f"{self.title} cannot be reached yet"
            raise DeadlineExceeded(message)
        try:
            channel = self.connected()
            if channel is None:
                channel = self._connect(deadline, wait=wait)
                self._set(channel)
            return channel
        finally:
            self._connecting.release()

    def when_ready(self, deadline: Deadline, *, wait: bool, then: Callable[..., object]) -> None:
        """Call `then(channel, None)` or `then(None, error)` once the server was found, or not."""
        with self._lock:
            self._waiting.append(then)
            if len(self._waiting) > 1:
                return

        def connect() -> None:
            channel, failure = None, None
            try:
                channel = self.channel(deadline, wait=wait)
            except Exception as error:
                failure = error
            with self._lock:
                waiting, self._waiting = self._waiting, []
            for callback in waiting:
                callback(channel, failure)

        threading.Thread(target=connect, name=f"lp-connect {self.title}", daemon=True).start()

    def _set(self, channel: Channel) -> None:
        self.methods = frozenset(channel.info.methods)
        self._channel = channel
        if self.scope is not None and self.scope.stop.closed:
            self.close()

    def check_method(self, channel: Channel, method: str, deadline: Deadline) -> None:
        """Refuse a method the server does not have, after asking it once more.

        Raises:
          MethodNotFound: it does not have it; the message has the nearest name.
        """
        if method not in self.methods:
            self.methods = frozenset(channel.refresh(deadline.left()).methods)
            if method not in self.methods:
                message = f"{self.title} has no method {method!r}{nearest(method, self.methods)}"
                raise MethodNotFound(message)

    def discard(self, channel: Channel) -> None:
        """Use a channel no more, because its server went away."""
        with self._lock:
            if self._channel is channel:
                self._channel = None
        channel.close()

    def close(self) -> None:
        """Hang up."""
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
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
            record = self._scope.resolve(self._name, deadline.left())
            failure = Unavailable(
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
                except Unavailable as error:
                    failure = error
            if not wait:
                raise failure
            left = deadline.left()
            if left == 0.0:
                raise DeadlineExceeded(str(failure)) from failure
            self._scope.await_change(record, pause if left is None else min(pause, left))
            pause = min(pause * 2, _LAST_RETRY_S)

    def _try(self, endpoint: str, record: EndpointRecord, deadline: Deadline) -> Channel:
        transport = transports.get(endpoint.partition(":")[0])
        token = self._scope.credentials
        channel = transport.connect(endpoint, token, deadline.left(), compress=self._compress)
        try:
            messages.check_versions(channel.info, endpoint)
            messages.check_identity(channel.info, record.run_id, record.name)
        except BaseException:
            channel.close()
            raise
        return channel


class AddressedPeer(Peer):
    """A server that is used alone, at an address."""

    def __init__(self, address: str, token: bytes | None, *, compress: bool) -> None:
        """Name the address: `localhost:port`, or an endpoint `scheme:place`.

        Args:
          address: where the server listens.
          token: the secret to show; None for this user's.
          compress: ask for compression where the transport has it.
        """
        self._address = address
        self._token = token
        super().__init__(None, compress=compress)

    @property
    def title(self) -> str:
        """See the base class."""
        return self._address

    def _connect(self, deadline: Deadline, *, wait: bool) -> Channel:
        endpoint = _endpoint(self._address)
        transport = transports.get(endpoint.partition(":")[0])
        token = self._token or auth.user_token()
        pause = _FIRST_RETRY_S
        while True:
            try:
                channel = transport.connect(
                    endpoint, token, deadline.left(), compress=self._compress
                )
                messages.check_versions(channel.info, self._address)
            except Unavailable:
                if not wait:
                    raise
            except DeadlineExceeded:
                pass
            else:
                return channel
            left = deadline.left()
            if left == 0.0:
                message = f"no server came up at {self._address} in time"
                raise DeadlineExceeded(message)
            time.sleep(pause if left is None else min(pause, left))
            pause = min(pause * 2, _LAST_RETRY_S)


def _endpoint(address: str) -> str:
    """Return an address as an endpoint; plain `host:port` is gRPC's."""
    scheme, _, place = address.partition(":")
    if scheme in ("inproc", "unix", "grpc"):
        return address
    return f"grpc:127.0.0.1:{place}" if scheme == "localhost" else f"grpc:{address}"
