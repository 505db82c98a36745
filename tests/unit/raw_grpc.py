"""Peers of our gRPC endpoints that are none of ours: only gRPC, and what a handshake needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc

from launchpad_lite.courier import grpc_session
from launchpad_lite.courier.grpc_channel import HELLO, NONCE, TICKET
from launchpad_lite.credentials import Credentials

PATIENCE_S = 60.0


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        """Say which file."""
        self._path = path

    def __reduce__(self) -> Any:
        """Unpickle as a call that makes it."""
        return Path.touch, (self._path,)


class RawClient:
    """Calls the methods of a server's gRPC endpoint with messages of any kind."""

    def __init__(self, endpoint: str, credentials: Credentials) -> None:
        """Remember where; nothing is sent yet."""
        self.place = endpoint.removeprefix("grpc:")
        self._credentials = credentials
        self.channel: Any = grpc.insecure_channel(
            self.place, [("grpc.use_local_subchannel_pool", 1)]
        )

    def session(self) -> grpc_session.Session:
        """Shake hands."""
        nonce = grpc_session.new_nonce()
        hello = self.channel.unary_unary(HELLO)
        answer = hello(b"", metadata=((NONCE, nonce),), timeout=PATIENCE_S)
        return grpc_session.greet(self._credentials, self.place, nonce, answer)[0]

    def ask(self, method: str, message: bytes) -> bytes:
        """Call a method as one who has the secret."""
        session = self.session()
        exchange = session.exchange(method, client=True)
        metadata = ((TICKET, session.ticket),)
        answer = self.channel.unary_unary(method)(
            exchange.seal(message), metadata=metadata, timeout=PATIENCE_S
        )
        return exchange.open(answer)

    def code(self, method: str, message: bytes, metadata: Any = None) -> grpc.StatusCode:
        """Return how a call ends; with metadata, it is sent as it is, by one who proves nothing."""
        try:
            if metadata is None:
                self.ask(method, message)
            else:
                stub = self.channel.unary_unary(method)
                stub(message, metadata=metadata, timeout=PATIENCE_S)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
        return grpc.StatusCode.OK

    def close(self) -> None:
        """Hang up."""
        self.channel.close()
