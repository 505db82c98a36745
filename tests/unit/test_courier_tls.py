"""TLS over a stream: who is let in, and that the bytes arrive."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import gc
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from launchpad_lite.config import ServerConfig
from launchpad_lite.courier import tls
from launchpad_lite.courier.byte_stream import Bytes, ByteStream, SocketStream
from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.connection import Connection
from launchpad_lite.courier.framed_futures import FramedFutures
from launchpad_lite.courier.messages import Request
from launchpad_lite.courier.service import MethodService
from launchpad_lite.credentials import Credentials, make_certificate
from launchpad_lite.errors import NotAuthenticated

LIMIT_S = 60.0


@functools.cache
def ours() -> Credentials:
    return Credentials.create()


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def of_this_run(**changes: Any) -> Credentials:
    """Credentials with another certificate, made with the key of this run."""
    certificate, key = make_certificate(key=ours().key, **changes)
    return Credentials(token=ours().token, certificate=certificate, key=key)


@contextlib.contextmanager
def connected() -> Generator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()
    with client, server:
        client.settimeout(None)
        yield client, server


def limited(sock: socket.socket) -> SocketStream:
    stream = SocketStream(sock)
    stream.limit_receiving(LIMIT_S)
    stream.limit_sending(LIMIT_S)
    return stream


@contextlib.contextmanager
def pair(sessions: tls.Sessions | None = None) -> Generator[tuple[tls.TlsStream, tls.TlsStream]]:
    with connected() as (client_socket, server_socket), ThreadPoolExecutor(1) as threads:
        client = tls.TlsStream(limited(client_socket), ours(), sessions or tls.Sessions(ours()))
        server = tls.TlsStream(limited(server_socket), ours())
        shaken = threads.submit(server.shake_hands, LIMIT_S)
        client.shake_hands(LIMIT_S)
        shaken.result()
        yield client, server


def send_all(stream: ByteStream, data: bytes) -> None:
    view = memoryview(data)
    while view or stream.unsent:
        view = view[stream.send([view] if view else []) :]


def receive_all(stream: ByteStream, size: int) -> bytes:
    data = bytearray(size)
    count = 0
    while count < size:
        received = stream.receive(memoryview(data)[count:])
        assert received
        count += received
    return bytes(data)


def test_bytes_arrive() -> None:
    with pair() as (client, server):
        for sender, receiver in ((client, server), (server, client)):
            assert sender.send([b"one", bytearray(b" "), memoryview(b"two")]) == 7
            assert receive_all(receiver, 7) == b"one two"


@pytest.mark.parametrize("sizes", [[5_000_000], [100, 3_000_000, 7], [20_000] * 60, [1] * 3000])
def test_much_arrives_in_order_in_both_directions_at_once(sizes: list[int]) -> None:
    pieces = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    whole = b"".join(pieces)

    def send(stream: ByteStream) -> None:
        rest = [memoryview(piece) for piece in pieces]
        while rest or stream.unsent:
            taken = stream.send(rest)
            while rest and taken >= len(rest[0]):
                taken -= len(rest.pop(0))
            if taken:
                rest[0] = rest[0][taken:]

    with pair() as ends, ThreadPoolExecutor(4) as threads:
        sent = [threads.submit(send, end) for end in ends]
        received = [threads.submit(receive_all, end, len(whole)) for end in ends]
        for arriving in received:
            assert arriving.result(LIMIT_S) == whole
        for leaving in sent:
            leaving.result(LIMIT_S)


def test_nothing_is_taken_from_who_cannot_be_heard() -> None:
    with pair() as (client, server):
        data = bytes(2**20)
        taken = 0
        with pytest.raises(BlockingIOError):
            while True:
                taken += client.send_now([data])
        assert client.unsent <= 2**17  # bounded, however much there was
        client.limit_sending(0.05)
        with pytest.raises(BlockingIOError):
            client.send([data])
        receiver = threading.Thread(target=receive_all, args=(server, taken))
        receiver.start()
        client.limit_sending(LIMIT_S)
        while client.unsent:
            client.send([])
        receiver.join()


class Reluctant(SocketStream):
    """A socket that takes a little, and then nothing more without waiting."""

    def send_now(self, pieces: Sequence[Bytes]) -> int:
        if len(pieces[0]) <= 100:
            raise BlockingIOError
        return self.send([pieces[0][:100]])


def test_a_future_s_call_goes_on_when_its_last_record_has_gone_in_part() -> None:
    with connected() as (client_socket, server_socket), ThreadPoolExecutor(1) as threads:
        client = tls.TlsStream(Reluctant(client_socket), ours(), tls.Sessions(ours()))
        server = tls.TlsStream(limited(server_socket), ours())
        shaken = threads.submit(server.shake_hands, LIMIT_S)
        client.shake_hands(LIMIT_S)
        shaken.result()
        info = MethodService("x", ours(), ServerConfig(), None, None).info()
        futures = FramedFutures(Connection(client, 2**20), info, lambda: False)
        futures.submit(Request("work", Payload(b"a" * 150)), lambda *_: None)
        arrived = Connection(server, 2**20).read(time.monotonic() + LIMIT_S)
        assert bytes(arrived.content.pickled) == b"a" * 150
        futures.close()


def test_what_was_decrypted_is_told() -> None:
    with pair() as (client, server):
        client.send([b"abcdef"])
        assert receive_all(server, 2) == b"ab"
        assert server.pending == 4
        assert not select.select([server.fileno()], [], [], 0)[0]  # the socket does not tell
        buffer = bytearray(10)
        assert server.receive_now(buffer) == 4
        assert buffer[:4] == b"cdef"
        assert server.pending == 0
        with pytest.raises(BlockingIOError):
            server.receive_now(buffer)


def test_half_a_record_is_not_pending() -> None:
    with connected() as (raw, server_socket), pair() as (client, _):
        del client
        server = tls.TlsStream(SocketStream(server_socket), ours())
        raw.sendall(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a handshake
        select.select([server_socket], [], [], LIMIT_S)
        with pytest.raises(BlockingIOError):
            server.receive_now(bytearray(1))
        assert server.pending == 0


def test_a_receiver_can_wait_while_another_thread_sends() -> None:
    with pair() as (client, server), ThreadPoolExecutor(1) as threads:
        received = threads.submit(receive_all, client, 3)
        send_all(client, b"x" * 1_000_000)
        receive_all(server, 1_000_000)
        server.send([b"end"])
        assert received.result(LIMIT_S) == b"end"


def test_a_hang_up_is_the_end_for_both() -> None:
    with pair() as (client, server), ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(end.receive, bytearray(1)) for end in (client, server)]
        client.hang_up()
        assert [future.result(LIMIT_S) for future in waiting] == [0, 0]
        client.hang_up()
        with pytest.raises(OSError, match="pipe"):
            client.send([b"x"])


def test_a_limit_ends_the_wait() -> None:
    with pair() as (client, _):
        client.limit_receiving(0.01)
        with pytest.raises(BlockingIOError):
            client.receive(bytearray(1))


def test_later_connections_resume_the_session() -> None:
    sessions = tls.Sessions(ours())
    reused: list[bool | None] = []
    for _ in range(4):
        with pair(sessions) as (client, server):
            server.send([b"x"])
            assert receive_all(client, 1) == b"x"
            reused.append(client.resumed)
            assert server.resumed == client.resumed
        del client, server
        gc.collect()
    assert reused == [False, True, True, True]


def test_a_session_outlives_the_settings_that_others_use() -> None:
    sessions = tls.Sessions(ours())
    for reused in (False, True):
        with pair(sessions) as (client, server):
            server.send([b"x"])
            assert receive_all(client, 1) == b"x"
            assert client.resumed == reused
        tls.client_context.cache_clear()  # as when two threads begin, or with many credentials


def shake(
    client: Callable[[socket.socket], object], server: Callable[[socket.socket], object]
) -> tuple[Future[object], Future[object]]:
    """Let two ends meet; return how it ended for each."""
    with connected() as (client_socket, server_socket), ThreadPoolExecutor(2) as threads:

        def run(end: Callable[[socket.socket], object], sock: socket.socket) -> object:
            try:
                return end(sock)
            finally:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_WR)

        return threads.submit(run, client, client_socket), threads.submit(
            run, server, server_socket
        )


def stranger(
    shown: Credentials | None, *, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, alpn: str = ""
) -> Callable[[socket.socket], bytes]:
    """A client with another program, that trusts our certificate, and shows what it likes."""

    def run(sock: socket.socket) -> bytes:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.maximum_version = version
        context.load_verify_locations(cadata=(ours().certificate or b"").decode())
        if shown is not None:
            with tls.file_of((shown.certificate or b"") + (shown.key or b"")) as path:
                context.load_cert_chain(path)
        if alpn:
            context.set_alpn_protocols([alpn])
        with context.wrap_socket(sock.dup(), server_hostname="launchpad-lite") as secure:
            return secure.recv(1)

    return run


def client_with(credentials: Credentials) -> Callable[[socket.socket], bytes]:
    def run(sock: socket.socket) -> bytes:
        stream = tls.TlsStream(limited(sock), credentials, tls.Sessions(credentials))
        stream.shake_hands(LIMIT_S)
        return receive_all(stream, 7)  # only now it knows whether the server has taken it

    return run


def server_with(credentials: Credentials) -> Callable[[socket.socket], object]:
    def run(sock: socket.socket) -> object:
        stream = tls.TlsStream(limited(sock), credentials)
        stream.shake_hands(LIMIT_S)
        return stream.send([b"welcome"])

    return run


def test_two_of_a_run_meet() -> None:
    client, server = shake(client_with(ours()), server_with(ours()))
    assert client.result() == b"welcome"
    assert server.result() == 7


OTHERS: dict[str, Callable[[], Credentials]] = {
    "another run's": Credentials.create,
    "expired": lambda: of_this_run(begin=now() - dt.timedelta(days=3), valid=dt.timedelta(days=1)),
    "not valid yet": lambda: of_this_run(begin=now() + dt.timedelta(days=1)),
    "another name": lambda: of_this_run(name="another"),
    "the same but new": of_this_run,
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_no_other_certificate_of_a_client_is_taken(other: Callable[[], Credentials]) -> None:
    client, server = shake(stranger(other(), alpn=tls.PROTOCOL), server_with(ours()))
    assert isinstance(server.exception(), ConnectionAbortedError)
    assert "certificate" in str(server.exception())
    assert isinstance(client.exception(), ssl.SSLError) or client.result() == b""


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_no_other_certificate_of_a_server_is_taken(other: Callable[[], Credentials]) -> None:
    client, server = shake(client_with(ours()), server_with(other()))
    error = client.exception()
    assert isinstance(error, NotAuthenticated)
    assert "certificate" in str(error)
    assert server.exception() is not None


def test_a_client_without_certificate_is_refused() -> None:
    client, server = shake(stranger(None), server_with(ours()))
    assert isinstance(client.exception(), ssl.SSLError)
    assert isinstance(server.exception(), ConnectionAbortedError)


def test_older_tls_is_refused() -> None:
    client, server = shake(stranger(ours(), version=ssl.TLSVersion.TLSv1_2), server_with(ours()))
    assert isinstance(client.exception(), ssl.SSLError)
    assert "PROTOCOL" in str(server.exception())


@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\r\n\r\n", b"LPC1" + bytes(32), bytes(100)])
def test_plain_text_is_refused(text: bytes) -> None:
    client, server = shake(lambda sock: sock.sendall(text), server_with(ours()))
    assert client.exception() is None
    assert isinstance(server.exception(), ConnectionAbortedError)
    assert "TLS 1.3" in str(server.exception())


def test_a_server_that_speaks_plain_text_is_told() -> None:
    client, _ = shake(client_with(ours()), lambda sock: sock.sendall(b"hello, who is there?"))
    assert isinstance(client.exception(), ConnectionAbortedError)


def test_a_peer_that_hangs_up_in_the_handshake_is_told() -> None:
    _, server = shake(lambda sock: sock.sendall(b"\x16\x03\x01"), server_with(ours()))
    assert isinstance(server.exception(), ConnectionAbortedError)
    assert "hung up" in str(server.exception())


def test_another_protocol_inside_is_refused() -> None:
    client, server = shake(stranger(ours()), server_with(ours()))
    assert client.exception() is not None or client.result() == b""
    assert isinstance(server.exception(), ConnectionAbortedError)
    assert "not as this package does" in str(server.exception())


def test_a_server_shakes_hands_while_it_receives_what_is_there() -> None:
    with connected() as (client_socket, server_socket), ThreadPoolExecutor(1) as threads:
        client = tls.TlsStream(limited(client_socket), ours(), tls.Sessions(ours()))
        server = tls.TlsStream(SocketStream(server_socket), ours())
        buffer = bytearray(10)
        with pytest.raises(BlockingIOError):
            server.receive_now(buffer)
        shaken = threads.submit(client.shake_hands, LIMIT_S)
        shaken.add_done_callback(lambda _: client.send([b"hello"]))
        count = 0
        while not count:
            select.select([server_socket], [], [], LIMIT_S)
            with contextlib.suppress(BlockingIOError):
                count = server.receive_now(buffer)
        assert buffer[:count] == b"hello"
        shaken.result()


def test_a_handshake_has_a_time_limit() -> None:
    with connected() as (client_socket, _):
        client = tls.TlsStream(SocketStream(client_socket), ours(), tls.Sessions(ours()))
        with pytest.raises(TimeoutError, match=r"within 0\.01 s"):
            client.shake_hands(0.01)


def test_credentials_without_a_certificate_are_refused() -> None:
    with pytest.raises(ValueError, match="tls=True"):
        tls.server_context(Credentials.create(tls=False))
