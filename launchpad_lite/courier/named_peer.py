"""A service of a run as its clients see it: found by its name, and left for its successor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launchpad_lite.courier import messages, transports
from launchpad_lite.courier.peer import FIRST_RETRY_S, LAST_RETRY_S, Peer, attempt
from launchpad_lite.endpoint import EndpointRecord, host_id
from launchpad_lite.errors import DeadlineExceeded, Unavailable

if TYPE_CHECKING:
    from launchpad_lite.courier.deadline import Deadline
    from launchpad_lite.courier.transport import Channel, ConnectOptions
    from launchpad_lite.scope import Scope


class NamedPeer(Peer):
    """A service of a run, found by its name."""

    def __init__(self, scope: Scope, name: str, options: ConnectOptions) -> None:
        """Name the service."""
        self._name = name
        self._scope = scope
        self._newest = 0  # incarnation that is known
        super().__init__(scope, options)
        self._unwatch = scope.watch(name, self._move_on)  # from now on it may be called
        scope.stop.on_close(self.close)

    @property
    def title(self) -> str:
        """See the base class."""
        return self._name

    def _move_on(self, record: EndpointRecord) -> None:
        """Leave a server that has a successor; its connections may live as long as they like."""
        with self._lock:
            self._newest = max(self._newest, record.incarnation)
        self._leave_old()

    def _leave_old(self) -> None:
        channel = self._channel
        if channel is not None and channel.incarnation < self._newest:
            self.discard(channel)

    def _install(self, channel: Channel) -> Channel:
        kept = super()._install(channel)
        self._leave_old()  # a successor may have been published since it was connected to
        return kept

    def close(self) -> None:
        """See the base class."""
        self._unwatch()
        super().close()

    def _connect(self, deadline: Deadline, *, wait: bool) -> Channel:
        pause = FIRST_RETRY_S
        while True:
            record = self._resolve(deadline, wait=wait)
            failure: Exception = Unavailable(
                f"{self._name} listens at {', '.join(record.endpoints) or 'no place'}, which "
                "cannot be reached from here",
                maybe_executed=False,
            )
            for endpoint in record.endpoints:
                if not self._may_reach(endpoint, record):
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
            pause = min(pause * 2, LAST_RETRY_S)

    def _resolve(self, deadline: Deadline, *, wait: bool) -> EndpointRecord:
        try:
            return self._scope.resolve(self._name, deadline.left() if wait else 0.0)
        except DeadlineExceeded as error:
            if wait:
                message = f"{self._name} did not come up within {deadline}"
                raise DeadlineExceeded(message) from error
            message = (
                f"{self._name} is not up yet: failed to connect to all addresses, for it has told "
                "none. Its clients have wait_for_ready=False; with True they would wait."
            )
            raise Unavailable(message, maybe_executed=False) from error

    def _may_reach(self, endpoint: str, record: EndpointRecord) -> bool:
        scheme = endpoint.partition(":")[0]
        if self._scope.config.transport not in (None, scheme):
            return False
        return scheme not in ("inproc", "unix") or record.host_id == host_id()

    def _try(self, endpoint: str, record: EndpointRecord, deadline: Deadline) -> Channel:
        transport = transports.get(endpoint.partition(":")[0])
        credentials = self._scope.credentials
        channel = transport.connect(endpoint, credentials, attempt(deadline), self._options)
        try:
            messages.check_versions(channel.info, endpoint, self._options.codec)
            messages.check_identity(channel.info, record.run_id, record.name)
            channel.incarnation = record.incarnation
        except BaseException:
            channel.close()
            raise
        return channel
