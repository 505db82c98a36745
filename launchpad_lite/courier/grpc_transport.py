"""Calls over gRPC, with its generic handlers: for whoever has a proxy, or no Unix sockets.

Every message is one frame, or a piece of a large one. What a client has proved is in a call's
metadata, and is checked before a message is read; see `grpc_session`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

import grpc

from launchpad_lite import forks
from launchpad_lite.courier.grpc_channel import CONNECT_S, OPTIONS, GrpcChannel
from launchpad_lite.courier.grpc_handlers import Handlers
from launchpad_lite.courier.grpc_session import one_place
from launchpad_lite.courier.transport import (
    DEFAULT_CONNECT_OPTIONS,
    Channel,
    ConnectOptions,
    Listener,
    ListenOptions,
    Service,
    Transport,
)
from launchpad_lite.endpoint import join_host, published

if TYPE_CHECKING:
    from launchpad_lite.credentials import Credentials

HANDSHAKE_S = 10.0
"""Seconds after which a peer that has connected and says nothing is dropped."""

_LAST_S = 0.5  # for threads that have nothing left to do


class GrpcListener(Listener):
    """Serves one service on one TCP port, with mutual TLS where there are certificates."""

    def __init__(self, service: Service, host: str, port: int) -> None:
        """Bind the port, 0 for any.

        Raises:
          OSError: the port is taken.
        """
        self._service = service
        self._handlers = Handlers(service)
        options = [*OPTIONS, ("grpc.server_handshake_timeout_ms", int(1000 * HANDSHAKE_S))]
        self._server = grpc.server(self._handlers.executor, [self._handlers], options=options)
        try:
            self.port = self._bind(one_place(join_host(host, port)), service.credentials)
        except RuntimeError as error:
            message = f"port {port} of {host} cannot be listened on; is it in use?"
            raise OSError(message) from error
        place = one_place(join_host(published(host), self.port))
        self._handlers.sessions.place = place
        self.endpoint = f"grpc:{place}"
        self._started = False
        forks.track(self)

    def begin(self) -> None:
        """Leave the server to the parent of a forked process; see `forks`."""
        forks.abandon(self._server)

    def _bind(self, place: str, credentials: Credentials) -> int:
        if not credentials.tls:
            return self._server.add_insecure_port(place)
        certificate = credentials.certificate
        pairs = [(credentials.key or b"", certificate or b"")]
        secure = grpc.ssl_server_credentials(pairs, certificate, require_client_auth=True)
        return self._server.add_secure_port(place, secure)

    def start(self) -> None:
        """See the base class."""
        self._server.start()
        self._started = True

    def stop(self, grace: float) -> None:
        """See the base class."""
        deadline = time.monotonic() + grace
        if not self._started:  # or else it would keep its port
            self.start()
        # gRPC itself would cancel what comes while it stops, and not tell whether it has begun
        self._handlers.refuse()
        self._handlers.wait(grace)
        left = max(_LAST_S, deadline - time.monotonic())
        self._server.stop(left).wait(left + 1)
        self._handlers.close()
        self._service.join(_LAST_S)


class GrpcTransport(Transport):
    """Calls over gRPC."""

    scheme: ClassVar[str] = "grpc"
    _process: int | None = None  # that uses gRPC

    def _check_process(self) -> None:
        """Refuse to use gRPC in a child of a process that did: its threads are not there.

        Raises:
          UsageError: this is such a child.
        """
        if self._process is None:
            self._process = forks.number()
        advice = (
            "gRPC has threads, which are not forked. Start the process anew, as multiprocessing "
            "does with the method 'spawn' or 'forkserver', or use another transport."
        )
        forks.check(self._process, "what uses gRPC", advice)

    def listen(self, service: Service, options: ListenOptions) -> GrpcListener:
        """See the base class."""
        self._check_process()
        return GrpcListener(service, options.host, options.port)

    def connect(
        self,
        endpoint: str,
        credentials: Credentials,
        timeout: float | None,
        options: ConnectOptions = DEFAULT_CONNECT_OPTIONS,
    ) -> Channel:
        """See the base class."""
        self._check_process()
        target = endpoint.partition(":")[2]
        timeout = CONNECT_S if timeout is None else timeout
        return GrpcChannel(target, credentials, timeout, options)


TRANSPORT = GrpcTransport()
