"""The Unix transport against peers that do not behave, and what only it can get wrong."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import pickle
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest

from launchpad_lite.config import ClientConfig, ServerConfig
from launchpad_lite.courier import frame, transports
from launchpad_lite.courier.client import client_at
from launchpad_lite.courier.codec import Payload, encode
from launchpad_lite.courier.messages import Request
from launchpad_lite.courier.service import MethodService
from launchpad_lite.courier.transport import Channel, ListenOptions
from launchpad_lite.credentials import Credentials
from launchpad_lite.errors import (
    DeadlineExceeded,
    NotAuthenticated,
    PayloadTooLarge,
    Unavailable,
    VersionMismatch,
)

PATIENCE_S = 30.0
SHORT_S = 0.1
CREDENTIALS = Credentials(token=bytes(range(32)))
TOKEN = CREDENTIALS.token
HELLO = frame.MAGIC + TOKEN


@pytest.fixture
def directory() -> Iterator[str]:
    path = tempfile.mkdtemp(prefix="lp-", dir="/tmp")
    yield path
    shutil.rmtree(path)


class Bench:
    """A listener and raw connections to it."""

    def __init__(self, directory: str, threads: int = 2, limit: int = 2**30) -> None:
        config = ServerConfig(thread_pool_size=threads, max_payload_bytes=limit)
        self.service = MethodService("server", CREDENTIALS, config, None, None)
        self.service.bind("echo", lambda value: value)
        self.service.bind("enter", self.enter)
        self.opened = threading.Event()
        self.entered = threading.Semaphore(0)
        self.stack = contextlib.ExitStack()
        options = ListenOptions(directory=directory)
        self.listener = transports.get("unix").listen(self.service, options)
        self.listener.start()
        self.stack.callback(self.listener.stop, PATIENCE_S)
        self.path = self.listener.endpoint.removeprefix("unix:")

    def enter(self, value: Any = None) -> Any:
        self.entered.release()
        self.opened.wait(PATIENCE_S)
        return value

    def raw(self, *messages: bytes) -> socket.socket:
        """A connection that sends what it is told to."""
        sock = self.stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        sock.settimeout(PATIENCE_S)
        sock.connect(self.path)
        for message in messages:
            sock.sendall(message)
        return sock

    def greeted(self) -> socket.socket:
        """A connection after its handshake."""
        sock = self.raw(HELLO)
        assert read(sock).kind == frame.Kind.WELCOME
        return sock

    def client(self) -> Any:
        return client_at(self.listener.endpoint, CREDENTIALS, ClientConfig(call_timeout=PATIENCE_S))

    def close(self) -> None:
        self.opened.set()
        self.stack.close()


@pytest.fixture
def bench(directory: str) -> Iterator[Bench]:
    one = Bench(directory)
    yield one
    one.close()


def read(sock: socket.socket) -> frame.Frame:
    """The next frame; nothing behind it is received."""

    def receive(size: int) -> bytearray:
        data = bytearray()
        while len(data) < size:
            part = sock.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    parts = frame.assemble(frame.HEAD.unpack(receive(frame.HEAD.size)), 2**30)
    size = next(parts)
    try:
        while True:
            size = parts.send(receive(size))
    except StopIteration as end:
        found: frame.Frame = end.value
        return found


def call(method: str, *args: Any, call_id: int = 0, kind: frame.Kind = frame.Kind.CALL) -> bytes:
    return b"".join(frame.pack_request(Request(method, encode((args,))), call_id, kind))


def was_dropped(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


# Peers that are not clients.


@pytest.mark.parametrize(
    "message",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: somebody\r\n\r\n",
        bytes(len(HELLO)),
        b"\xff" * 100_000,
        frame.MAGIC + bytes(reversed(TOKEN)),
        b"LPC0" + TOKEN,
    ],
    ids=["http", "zeros", "flood", "token", "magic"],
)
def test_strangers_are_refused(bench: Bench, message: bytes) -> None:
    sock = bench.raw()
    with contextlib.suppress(BrokenPipeError):  # refused before all of it was sent
        sock.sendall(message)
    with contextlib.suppress(ConnectionResetError):
        assert read(sock).kind == frame.Kind.REFUSED
        assert was_dropped(sock)
    assert bench.client().echo(1) == 1


def test_nothing_of_a_stranger_is_decoded(bench: Bench, tmp_path: Path) -> None:
    target = tmp_path / "exploded"
    assert pickle.loads(pickle.dumps(Bomb(target))) is None
    assert target.exists()  # it works
    target.unlink()
    bomb = call("echo", Bomb(target))
    wrong = frame.MAGIC + bytes(len(TOKEN))
    for messages in ([wrong + bomb], [bomb], [wrong, bomb], [HELLO[:-1], bomb]):
        sock = bench.raw()
        with contextlib.suppress(BrokenPipeError):
            for message in messages:
                sock.sendall(message)
        with contextlib.suppress(ConnectionResetError):
            while sock.recv(1000):
                pass
    assert not target.exists()
    assert bench.client().echo(1) == 1
    sock = bench.greeted()
    sock.sendall(bomb)
    assert read(sock).kind == frame.Kind.RESULT
    assert target.exists()  # that of a friend is


def test_silence_keeps_nobody_waiting(bench: Bench) -> None:
    silent = [bench.raw() for _ in range(20)]
    partial = [bench.raw(HELLO[:size]) for size in range(1, len(HELLO))]
    client = bench.client()
    assert client.echo(1) == 1
    assert client.futures.echo(2).result(PATIENCE_S) == 2
    assert len(silent + partial) == 55


def test_a_hello_may_come_in_pieces(bench: Bench) -> None:
    sock = bench.raw()
    for place in range(len(HELLO)):
        sock.sendall(HELLO[place : place + 1])
    assert read(sock).kind == frame.Kind.WELCOME
    sock.sendall(call("echo", 5))
    assert read(sock).kind == frame.Kind.RESULT


def test_a_hello_and_a_call_may_come_at_once(bench: Bench) -> None:
    sock = bench.raw(HELLO + call("echo", 1) + call("echo", 2))
    kinds = [read(sock).kind for _ in range(3)]
    assert kinds == [frame.Kind.WELCOME, frame.Kind.RESULT, frame.Kind.RESULT]


def test_leaving_in_the_middle_harms_nobody(bench: Bench) -> None:
    message = HELLO + call("echo", b"x" * 1000)
    for size in range(0, len(message), 37):
        bench.raw(message[:size]).close()
    assert bench.client().echo(1) == 1


@pytest.mark.parametrize(
    "message",
    [
        b"\xff" * 64,
        b"".join(frame.pack(frame.Kind.RESULT, 0, Payload(b""))),
        b"".join(frame.pack(frame.Kind.WELCOME, 0, Payload(b""))),
        frame.HEAD.pack(frame.Kind.CALL, 0, 0, math.nan, 0, 0, 0),
        frame.HEAD.pack(frame.Kind.CALL, 0, 0, -1.0, 0, 0, 0),
        frame.HEAD.pack(frame.Kind.CALL, 0, 0, 0.0, 2**60, 0, 0),
        frame.HEAD.pack(frame.Kind.CALL, 0, 0, 0.0, 0, 1, 0) + (2**60).to_bytes(8, "little"),
        call("echo", kind=frame.Kind.STREAM) * 2,
    ],
    ids=["garbage", "result", "welcome", "nan", "negative", "pickle", "buffer", "streams"],
)
def test_a_client_that_makes_no_sense_is_dropped(bench: Bench, message: bytes) -> None:
    sock = bench.greeted()
    sock.sendall(message)
    with contextlib.suppress(EOFError, ConnectionResetError):
        while True:
            read(sock)
    assert was_dropped(sock)
    assert bench.client().echo(1) == 1


def test_a_pickle_that_is_none_fails_its_call(bench: Bench) -> None:
    sock = bench.greeted()
    for pickled in (b"", b"garbage", pickle.dumps(5), pickle.dumps(())):
        sock.sendall(b"".join(frame.pack(frame.Kind.CALL, 7, Payload(pickled), method="echo")))
        answer = read(sock)
        assert (answer.kind, answer.call_id) == (frame.Kind.FAILURE, 7)


@pytest.mark.parametrize("name", ["_private", "__reduce__", "__class__", "echo.__call__"])
def test_names_that_are_not_bound_are_not_called(bench: Bench, name: str) -> None:
    sock = bench.greeted()
    sock.sendall(call(name))
    answer = read(sock)
    assert answer.kind == frame.Kind.FAILURE
    assert b"MethodNotFound" in bytes(answer.content.pickled)


def test_half_a_frame_does_not_hold_up_the_others(bench: Bench) -> None:
    """It keeps one thread, but another waits for requests."""
    sock = bench.greeted()
    sock.sendall(call("echo", b"x" * 1000)[:200])
    other = bench.client()
    for number in range(10):
        assert other.echo(number) == number
    sock.sendall(call("echo", b"x" * 1000)[200:])
    assert read(sock).kind == frame.Kind.RESULT


def test_too_large_a_call_of_someone_else_s_client(directory: str) -> None:
    bench = Bench(directory, limit=1000)
    sock = bench.greeted()
    sock.sendall(call("echo", bytes(1001)))
    answer = read(sock)
    assert answer.kind == frame.Kind.FAILURE
    assert b"PayloadTooLarge" in bytes(answer.content.pickled)
    assert was_dropped(sock)
    assert bench.client().echo(1) == 1
    bench.close()


def test_a_client_that_hangs_up_during_its_calls(bench: Bench) -> None:
    for _ in range(20):
        sock = bench.greeted()
        sock.sendall(call("enter", call_id=1) + call("echo", call_id=2) + call("enter", call_id=3))
        sock.close()
    bench.opened.set()
    client = bench.client()
    for number in range(20):
        assert client.echo(number) == number


def test_connections_come_and_go_with_the_same_descriptors(bench: Bench) -> None:
    """Events of closed connections must not be taken for those of new ones."""
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            with bench.greeted() as sock:
                sock.sendall(call("echo", 1) * 3)
            bench.greeted().close()

    with ThreadPoolExecutor(2) as threads:
        going = [threads.submit(come_and_go) for _ in range(2)]
        client = bench.client()
        for number in range(300):
            assert client.echo(number) == number
            if number % 10 == 0:
                assert bench.client().futures.echo(number).result(PATIENCE_S) == number
        stop.set()
        for each in going:
            each.result(PATIENCE_S)


def test_a_stream_of_a_client_that_has_gone_is_closed(bench: Bench) -> None:
    opened, closed = threading.Semaphore(0), threading.Semaphore(0)

    class Feed:
        def __init__(self) -> None:
            self._closed = threading.Event()
            opened.release()

        def __next__(self) -> NoReturn:
            assert self._closed.wait(PATIENCE_S)
            raise StopIteration

        def close(self) -> None:
            if not self._closed.is_set():
                self._closed.set()
                closed.release()

    bench.service.bind("feed", Feed)
    request = call("feed", kind=frame.Kind.STREAM)
    for _ in range(10):
        sock = bench.greeted()
        sock.sendall(request)
        sock.close()
        assert opened.acquire(timeout=PATIENCE_S)
        assert closed.acquire(timeout=PATIENCE_S)


def test_running_out_of_descriptors_does_not_end_the_server(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = threading.Event()
    accept = socket.socket.accept

    def refuse(sock: socket.socket) -> Any:
        if sock.getsockname() == bench.path and not refused.is_set():
            refused.set()
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(sock)

    monkeypatch.setattr(socket.socket, "accept", refuse)
    assert bench.client().echo(1) == 1
    assert refused.is_set()


def test_where_there_can_be_no_more_threads(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        sock = bench.greeted()
        for number in range(3):
            sock.sendall(call("echo", number))
            assert read(sock).kind == frame.Kind.RESULT
    assert bench.client().echo(1) == 1


# How a listener ends.


def test_the_socket_is_in_the_directory_as_long_as_it_listens(directory: str, bench: Bench) -> None:
    assert Path(bench.path).parent == Path(directory)
    assert Path(bench.path).is_socket()
    bench.listener.stop(0)
    assert not Path(bench.path).exists()


def test_a_directory_that_has_gone_does_not_keep_it_from_stopping(bench: Bench) -> None:
    Path(bench.path).unlink()
    bench.listener.stop(PATIENCE_S)
    assert not any(thread.name == "lp-serve server" for thread in threading.enumerate())


def test_a_directory_is_needed() -> None:
    service = MethodService("server", CREDENTIALS, ServerConfig(), None, None)
    with pytest.raises(ValueError, match="needs a private directory"):
        transports.get("unix").listen(service, ListenOptions())
    with pytest.raises(OSError, match="path too long"):
        transports.get("unix").listen(service, ListenOptions(directory="/tmp/" + "x" * 120))


def test_a_late_call_gives_everything_back_in_the_end(bench: Bench) -> None:
    future = bench.client().futures.enter()
    assert bench.entered.acquire(timeout=PATIENCE_S)
    bench.listener.stop(0)
    error = future.exception(PATIENCE_S)
    assert isinstance(error, Unavailable)
    assert error.maybe_executed
    (thread,) = [each for each in threading.enumerate() if each.name == "lp-serve server"]
    bench.opened.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_a_server_that_stops_says_what_has_begun(directory: str) -> None:
    bench = Bench(directory, threads=1)
    busy, idle = bench.greeted(), bench.greeted()
    busy.sendall(call("enter", 1, call_id=5))
    assert bench.entered.acquire(timeout=PATIENCE_S)
    busy.sendall(call("enter", 2, call_id=6))
    with ThreadPoolExecutor(1) as threads:
        stopping = threads.submit(bench.listener.stop, PATIENCE_S)
        goodbye = read(idle)
        assert (goodbye.kind, goodbye.ids()) == (frame.Kind.STOPPING, set())
        assert was_dropped(idle)
        goodbye = read(busy)
        assert (goodbye.kind, goodbye.ids()) == (frame.Kind.STOPPING, {5})
        bench.opened.set()
        answer = read(busy)
        assert (answer.kind, answer.call_id) == (frame.Kind.RESULT, 5)
        stopping.result(PATIENCE_S)
    bench.close()


# Servers that do not behave.


class FakeServer:
    """Accepts, welcomes, and then does as the test says."""

    def __init__(self, directory: str) -> None:
        self.path = f"{directory}/fake"
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(self.path)
        self._listening.listen()
        service = MethodService("fake", CREDENTIALS, ServerConfig(), None, None)
        service.bind("work", print)
        self.info = msgspec.msgpack.encode(service.info())
        self.sockets: list[socket.socket] = []

    def accept(self, *answer: bytes) -> socket.socket:
        sock, _ = self._listening.accept()
        sock.settimeout(PATIENCE_S)
        self.sockets.append(sock)
        assert sock.recv(len(HELLO), socket.MSG_WAITALL) == HELLO
        welcome = frame.pack(frame.Kind.WELCOME, 0, Payload(self.info))
        sock.sendall(b"".join(answer or welcome))
        if not answer:  # so the client says who it is
            assert read(sock).kind == frame.Kind.CALLER
        return sock

    def connect(self, timeout: float = PATIENCE_S) -> Channel:
        return transports.get("unix").connect(f"unix:{self.path}", CREDENTIALS, timeout)

    def close(self) -> None:
        for sock in (self._listening, *self.sockets):
            sock.close()


@pytest.fixture
def fake(directory: str) -> Iterator[FakeServer]:
    server = FakeServer(directory)
    yield server
    server.close()


WORK = Request("work", encode(((),)))


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (b"\xff" * 64, Unavailable, "not a frame"),
        (b"".join(frame.pack(frame.Kind.REFUSED, 0, Payload(b""))), NotAuthenticated, "belongs"),
        (b"".join(frame.pack(frame.Kind.RESULT, 0, Payload(b""))), NotAuthenticated, "belongs"),
        (b"".join(frame.pack(frame.Kind.WELCOME, 0, Payload(b"?"))), VersionMismatch, "shake"),
        (frame.HEAD.pack(frame.Kind.WELCOME, 0, 0, 0.0, 2**60, 0, 0), Unavailable, "exceeds"),
    ],
    ids=["garbage", "refused", "result", "another", "huge"],
)
def test_what_is_no_welcome(
    fake: FakeServer, answer: bytes, error: type[Exception], message: str
) -> None:
    with ThreadPoolExecutor(1) as threads:
        accepting = threads.submit(fake.accept, answer)
        with pytest.raises(error, match=message):
            fake.connect()
        accepting.result(PATIENCE_S)


def test_a_server_that_hangs_up_on_strangers(fake: FakeServer) -> None:
    with ThreadPoolExecutor(1) as threads:
        threads.submit(lambda: fake.accept(b"").close())
        with pytest.raises(Unavailable, match=r"it hung up|reset"):
            fake.connect()


def test_a_server_that_says_nothing(fake: FakeServer) -> None:
    with pytest.raises(DeadlineExceeded, match=r"no answer from .* within 0\.1 s"):
        fake.connect(SHORT_S)


def test_nobody_listens(directory: str) -> None:
    with pytest.raises(Unavailable, match="cannot connect to"):
        transports.get("unix").connect(f"unix:{directory}/nobody", CREDENTIALS, PATIENCE_S)


def opened(fake: FakeServer) -> tuple[Channel, socket.socket]:
    with ThreadPoolExecutor(1) as threads:
        accepting = threads.submit(fake.accept)
        channel = fake.connect()
        return channel, accepting.result(PATIENCE_S)


def wait_until_readable(sock: socket.socket) -> None:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    assert poll.poll(PATIENCE_S * 1000)


@pytest.mark.parametrize("reads", [False, True])
def test_a_server_that_dies_with_the_call(fake: FakeServer, reads: bool) -> None:
    """Whether it has read the call, and so may have run it, is known where it has not."""
    channel, sock = opened(fake)
    with ThreadPoolExecutor(1) as threads:
        calling = threads.submit(channel.call, WORK)
        wait_until_readable(sock)
        if reads:
            read(sock)
        sock.close()
        error = calling.exception(PATIENCE_S)
    assert isinstance(error, Unavailable)
    assert error.maybe_executed is reads
    channel.close()


@pytest.mark.parametrize("answer", [b"\xff" * 64, call("work")], ids=["garbage", "call"])
def test_a_server_that_answers_nonsense(fake: FakeServer, answer: bytes) -> None:
    channel, sock = opened(fake)
    with ThreadPoolExecutor(1) as threads:
        calling = threads.submit(channel.call, WORK)
        read(sock)
        sock.sendall(answer)
        error = calling.exception(PATIENCE_S)
    assert isinstance(error, Unavailable)
    assert error.maybe_executed
    channel.close()


class Ending:
    """How futures of a channel end."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.futures: list[Future[Any]] = []

    def submit(self, size: int = 0, timeout: float | None = None) -> None:
        future: Future[Any] = Future()
        self.futures.append(future)
        request = Request("work", encode((bytes(size),)), timeout)
        self._channel.submit(
            request,
            lambda reply, error: (
                future.set_result(reply) if error is None else future.set_exception(error)
            ),
        )

    def maybe_executed(self) -> list[bool]:
        errors = [future.exception(PATIENCE_S) for future in self.futures]
        assert all(isinstance(error, Unavailable) for error in errors)
        return [error.maybe_executed for error in errors if isinstance(error, Unavailable)]


def submitted(fake: FakeServer, *sizes: int) -> tuple[Channel, socket.socket, Ending]:
    channel, _ = opened(fake)
    ending = Ending(channel)
    with ThreadPoolExecutor(1) as threads:
        accepting = threads.submit(fake.accept)
        for size in sizes:
            ending.submit(size)
        return channel, accepting.result(PATIENCE_S), ending


def test_futures_know_whether_they_may_have_run(fake: FakeServer) -> None:
    channel, sock, ending = submitted(fake, 0, 0, 8 * 2**20, 0)
    ids = [read(sock).call_id for _ in range(2)]
    sock.sendall(b"".join(frame.pack_reply(_reply(), ids[0])))
    sock.close()
    assert ending.futures[0].result(PATIENCE_S).ok
    del ending.futures[0]
    # one was read; of the large one a part was sent, and of the last one nothing
    assert ending.maybe_executed() == [True, False, False]
    channel.close()


def test_what_an_interrupted_thread_has_sent_is_not_sent_again(fake: FakeServer) -> None:
    channel, sock, ending = submitted(fake, 0)
    first = read(sock).call_id
    sock.sendall(b"".join(frame.pack_reply(_reply(), first)))
    assert ending.futures[0].result(PATIENCE_S).ok  # so that this thread sends the next itself

    client: Any = channel  # an interrupt cannot be sent to one line
    stream = client._futures._connection._stream  # noqa: SLF001
    send_now = stream.send_now

    def interrupted(pieces: Any) -> None:
        stream.send_now = send_now  # once is enough
        send_now(pieces)
        raise KeyboardInterrupt

    stream.send_now = interrupted  # just after the system's call
    with pytest.raises(KeyboardInterrupt):
        ending.submit()
    assert read(sock).call_id != first
    assert sock.recv(1) == b""  # nothing more comes this way
    channel.close()
    assert not ending.futures[1].done()  # for its error was raised


def test_futures_of_a_server_that_stops(fake: FakeServer) -> None:
    channel, sock, ending = submitted(fake, 0, 0, 0)
    first = read(sock).call_id
    sock.sendall(b"".join(frame.pack_ids(frame.Kind.STOPPING, [first])))
    last = ending.futures[1:]
    for future in last:
        error = future.exception(PATIENCE_S)
        assert isinstance(error, Unavailable)
        assert not error.maybe_executed
    assert not ending.futures[0].done()
    sock.sendall(b"".join(frame.pack_reply(_reply(), first)))
    assert ending.futures[0].result(PATIENCE_S).ok
    channel.close()


def test_a_server_that_stops_is_told_of_a_call_that_is_given_up(fake: FakeServer) -> None:
    channel, sock, ending = submitted(fake, 0)
    first = read(sock).call_id
    ending.submit(timeout=SHORT_S)
    late = read(sock).call_id
    sock.sendall(b"".join(frame.pack_ids(frame.Kind.STOPPING, [first, late])))
    told = read(sock)
    assert (told.kind, told.ids()) == (frame.Kind.CANCEL, {late})
    assert isinstance(ending.futures[1].exception(PATIENCE_S), DeadlineExceeded)
    sock.sendall(b"".join(frame.pack_reply(_reply(), first)))
    assert ending.futures[0].result(PATIENCE_S).ok
    channel.close()


def test_answers_to_nobody_are_ignored(fake: FakeServer) -> None:
    channel, sock, ending = submitted(fake, 0)
    number = read(sock).call_id
    for call_id in (number + 1, 0, number, number):
        sock.sendall(b"".join(frame.pack_reply(_reply(), call_id)))
    assert ending.futures[0].result(PATIENCE_S).ok
    channel.close()


def test_late_answers_are_ignored(fake: FakeServer) -> None:
    channel, sock, ending = submitted(fake, 0)
    number = read(sock).call_id
    ending.submit(timeout=SHORT_S)
    late = read(sock).call_id
    assert isinstance(ending.futures[1].exception(PATIENCE_S), DeadlineExceeded)
    sock.sendall(b"".join(frame.pack_reply(_reply(), late)))
    sock.sendall(b"".join(frame.pack_reply(_reply(), number)))
    assert ending.futures[0].result(PATIENCE_S).ok
    channel.close()


def test_a_callback_that_ends_its_thread_leaves_no_future_waiting(
    fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    channel, sock, ending = submitted(fake, 0, 0)
    first = read(sock).call_id

    def leave(_: Future[Any]) -> NoReturn:
        raise SystemExit

    ending.futures[0].add_done_callback(leave)
    sock.sendall(b"".join(frame.pack_reply(_reply(), first)))
    error = ending.futures[1].exception(PATIENCE_S)
    assert isinstance(error, Unavailable)
    channel.close()


def _reply() -> Any:
    return frame.Frame(frame.Kind.RESULT, 0, None, "", encode(None)).reply()


def test_too_much_for_the_server_is_not_sent(directory: str) -> None:
    bench = Bench(directory, limit=1000, threads=1)
    client = bench.client()
    running = client.futures.enter(1)
    assert bench.entered.acquire(timeout=PATIENCE_S)
    with pytest.raises(PayloadTooLarge, match="the limit of 1,000"):
        client.echo(bytes(1001))
    assert isinstance(client.futures.echo(bytes(1001)).exception(PATIENCE_S), PayloadTooLarge)
    bench.opened.set()
    assert running.result(PATIENCE_S) == 1  # on the same connection
    bench.close()


def test_idle_connections_are_used_again(bench: Bench) -> None:
    client = bench.client()
    client.echo(1)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only their number
    for number in range(50):
        client.echo(number)
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208


NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


@contextlib.contextmanager
def as_nobody(code: str, *arguments: str) -> Generator[subprocess.Popen[str]]:
    """Run code in a process of another user."""
    program = f"import os, socket, sys, tempfile; os.setgid({NOBODY}); os.setuid({NOBODY}); {code}"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


@needs_root
def test_another_user_is_not_let_in_whatever_it_says(bench: Bench, directory: str) -> None:
    Path(directory).chmod(0o755)
    Path(bench.path).chmod(0o777)
    code = (
        "sock = socket.socket(socket.AF_UNIX); sock.connect(sys.argv[1]); "
        "sock.settimeout(60); print(sock.recv(1))"
    )
    with as_nobody(code, bench.path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "b''\n"
    assert bench.client().echo(1) == 1


@needs_root
def test_a_token_is_not_shown_to_another_user() -> None:
    code = (
        "place = tempfile.TemporaryDirectory(dir='/tmp'); sock = socket.socket(socket.AF_UNIX); "
        "sock.bind(place.name + '/s'); sock.listen(); print(place.name + '/s', flush=True); "
        "sys.stdin.read(); sock.close(); place.cleanup()"
    )
    with as_nobody(code) as process:
        assert process.stdout is not None
        path = process.stdout.readline().strip()
        with pytest.raises(NotAuthenticated, match=f"{path} belongs to user {NOBODY}"):
            transports.get("unix").connect(f"unix:{path}", CREDENTIALS, PATIENCE_S)
