"""The framed protocol over TCP: what is special about the network."""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import socket
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from launchpad_lite.config import ClientConfig, ServerConfig
from launchpad_lite.courier import frame, tcp, tls, transports
from launchpad_lite.courier.client import client_at
from launchpad_lite.courier.service import MethodService
from launchpad_lite.courier.transport import ListenOptions
from launchpad_lite.credentials import PUBLIC, Credentials
from launchpad_lite.endpoint import split_host
from launchpad_lite.errors import NotAuthenticated, Unavailable

PATIENCE_S = 60.0


@functools.cache
def certified() -> Credentials:
    return Credentials.create()


class Bench:
    """A listener, and raw connections to it."""

    def __init__(self, credentials: Credentials, host: str = "127.0.0.1") -> None:
        config = ServerConfig(thread_pool_size=4)
        self.credentials = credentials
        self.service = MethodService("server", credentials, config, None, None)
        self.service.bind("echo", lambda value: value)
        self.service.bind("meet", self.meet)
        self.meeting = threading.Barrier(3, timeout=PATIENCE_S)
        self.listener = transports.get("tcp").listen(self.service, ListenOptions(host=host))
        self.listener.start()
        self.stack = contextlib.ExitStack()
        self.stack.callback(self.listener.stop, PATIENCE_S)

    def meet(self) -> None:
        self.meeting.wait()

    def raw(self, message: bytes = b"") -> socket.socket:
        """A connection that sends what it is told to, and no more."""
        address = split_host(self.listener.endpoint.removeprefix("tcp:"))
        sock = self.stack.enter_context(socket.create_connection(address, PATIENCE_S))
        sock.sendall(message)
        return sock

    def client(self, credentials: Credentials | None = None) -> Any:
        config = ClientConfig(call_timeout=PATIENCE_S, wait_for_ready=False)
        return client_at(self.listener.endpoint, credentials or self.credentials, config)


@contextlib.contextmanager
def serving(credentials: Credentials, host: str = "127.0.0.1") -> Generator[Bench]:
    bench = Bench(credentials, host)
    with bench.stack:
        yield bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    with serving(certified()) as one:
        yield one


def is_closed(sock: socket.socket) -> bool:
    """Whether the peer says no more than an alert of TLS, and hangs up."""
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(1000):
            pass
    return True


def test_calls_arrive(bench: Bench) -> None:
    assert bench.listener.endpoint.startswith("tcp:127.0.0.1:")
    client = bench.client()
    assert client.echo([1, "two"]) == [1, "two"]
    assert [future.result() for future in map(client.futures.echo, range(100))] == [*range(100)]


@pytest.mark.parametrize(
    "text",
    [b"GET / HTTP/1.1\r\n\r\n", frame.MAGIC + bytes(32), bytes(1000)],
    ids=["http", "ours", "zeros"],
)
def test_plain_text_is_refused(bench: Bench, text: bytes) -> None:
    assert is_closed(bench.raw(text))
    assert bench.client().echo(1) == 1


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "half"])
def test_who_says_nothing_or_half_a_handshake_keeps_nobody_waiting(
    bench: Bench, said: bytes
) -> None:
    silent = [bench.raw(said) for _ in range(20)]
    assert bench.client().echo(1) == 1
    assert len(silent) == 20


def test_another_run_s_certificate_is_refused(bench: Bench) -> None:
    with pytest.raises(NotAuthenticated, match="has other credentials than this client"):
        bench.client(Credentials.create()).echo(1)
    assert bench.client().echo(1) == 1


def test_the_log_tells_of_a_refused_peer_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert is_closed(bench.raw(b"GET / HTTP/1.1\r\n\r\n"))
    (record,) = caplog.records
    told = "server refused a connection from 127.0.0.1: the peer does not speak TLS 1.3"
    assert told in record.getMessage()


def test_a_call_does_not_go_to_a_server_that_has_hung_up_before(bench: Bench) -> None:
    """It would be taken by the kernel, and nobody could say whether it has run."""
    client = bench.client()
    assert client.echo(1) == 1
    (idle,) = client._peer.connected()._idle  # noqa: SLF001 - nothing else tells
    listener: Any = bench.listener  # a test of this transport knows what it is
    for served in list(listener._connections):  # noqa: SLF001 - nothing else hangs up on one
        served.outbox.hang_up()
    deadline = time.monotonic() + PATIENCE_S
    while not idle.parted:
        assert time.monotonic() < deadline
    assert client.echo(2) == 2
    bench.stack.close()
    with pytest.raises(Unavailable) as caught:
        client.echo(3)
    assert not caught.value.maybe_executed


def test_connections_that_have_carried_much_are_renewed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "MAX_BYTES", 2**20)
    client = bench.client()
    assert client.echo(1) == 1
    client.futures.echo(1).result()
    context = tls.server_context(bench.credentials)
    before = context.session_stats()["accept_good"]
    for _ in range(5):
        assert len(client.echo(bytes(2**18))) == 2**18
    assert context.session_stats()["accept_good"] == before + 1
    sent = [client.futures.echo(bytes(2**18)) for _ in range(5)]
    assert [len(future.result()) for future in sent] == [2**18] * 5
    assert client.futures.echo(2).result() == 2
    assert context.session_stats()["accept_good"] == before + 2


def test_a_server_without_tls_does_not_get_the_token(bench: Bench) -> None:
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            sock, _ = server.accept()
            with sock:
                heard.append(sock.recv(2**16))
                sock.sendall(b"hello")

        thread = threading.Thread(target=listen)
        thread.start()
        with pytest.raises(Unavailable, match=r"TLS 1\.3"):
            endpoint = f"tcp:127.0.0.1:{server.getsockname()[1]}"
            transports.get("tcp").connect(endpoint, certified(), PATIENCE_S)
        thread.join()
    assert certified().token not in heard[0]


def test_later_connections_of_a_channel_resume_its_session() -> None:
    credentials = Credentials.create()
    with serving(credentials) as bench:
        client = bench.client()
        client.echo(1)
        calling = [threading.Thread(target=client.meet) for _ in range(3)]
        for thread in calling:
            thread.start()
        for thread in calling:
            thread.join()
        stats = tls.server_context(credentials).session_stats()
    assert stats["accept_good"] >= 3
    assert stats["hits"] == stats["accept_good"] - 1


def test_without_a_secret_it_works_in_the_clear() -> None:
    with serving(PUBLIC) as bench:
        assert bench.client().echo(1) == 1
        with pytest.raises(NotAuthenticated, match="does not use TLS"):
            bench.client(certified()).echo(1)


def test_a_secret_is_not_sent_in_the_clear() -> None:
    secret = Credentials.create(tls=False)
    with pytest.raises(ValueError, match="tls=True"):
        Bench(secret)
    with pytest.raises(ValueError, match="tls=True"):
        transports.get("tcp").connect("tcp:127.0.0.1:1", secret, PATIENCE_S)


def test_ipv6() -> None:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("this machine has no IPv6")
    with serving(certified(), "::1") as bench:
        assert bench.listener.endpoint.startswith("tcp:[::1]:")
        assert bench.client().echo(1) == 1


@pytest.mark.parametrize("place", ["", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "h:99999"])
def test_what_is_no_endpoint_is_told(place: str) -> None:
    with pytest.raises(Unavailable, match="is no endpoint") as caught:
        transports.get("tcp").connect(f"tcp:{place}", certified(), PATIENCE_S)
    assert not caught.value.maybe_executed


def test_a_port_that_is_taken_is_told(bench: Bench) -> None:
    host, port = split_host(bench.listener.endpoint.removeprefix("tcp:"))
    options = ListenOptions(host=host, port=port)
    with pytest.raises(OSError, match=f"port {port} of 127.0.0.1 cannot be listened on") as caught:
        transports.get("tcp").listen(bench.service, options)
    assert caught.value.errno == errno.EADDRINUSE


def test_a_lost_host_is_noticed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock = socket.create_connection(server.getsockname())
        stream = tcp.TcpStream(sock)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        lasting = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert lasting == tcp.SILENCE_S * 1000
        stream.close()


def test_a_reset_is_told_as_a_lost_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = tcp.TcpStream(socket.create_connection(server.getsockname()))
        peer, _ = server.accept()
        stream.send([b"unread"])
        peer.recv(1)
        peer.close()  # with something unread, which resets the connection
        with pytest.raises(ConnectionAbortedError, match="lost"):
            while stream.receive(bytearray(1)):
                pass
        stream.close()


def test_a_host_that_is_there_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though its process takes nothing, and answers nothing."""
    monkeypatch.setattr(tcp, "LOST_S", 0.0)
    monkeypatch.setattr(tcp, "LOOK_S", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = tcp.TcpStream(socket.create_connection(server.getsockname()))
        with pytest.raises(BlockingIOError):
            while True:  # until it takes no more
                stream.send_now([bytes(2**20)])
        stream.limit_receiving(0)
        for _ in range(20):
            with pytest.raises(BlockingIOError):
                stream.receive(bytearray(1))
        stream.close()
