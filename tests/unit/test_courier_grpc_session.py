"""What gRPC clients and servers prove to each other, and who does not get to see what."""

from __future__ import annotations

import contextlib
import pickle
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from launchpad_lite.config import ClientConfig, ServerConfig
from launchpad_lite.courier import frame, grpc_chunks, grpc_session, transports
from launchpad_lite.courier.client import client_at
from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.frame import ProtocolError
from launchpad_lite.courier.grpc_channel import OPTIONS
from launchpad_lite.courier.messages import Reply
from launchpad_lite.courier.service import MethodService
from launchpad_lite.courier.transport import Listener, ListenOptions
from launchpad_lite.courier.typed import stream
from launchpad_lite.credentials import PUBLIC, Credentials
from launchpad_lite.errors import NotAuthenticated, Unavailable
from tests.unit.raw_grpc import Bomb

PATIENCE_S = 60.0
PLACE = "127.0.0.1:50123"
CREDENTIALS = Credentials(token=bytes(range(32)))
OTHERS = Credentials(token=bytes(range(1, 33)))
CONFIDENTIAL = "the plans of the submarine"


def serve(port: int = 0, credentials: Credentials = CREDENTIALS) -> Listener:
    service = MethodService("server", credentials, ServerConfig(), None, None)
    service.bind("echo", lambda value: value)
    service.bind("count", lambda: iter(range(3)))
    one = transports.get("grpc").listen(service, ListenOptions(port=port))
    one.start()
    return one


def port_of(listener: Listener) -> int:
    return int(listener.endpoint.rpartition(":")[2])


@pytest.fixture
def clients() -> Iterator[Callable[[str], Any]]:
    """What makes clients that are closed in the end."""
    with contextlib.ExitStack() as stack:

        def make(endpoint: str, credentials: Credentials = CREDENTIALS) -> Any:
            one = client_at(endpoint, credentials, ClientConfig(call_timeout=PATIENCE_S))
            stack.callback(one._peer.close)  # noqa: SLF001 - sooner than garbage collection would
            return one

        yield make


def greeted(
    server: Credentials, client: Credentials, at: str = PLACE, reached: str = PLACE
) -> tuple[grpc_session.Sessions, grpc_session.Session]:
    sessions = grpc_session.Sessions(server)
    sessions.place = at
    nonce = grpc_session.new_nonce()
    session, info = grpc_session.greet(client, reached, nonce, sessions.answer(nonce, b"info"))
    assert info == b"info"
    return sessions, session


@pytest.mark.parametrize("credentials", [CREDENTIALS, PUBLIC])
def test_who_has_the_secret_finds_a_session(credentials: Credentials) -> None:
    sessions, session = greeted(credentials, credentials)
    found = sessions.find(session.ticket)
    assert found is not None
    ours, theirs = session.exchange("/m", client=True), found.exchange("/m", client=False)
    for message in (b"", b"one", b"two"):
        assert theirs.open(ours.seal(message)) == message
        assert ours.open(theirs.seal(message)) == message


def test_a_server_without_the_secret_is_refused() -> None:
    with pytest.raises(NotAuthenticated, match="belongs to another run, or to another user"):
        greeted(OTHERS, CREDENTIALS)
    for answer in (b"", bytes(64), bytes(200)):
        with pytest.raises(NotAuthenticated):
            grpc_session.greet(CREDENTIALS, PLACE, grpc_session.new_nonce(), answer)


def test_a_proof_of_another_place_is_none() -> None:
    with pytest.raises(NotAuthenticated, match="or it only forwards to the server"):
        greeted(CREDENTIALS, CREDENTIALS, reached="127.0.0.1:50124")
    greeted(PUBLIC, PUBLIC, reached="127.0.0.1:50124")  # which proves nothing anyway


def test_a_client_without_the_secret_has_no_session() -> None:
    sessions, session = greeted(CREDENTIALS, CREDENTIALS)
    answer = sessions.answer(grpc_session.new_nonce(), CONFIDENTIAL.encode())
    assert CONFIDENTIAL.encode() not in answer
    assert CREDENTIALS.token not in session.ticket + answer
    for forged in (b"", bytes(96), session.ticket[:-1], session.ticket[:-1] + b"\0\0"):
        assert sessions.find(forged) is None
    changed = bytearray(session.ticket)
    for place in (0, 40, 90):
        changed[place] ^= 1
        assert sessions.find(bytes(changed)) is None
        changed[place] ^= 1
    assert sessions.find(session.ticket) is not None


def test_a_session_ends_with_its_server() -> None:
    _, session = greeted(CREDENTIALS, CREDENTIALS)
    successor, _ = greeted(CREDENTIALS, CREDENTIALS)
    assert successor.find(session.ticket) is None


def test_a_message_opens_in_its_place_only() -> None:
    sessions, session = greeted(CREDENTIALS, CREDENTIALS)
    found = sessions.find(session.ticket)
    assert found is not None
    ours, theirs = session.exchange("/m", client=True), found.exchange("/m", client=False)
    first, second = ours.seal(b"first"), ours.seal(b"second")
    assert b"first" not in first
    assert ours.seal(b"first") != first
    another = found.exchange("/m", client=False)
    for wrong in (second, first[:-1], first[:5], b"", first + b"x"):
        with pytest.raises(ProtocolError, match="does not have the secret"):
            found.exchange("/m", client=False).open(wrong)
    with pytest.raises(ProtocolError):  # another method
        found.exchange("/other", client=False).open(first)
    with pytest.raises(ProtocolError):  # one's own message, sent back
        session.exchange("/m", client=True).open(first)
    assert theirs.open(first) == another.open(first) == b"first"
    with pytest.raises(ProtocolError):  # twice
        another.open(first)
    assert theirs.open(second) == b"second"
    with pytest.raises(ProtocolError):  # the reply to another call
        session.exchange("/m", client=True).open(theirs.seal(b"reply"))


def test_calls_of_all_kinds_are_sealed(clients: Any) -> None:
    listener = serve()
    one, large = clients(listener.endpoint), np.zeros(grpc_chunks.LARGE + 1, np.uint8)
    assert one.echo("x") == "x"
    assert one.futures.echo("x").result(PATIENCE_S) == "x"
    assert one.echo(large).nbytes == large.nbytes
    assert one.futures.echo(large).result(PATIENCE_S).nbytes == large.nbytes
    assert list(stream(one.count)) == [0, 1, 2]
    listener.stop(PATIENCE_S)


class Squatter(grpc.GenericRpcHandler):
    """Listens where a server of ours was, writes down what it gets, and answers with a bomb."""

    def __init__(self, port: int, target: Path) -> None:
        self.heard: list[bytes] = []
        self._bomb = b"".join(
            frame.pack_reply(Reply(ok=True, content=Payload(pickle.dumps(Bomb(target)))), 0)
        )
        self._server = grpc.server(futures.ThreadPoolExecutor(2), [self], options=OPTIONS)
        self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    def service(self, handler_call_details: Any) -> Any:
        for _, value in handler_call_details.invocation_metadata:
            self.heard.append(value if isinstance(value, bytes) else value.encode())
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, message: bytes, _: object) -> bytes:
        self.heard.append(message)
        return self._bomb

    def close(self) -> None:
        self._server.stop(None).wait()


def test_who_takes_the_port_learns_and_does_nothing(clients: Any, tmp_path: Path) -> None:
    listener = serve()
    used, fresh = clients(listener.endpoint), clients(listener.endpoint)
    assert used.echo(1) == 1
    channel = used._peer.connected()  # noqa: SLF001 - it stays, as gRPC's own does
    listener.stop(PATIENCE_S)
    squatter = Squatter(port_of(listener), tmp_path / "exploded")
    with pytest.raises(Unavailable):  # on the channel that it had
        used.echo(CONFIDENTIAL)
    assert used._peer.connected() is not channel  # noqa: SLF001 - as above
    for one in (used, fresh):
        with pytest.raises(NotAuthenticated, match="does not know this client's secret"):
            one.echo(CONFIDENTIAL)
    heard = b"\n".join(squatter.heard)
    assert heard
    for hidden in (CONFIDENTIAL.encode(), CREDENTIALS.token, CREDENTIALS.token.hex().encode()):
        assert hidden not in heard
    assert not (tmp_path / "exploded").exists()
    squatter.close()


def test_a_server_of_another_secret_gets_no_arguments(clients: Any) -> None:
    listener = serve(credentials=OTHERS)
    for call in (clients(listener.endpoint).echo, clients(listener.endpoint).futures.echo):
        with pytest.raises(NotAuthenticated):
            result = call(CONFIDENTIAL)
            result.result(PATIENCE_S)
    listener.stop(PATIENCE_S)


def test_a_server_that_was_started_anew_is_greeted_anew(clients: Any) -> None:
    listener = serve()
    one = clients(listener.endpoint)
    assert one.echo(1) == 1
    listener.stop(PATIENCE_S)
    successor = serve(port_of(listener))
    assert one.echo(2) == 2
    assert one.futures.echo(3).result(PATIENCE_S) == 3
    successor.stop(PATIENCE_S)


def test_who_only_forwards_is_found_out(clients: Any) -> None:
    listener = serve()
    with Forwarder(port_of(listener)) as endpoint, pytest.raises(NotAuthenticated, match="forward"):
        clients(endpoint).echo(1)
    listener.stop(PATIENCE_S)


class Forwarder:
    """A port that leads to another port."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> str:
        self._door = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, name="lp-test", daemon=True)
        self._thread.start()
        return f"grpc:127.0.0.1:{self._door.getsockname()[1]}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._door.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                self._sockets += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(
                        target=self._pass, args=pair, name="lp-test", daemon=True
                    ).start()

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while found := source.recv(2**16):
                target.sendall(found)

    def __exit__(self, *_: object) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE_S)
        self._door.close()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def test_localhost_is_one_place() -> None:
    assert grpc_session.one_place("localhost:1") == "127.0.0.1:1"
    assert grpc_session.one_place("[::1]:1") == "[::1]:1"
    listener = serve()
    one = client_at(f"grpc:localhost:{port_of(listener)}", CREDENTIALS, ClientConfig())
    assert one.echo(1) == 1
    one._peer.close()  # noqa: SLF001 - sooner than garbage collection would
    listener.stop(PATIENCE_S)
