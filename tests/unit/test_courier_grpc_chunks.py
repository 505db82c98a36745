"""Large calls over gRPC: in pieces, in memory of their own, fetched once."""

from __future__ import annotations

import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

import launchpad_lite as lp
from launchpad_lite.config import ClientConfig, ServerConfig
from launchpad_lite.courier import frame, grpc_chunks, transports
from launchpad_lite.courier.client import client_at
from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.grpc_channel import FETCH
from launchpad_lite.courier.service import MethodService
from launchpad_lite.courier.transport import Listener, ListenOptions
from launchpad_lite.courier.typed import stream
from launchpad_lite.credentials import Credentials
from launchpad_lite.errors import DeadlineExceeded, PayloadTooLarge
from tests.unit.raw_grpc import RawClient

PATIENCE_S = 60.0
SHORT_S = 0.5
SOON_S = 30.0  # well below the time for which replies are held
CREDENTIALS = Credentials(token=bytes(range(32)))
LARGE = grpc_chunks.LARGE + 12345


def large() -> np.ndarray[Any, Any]:
    return np.arange(LARGE // 8 + 1)


class Three:
    """A stream of three large arrays."""

    def __init__(self) -> None:
        self._left = 3

    def __next__(self) -> np.ndarray[Any, Any]:
        self._left -= 1
        if self._left < 0:
            raise StopIteration
        return large() + self._left

    def close(self) -> None:
        self._left = 0


class Slow:
    """Methods with large results, and whether those are still held."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.made = threading.Semaphore(0)
        self.freed = threading.Semaphore(0)

    def make(self) -> np.ndarray[Any, Any]:
        array = large()
        weakref.finalize(array, self.freed.release)
        self.made.release()
        return array

    def late(self) -> np.ndarray[Any, Any]:
        self.opened.wait(PATIENCE_S)
        return self.make()

    def endless(self) -> Iterator[np.ndarray[Any, Any]]:
        while True:
            yield self.make()


@lp.batched_handler(batch_size=1)
def alone(value: Any) -> Any:
    return value


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def listener(slow: Slow) -> Iterator[Listener]:
    config = ServerConfig(thread_pool_size=2, max_payload_bytes=2 * LARGE)
    service = MethodService("server", CREDENTIALS, config, None, None)
    service.bind("echo", lambda value: value)
    service.bind("size", lambda value: value.nbytes)
    service.bind("batched", alone)
    service.bind("three", Three)
    service.bind("late", slow.late)
    service.bind("endless", slow.endless)
    one = transports.get("grpc").listen(service, ListenOptions())
    one.start()
    yield one
    one.stop(PATIENCE_S)


@pytest.fixture
def client(listener: Listener) -> Iterator[Any]:
    one = client_at(listener.endpoint, CREDENTIALS, ClientConfig())
    yield one
    one._peer.close()  # noqa: SLF001 - sooner than garbage collection would


def test_large_arrays_go_both_ways(client: Any) -> None:
    array = large()
    for result in (client.echo(array), client.batched(array)):
        assert result.flags.writeable
        np.testing.assert_array_equal(result, array)
    assert client.size(array) == array.nbytes
    assert client.echo(1) == 1


def test_large_futures_have_the_arrays_as_they_were(client: Any) -> None:
    client.echo(1)
    array = large()
    futures = [client.futures.echo(array), client.futures.size(array)]
    array[:] = 0
    np.testing.assert_array_equal(futures[0].result(PATIENCE_S), large())
    assert futures[1].result(PATIENCE_S) == array.nbytes


def test_large_values_of_streams(client: Any) -> None:
    values = [value[0] for value in stream(client.three)]
    assert values == [2, 1, 0]


def test_what_is_too_large_is_refused_before_it_is_sent_or_received(client: Any) -> None:
    with pytest.raises(PayloadTooLarge, match="exceed the limit"):
        client.echo(np.zeros(2 * LARGE, np.uint8))
    client._peer.connected().info = _without_limit(client)  # noqa: SLF001 - a client that lies
    with pytest.raises(PayloadTooLarge, match="exceeds the limit"):
        client.echo(np.zeros(2 * LARGE, np.uint8))
    assert client.echo(1) == 1


def _without_limit(client: Any) -> Any:
    import msgspec

    info = client._peer.connected().info  # noqa: SLF001 - as above
    return msgspec.structs.replace(info, max_payload_bytes=2**40)


def test_a_reply_is_fetched_once(listener: Listener) -> None:
    raw = RawClient(listener.endpoint, CREDENTIALS)
    assert raw.code(FETCH, bytes(16)) == grpc.StatusCode.NOT_FOUND
    raw.close()


def test_pieces_that_are_no_frame() -> None:
    pieces = frame.pack(frame.Kind.CALL, 0, Payload(b"x" * 5000, [bytes(3 * 2**20)]), method="m")
    cut = list(grpc_chunks.cut(pieces))
    assert max(map(len, cut)) <= 2**20
    found = grpc_chunks.read(iter(cut), 2**30)
    assert (found.method, len(found.content.buffers[0])) == ("m", 3 * 2**20)
    for broken in (cut[:-1], [*cut, b"more"], [], [b""], [b"garbage" * 9]):
        with pytest.raises(frame.ProtocolError):
            grpc_chunks.read(iter(broken), 2**30)
    with pytest.raises(PayloadTooLarge):
        grpc_chunks.read(iter(cut), 2**20)


def test_replies_are_held_until_they_are_fetched() -> None:
    held = grpc_chunks.HeldReplies()
    assert held.message([b"small", b"er"]) == b"smaller"
    held.wait(PATIENCE_S)
    piece = bytes(LARGE)
    message = held.message([piece])
    number = grpc_chunks.held_number(message)
    assert number is not None
    waiting = threading.Thread(target=held.wait, args=(PATIENCE_S,), name="lp-test", daemon=True)
    waiting.start()
    assert held.fetch(number) == [piece]
    assert held.fetch(number) is None
    waiting.join(PATIENCE_S)
    assert not waiting.is_alive()


def test_a_late_client_is_told_so(client: Any) -> None:
    late = client_at(client.address, CREDENTIALS, ClientConfig(call_timeout=1e-4))
    with pytest.raises(DeadlineExceeded):
        late.echo(large())
    late._peer.close()  # noqa: SLF001 - sooner than garbage collection would


def test_what_nobody_waits_for_is_not_held(client: Any, slow: Slow) -> None:
    hurried = client_at(client.address, CREDENTIALS, ClientConfig(call_timeout=SHORT_S))
    hurried.echo(1)
    with pytest.raises(DeadlineExceeded):
        hurried.late()
    slow.opened.set()
    assert slow.freed.acquire(timeout=SOON_S)
    hurried._peer.close()  # noqa: SLF001 - sooner than garbage collection would


def test_what_a_stream_s_client_left_is_not_held(client: Any, slow: Slow) -> None:
    values = stream(client.endless)
    next(values)
    assert slow.freed.acquire(timeout=SOON_S)  # that was fetched
    for _ in range(2):
        assert slow.made.acquire(timeout=SOON_S)
    values.close()
    assert slow.freed.acquire(timeout=SOON_S)  # the next, which was not


def test_a_reply_is_held_no_longer_than_its_client_waits() -> None:
    held = grpc_chunks.HeldReplies()
    number = grpc_chunks.held_number(held.message([bytes(LARGE)], 0.0))
    assert number is not None
    held.wait(PATIENCE_S)
    assert held.fetch(number) is None
    other = grpc_chunks.held_number(held.message([bytes(LARGE)]))
    assert other is not None
    held.drop([number, other])
    assert held.fetch(other) is None


# Both ends in one process, and by how much its memory grows at most beyond the array as it arrives.
PEAK = """
from pathlib import Path
import numpy as np
from launchpad_lite import courier

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

server = courier.Server(port=0)
server.Bind("size", lambda value: value.nbytes)
server.Start()
client = courier.Client(f"grpc:127.0.0.1:{server.port}")
array = np.ones(2**28, np.uint8)
client.size(array[: 2**25])
before = peak()
assert client.size(array) == array.nbytes
print(peak() - before - array.nbytes)
server.Stop()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells of the peak there only")
def test_a_large_array_needs_little_memory_beside_itself() -> None:
    root = Path(__file__).resolve().parents[2]
    output = subprocess.check_output([sys.executable, "-c", PEAK], cwd=root, text=True)
    assert int(output) < 2**27  # half of it; what waits in gRPC is bounded
