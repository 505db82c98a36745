"""Peers that connect: strangers that are many, and say nothing, keep nobody waiting."""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from launchpad_lite.config import ClientConfig, ServerConfig
from launchpad_lite.courier import socket_dir, transports
from launchpad_lite.courier.byte_stream import ByteStream, SocketStream
from launchpad_lite.courier.client import client_at
from launchpad_lite.courier.greeter import MAX_GUESTS, SHUT_S, Acceptor, Greeter
from launchpad_lite.courier.service import MethodService
from launchpad_lite.courier.transport import Listener, ListenOptions
from launchpad_lite.credentials import Credentials

PATIENCE_S = 60.0
CREDENTIALS = Credentials(token=bytes(range(32)))
HELLO = b"hello"
STRANGERS = 500


class Door(Acceptor):
    """A Unix socket, at which accepting may fail."""

    def __init__(self, directory: str) -> None:
        self.path = f"{directory}/door"
        self.endpoint = f"unix:{self.path}"
        self.failures: list[Exception] = []
        self.tries: list[float] = []
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.bind(self.path)
        self._sock.listen(STRANGERS)

    def accept(self) -> ByteStream:
        self.tries.append(time.monotonic())
        if self.failures:
            raise self.failures.pop()
        return SocketStream(self._sock.accept()[0])

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()


class Reception:
    """A greeter, and those that it has let in."""

    def __init__(self, directory: str) -> None:
        self.door = Door(directory)
        self.failures: list[Exception] = []
        self.welcomed: queue.SimpleQueue[ByteStream] = queue.SimpleQueue()
        self.refused: queue.SimpleQueue[object] = queue.SimpleQueue()
        self.greeter = Greeter(
            self.door, "lp-test", len(HELLO), self._welcome, lambda *told: self.refused.put(told)
        )
        self.greeter.start()
        self._stack = contextlib.ExitStack()

    def _welcome(self, stream: ByteStream, hello: bytes) -> None:
        if self.failures:
            raise self.failures.pop()
        assert hello == HELLO
        self._stack.callback(stream.close)
        self.welcomed.put(stream)

    def connect(self, words: bytes = b"") -> socket.socket:
        sock = self._stack.enter_context(socket.socket(socket.AF_UNIX))
        sock.settimeout(PATIENCE_S)
        sock.connect(self.door.path)
        sock.sendall(words)
        return sock

    def close(self) -> None:
        self.greeter.stop()
        self._stack.close()


@pytest.fixture
def directory() -> Iterator[str]:
    one = socket_dir.make()
    yield one
    socket_dir.remove(one)


@pytest.fixture
def reception(directory: str) -> Iterator[Reception]:
    one = Reception(directory)
    yield one
    one.close()


def is_hung_up(sock: socket.socket) -> bool:
    """Wait for the other side to hang up."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_the_oldest_silent_one_makes_room(reception: Reception) -> None:
    silent = [reception.connect() for _ in range(MAX_GUESTS + 2)]
    assert is_hung_up(silent[0])
    assert is_hung_up(silent[1])
    reception.connect(HELLO)
    reception.welcomed.get(timeout=PATIENCE_S)
    silent[-1].sendall(HELLO)  # who came last is still there
    reception.welcomed.get(timeout=PATIENCE_S)


def test_those_that_speak_have_a_while(reception: Reception) -> None:
    speaking = [reception.connect(HELLO[:1]) for _ in range(MAX_GUESTS)]
    reception.connect(HELLO)
    reception.welcomed.get(timeout=PATIENCE_S)  # the oldest has left, when its while was over
    assert is_hung_up(speaking[0])
    speaking[-1].sendall(HELLO[1:])
    reception.welcomed.get(timeout=PATIENCE_S)


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_without_descriptors_it_waits_and_hears(reception: Reception, code: int) -> None:
    half = reception.connect(HELLO[:2])
    reception.connect(HELLO)
    reception.welcomed.get(timeout=PATIENCE_S)  # and so the one before is let in
    reception.door.failures = [OSError(code, "none left") for _ in range(3)]
    half.sendall(HELLO[2:])
    reception.connect(HELLO)
    for _ in range(2):
        reception.welcomed.get(timeout=PATIENCE_S)
    tries = reception.door.tries
    assert len(tries) == 6
    assert tries[-1] - tries[-4] >= 3 * SHUT_S  # it did not spin


@pytest.mark.parametrize("failure", [MemoryError(), ValueError("odd"), OSError("full")])
def test_what_goes_wrong_with_one_peer_is_not_the_end(
    reception: Reception, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    reception.failures = [failure]
    with caplog.at_level(logging.ERROR):
        assert is_hung_up(reception.connect(HELLO))
    assert "a peer is sent away" in caplog.text
    if not isinstance(failure, OSError):
        reception.door.failures = [failure]
    reception.connect(HELLO)
    reception.welcomed.get(timeout=PATIENCE_S)


@pytest.fixture(params=["unix", "tcp"])
def listener(request: pytest.FixtureRequest, directory: str) -> Iterator[Listener]:
    credentials = CREDENTIALS if request.param == "unix" else encrypting()
    service = MethodService("server", credentials, ServerConfig(), None, None)
    service.bind("echo", lambda value: value)
    one = transports.get(request.param).listen(service, ListenOptions(directory=directory))
    one.start()
    yield one
    one.stop(PATIENCE_S)


@functools.cache
def encrypting() -> Credentials:
    return Credentials.create()


def test_clients_are_served_beside_many_who_are_silent(listener: Listener) -> None:
    scheme, _, place = listener.endpoint.partition(":")
    credentials = CREDENTIALS if scheme == "unix" else encrypting()
    with contextlib.ExitStack() as stack:

        def connect() -> socket.socket:
            if scheme == "unix":
                sock = stack.enter_context(socket.socket(socket.AF_UNIX))
                sock.connect(place)
            else:
                host, _, port = place.rpartition(":")
                sock = stack.enter_context(socket.create_connection((host, int(port))))
            return sock

        for _ in range(STRANGERS):
            connect()
        one = client_at(listener.endpoint, credentials, ClientConfig(call_timeout=PATIENCE_S))
        assert one.echo(1) == 1
        for _ in range(STRANGERS):
            connect()
        calls = [one.futures.echo(number) for number in range(100)]
        assert [call.result(PATIENCE_S) for call in calls] == list(range(100))
        one._peer.close()  # noqa: SLF001 - sooner than garbage collection would


_EXHAUSTED = """
import os, resource, sys
from launchpad_lite import courier

server = courier.Server()
server.Bind("echo", lambda value: value)
server.Start()
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
held = []
while True:
    try:
        held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        break
print(server.endpoints[0], flush=True)
sys.stdin.readline()
for each in held:
    os.close(each)
sys.stdin.readline()
server.Stop()
"""


def test_a_server_goes_on_when_descriptors_come_back() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _EXHAUSTED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        endpoint = process.stdout.readline().strip()
        one = client_at(endpoint, None, ClientConfig(call_timeout=PATIENCE_S))
        waiting = one.futures.echo(1)
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect(endpoint.removeprefix("unix:"))
            process.stdin.write("give back\n")
            process.stdin.flush()
            assert waiting.result(PATIENCE_S) == 1
        one._peer.close()  # noqa: SLF001 - sooner than garbage collection would
        process.stdin.write("stop\n")
    assert process.returncode == 0


def test_a_start_that_comes_too_late_is_no_start(
    directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal has interrupted it, say, when there was a thread that had not begun yet."""
    door = Door(directory)
    greeter = Greeter(door, "lp-test-late", len(HELLO), lambda *_: None, lambda *_: None)
    failures: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    greeter.stop()
    greeter.start()
    for thread in threading.enumerate():
        if thread.name == "lp-test-late":
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
    assert not failures
    assert not door.tries
