"""The gRPC transport against peers that are not ours."""

from __future__ import annotations

import contextlib
import functools
import pickle
import socket
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any, NoReturn

import grpc
import pytest

from launchpad_lite import courier
from launchpad_lite.config import ClientConfig, ServerConfig
from launchpad_lite.courier import frame, grpc_session, grpc_transport, transports
from launchpad_lite.courier.client import client_at
from launchpad_lite.courier.codec import Payload, encode
from launchpad_lite.courier.grpc_channel import CALL, HELLO, NONCE, STREAM, TICKET
from launchpad_lite.courier.grpc_outside import TOKEN as TOKEN_KEY
from launchpad_lite.courier.messages import Request
from launchpad_lite.courier.service import MethodService
from launchpad_lite.courier.transport import ListenOptions
from launchpad_lite.credentials import PUBLIC, Credentials
from launchpad_lite.errors import DeadlineExceeded, NotAuthenticated, Unavailable
from tests.unit.raw_grpc import Bomb, RawClient

PATIENCE_S = 30.0
SHORT_S = 0.1
CREDENTIALS = Credentials(token=bytes(range(32)))
TOKEN = CREDENTIALS.token
STRANGERS: dict[str, tuple[tuple[str, str | bytes], ...]] = {
    "none": (),
    "nonce": ((NONCE, b"short"),),
    "ticket": ((TICKET, bytes(96)),),
    "no ticket": ((TICKET, b""),),
    "the token": ((TOKEN_KEY, TOKEN.hex()),),  # which is for what does not unpickle
    "empty": ((TOKEN_KEY, ""),),
    "wrong": ((TOKEN_KEY, bytes(32).hex()),),
    "upper": ((TOKEN_KEY, TOKEN.hex().upper()),),
    "longer": ((TOKEN_KEY, f"{TOKEN.hex()}00"),),
}
REFUSED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED)


class Bench:
    """A listener, and a gRPC channel to it that is not ours."""

    def __init__(self) -> None:
        config = ServerConfig(thread_pool_size=1, max_payload_bytes=10**6)
        self.service = MethodService("server", CREDENTIALS, config, None, None)
        self.service.bind("echo", lambda value: value)
        self.service.bind("enter", self.enter)
        self.opened = threading.Event()
        self.entered = threading.Semaphore(0)
        self.listener = transports.get("grpc").listen(self.service, ListenOptions())
        self.listener.start()
        self.raw = RawClient(self.listener.endpoint, CREDENTIALS)

    def enter(self) -> None:
        self.entered.release()
        self.opened.wait(PATIENCE_S)

    def client(self) -> Any:
        return client_at(self.listener.endpoint, CREDENTIALS, ClientConfig())

    def close(self) -> None:
        self.opened.set()
        self.raw.close()
        self.listener.stop(PATIENCE_S)


@pytest.fixture
def bench() -> Iterator[Bench]:
    one = Bench()
    yield one
    one.close()


def message(content: object) -> bytes:
    payload = Payload(pickle.dumps(((content,),)))
    return b"".join(frame.pack(frame.Kind.CALL, 0, payload, method="echo"))


@pytest.mark.parametrize("stranger", STRANGERS)
def test_nothing_of_a_stranger_is_decoded(bench: Bench, stranger: str, tmp_path: Path) -> None:
    target = tmp_path / "exploded"
    bomb, metadata = message(Bomb(target)), STRANGERS[stranger]
    for method in (HELLO, CALL, STREAM, "/some.Other/Method"):
        assert bench.raw.code(method, bomb, metadata) in REFUSED
    assert not target.exists()
    assert bench.raw.code(CALL, bomb) == grpc.StatusCode.OK
    assert target.exists()  # that of a friend is


@pytest.mark.parametrize("said", [b"", b"PRI * HTT", b"\x16\x03\x01\x02"], ids=["", "half", "tls"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_who_connects_and_says_nothing_is_dropped(
    monkeypatch: pytest.MonkeyPatch, *, tls: bool, said: bytes
) -> None:
    monkeypatch.setattr(grpc_transport, "HANDSHAKE_S", 0.1)
    service = MethodService("server", Credentials.create(tls=tls), ServerConfig(), None, None)
    listener = transports.get("grpc").listen(service, ListenOptions())
    listener.start()
    host, _, port = listener.endpoint.partition(":")[2].rpartition(":")
    silent = socket.create_connection((host, int(port)), PATIENCE_S)
    with silent, contextlib.suppress(ConnectionError):  # one way to be dropped
        silent.sendall(said)
        while silent.recv(2**16):  # what the server itself says first
            pass
    listener.stop(PATIENCE_S)


def test_strangers_need_no_thread_of_the_pool(bench: Bench) -> None:
    running = bench.client().futures.enter()
    assert bench.entered.acquire(timeout=PATIENCE_S)
    assert bench.raw.code(CALL, b"x", ()) == grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(NotAuthenticated):
        transports.get("grpc").connect(bench.listener.endpoint, PUBLIC, PATIENCE_S)
    bench.opened.set()
    running.result(PATIENCE_S)


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", bytes(32), message(1)[:-1], message(1) + b"more"],
    ids=["empty", "garbage", "zeros", "short", "long"],
)
def test_what_is_not_a_frame_is_refused(bench: Bench, content: bytes) -> None:
    assert bench.raw.code(CALL, content) == grpc.StatusCode.INVALID_ARGUMENT
    assert bench.raw.code(CALL, message(1)) == grpc.StatusCode.OK
    assert bench.raw.code("/launchpad_lite.Courier/Other", b"") == grpc.StatusCode.UNIMPLEMENTED


def test_a_grpc_server_of_another_kind() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with pytest.raises(NotAuthenticated, match="speaks another protocol"):
        client_at(f"grpc:localhost:{port}", CREDENTIALS, ClientConfig()).echo(1)
    server.stop(None)


@pytest.fixture
def silent() -> Iterator[str]:
    """A place where somebody listens and says nothing."""
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.socket())
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield f"grpc:127.0.0.1:{sock.getsockname()[1]}"


def test_a_server_that_says_nothing(silent: str) -> None:
    with pytest.raises(DeadlineExceeded, match=r"the handshake with 127\.0\.0\.1:\d+ did not end"):
        transports.get("grpc").connect(silent, CREDENTIALS, SHORT_S)


def test_no_time_is_no_time(silent: str) -> None:
    with pytest.raises(DeadlineExceeded):
        transports.get("grpc").connect(silent, CREDENTIALS, 0.0)


def test_a_server_that_has_gone_was_not_reached(bench: Bench) -> None:
    channel = transports.get("grpc").connect(bench.listener.endpoint, CREDENTIALS, PATIENCE_S)
    bench.listener.stop(PATIENCE_S)
    with pytest.raises(Unavailable) as caught:
        channel.refresh(PATIENCE_S)
    assert not caught.value.maybe_executed
    channel.close()


@pytest.mark.parametrize("fails", ["copying", "sending"])
def test_a_call_that_cannot_be_sent_holds_no_channel(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """A channel that was given up closes with its last call, of which these are none."""
    transport, place = transports.get("grpc"), bench.listener.endpoint
    channel: Any = transport.connect(place, CREDENTIALS, PATIENCE_S)
    closed = threading.Event()
    close = channel._channel.close  # noqa: SLF001 - nothing else tells

    def note() -> None:
        close()
        closed.set()

    def fail(*_: object, **__: object) -> NoReturn:
        raise MemoryError

    monkeypatch.setattr(channel._channel, "close", note)  # noqa: SLF001 - as above
    request = Request("echo", encode(((1,),)))
    calls: list[Any] = [channel.stream, lambda request: channel.submit(request, _ignore)]
    with monkeypatch.context() as patch:
        if fails == "copying":
            patch.setattr(grpc_session.Exchange, "seal", fail)
            calls.append(channel.call)
        else:
            patch.setattr(channel, "_stream", fail)
            patch.setattr(channel._call, "future", fail)  # noqa: SLF001 - as above
        for call in calls:
            with pytest.raises(MemoryError):
                call(request)
    assert channel.call(request).ok
    channel.retire()
    assert closed.wait(PATIENCE_S)


def _ignore(*_: object) -> None:
    """Do nothing."""


class Relay:
    """Passes bytes on to a port, and counts those that it has passed there."""

    def __init__(self, port: int) -> None:
        self.passed = 0
        self._port = port
        self._open = contextlib.ExitStack()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._accepts = threading.Thread(target=self._accept, daemon=True)
        self._accepts.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                near = self._open.enter_context(self._listener.accept()[0])
                far = self._open.enter_context(socket.create_connection(("127.0.0.1", self._port)))
                for ends in ((near, far), (far, near)):
                    pump = functools.partial(self._pump, *ends, counted=ends[0] is near)
                    thread = threading.Thread(target=pump, daemon=True)
                    thread.start()
                    self._open.callback(thread.join)

    def _pump(self, source: socket.socket, target: socket.socket, *, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(2**16):
                self.passed += len(data) if counted else 0
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End, after both ends have."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepts.join()
        self._listener.close()
        self._open.close()


@pytest.mark.parametrize("compress", [False, True])
def test_arguments_are_compressed_on_the_wire(compress: bool) -> None:
    """Not sealed ones: what is encrypted cannot be compressed."""
    size = 2**20
    server = courier.Server(codec="data", insecure=True)
    server.Bind("count", len)
    server.Start()
    relay = Relay(server.port)
    place = f"grpc:127.0.0.1:{relay.port}"
    client: Any = courier.Client(place, compress, PATIENCE_S, insecure=True)
    assert client.count(bytes(size)) == size
    assert (relay.passed < size / 100) == compress
    assert client.futures.count(bytes(size)).result(PATIENCE_S) == size
    client._peer.close()  # noqa: SLF001 - sooner than garbage collection would
    server.Stop()
    relay.close()
