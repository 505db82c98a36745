"""Where there can be no more threads: an error that says so, and all goes on afterwards."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite.config import ClientConfig
from launchpad_lite.courier import threads
from launchpad_lite.courier.deadlines import LINGER_S, Deadlines, deadlines
from launchpad_lite.errors import ResourceExhausted, Unavailable
from tests.unit.courier_bench import PATIENCE_S, Bench
from tests.unit.scarce import await_descriptors, descriptors, no_more_threads

LIMITED = ClientConfig(call_timeout=PATIENCE_S)


@pytest.fixture(params=["inproc", "unix"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    one = Bench(request.param)
    yield one
    one.close()


def numbers(count: int) -> Iterator[int]:
    yield from range(count)


async def sleep() -> str:
    await asyncio.sleep(0)
    return "slept"


@lp.batched_handler(batch_size=1)
def double(value: Any) -> Any:
    return [2 * each for each in value]


def until_none_is_called(name: str, pause_s: float = 0.001) -> None:
    """Let a thread that has nothing more to do end."""
    deadline = time.monotonic() + PATIENCE_S
    while any(thread.name.startswith(name) for thread in threading.enumerate()):
        assert time.monotonic() < deadline, name
        time.sleep(pause_s)


def exhausted(future: Any) -> None:
    error = future.exception(PATIENCE_S)
    assert isinstance(error, ResourceExhausted), repr(error)
    assert "can't start new thread" in str(error)


def test_the_error_says_what_to_do() -> None:
    with no_more_threads(), pytest.raises(ResourceExhausted) as caught:
        threads.start("lp-some", print)
    assert str(caught.value) == (
        "can't start new thread, for 'lp-some'. There are as many as there may be (ulimit -u, "
        "pids.max of the cgroup), or there is no memory for one more. Run fewer at a time, or "
        "raise the limit."
    )


def test_a_function_that_nobody_would_call_is_forgotten() -> None:
    mine, called = Deadlines(), threading.Event()
    with no_more_threads(), pytest.raises(ResourceExhausted):
        mine.call_later(0.0, called.set)
    assert len(mine) == 0
    other = threading.Event()
    mine.call_later(0.0, other.set)
    assert other.wait(PATIENCE_S)
    assert not called.is_set()


def test_futures(bench: Bench) -> None:
    bench.publish()
    client = bench.client()
    assert client.echo(1) == 1
    before = descriptors()
    with no_more_threads():
        if bench.run.schemes == ("unix",):  # or else the only thread is the server's
            exhausted(client.futures.echo(2))
        assert client.echo(3) == 3
    await_descriptors(before)
    assert client.futures.echo(4).result(PATIENCE_S) == 4


def test_futures_with_a_deadline(bench: Bench) -> None:
    bench.publish()
    client = bench.client(LIMITED)
    assert client.futures.echo(1).result(PATIENCE_S) == 1
    until_none_is_called("lp-deadlines", LINGER_S)
    with no_more_threads():
        for _ in range(3):
            exhausted(client.futures.enter())
        assert client.echo(2) == 2
    assert len(deadlines) == 0
    assert client.futures.echo(3).result(PATIENCE_S) == 3
    assert not bench.entered.acquire(blocking=False)


def test_waiting_for_a_server(bench: Bench) -> None:
    client = bench.client(LIMITED)
    with no_more_threads():
        exhausted(client.futures.echo(1))
    waiting = client.futures.echo(2)
    bench.publish()
    assert waiting.result(PATIENCE_S) == 2


def test_a_future_that_needs_a_writer() -> None:
    """Half of it has gone already, so its connection is of no use to others either."""
    bench = Bench("unix")
    bench.publish()
    client = bench.client()
    assert client.futures.echo(1).result(PATIENCE_S) == 1
    until_none_is_called("lp-connect")  # it sent that, and whoever submits meanwhile gets a writer
    running = client.futures.enter()
    bench.wait_for()
    with no_more_threads():
        exhausted(client.futures.echo(bytes(2**25)))
        error = running.exception(PATIENCE_S)
    assert isinstance(error, Unavailable)
    assert error.maybe_executed
    assert client.futures.echo(bytes(2**25)).result(PATIENCE_S) == bytes(2**25)
    bench.close()


def test_streams_async_methods_and_batches(bench: Bench) -> None:
    server = bench.publish()
    for function in (numbers, sleep, double):
        server.Bind(function.__name__, function)
    client = bench.client()
    assert client.echo(1) == 1
    before = descriptors()
    with no_more_threads():
        for call in (
            lambda: list(lp.stream(client.numbers, 3)),
            client.sleep,
            lambda: client.double(2),
        ):
            for _ in range(2):
                with pytest.raises(ResourceExhausted, match="can't start new thread"):
                    call()
        assert client.echo(2) == 2
    await_descriptors(before + 1)
    assert list(lp.stream(client.numbers, 3)) == [0, 1, 2]
    assert client.sleep() == "slept"
    assert client.double(2) == 4


def test_a_server_that_cannot_start(bench: Bench) -> None:
    if bench.run.schemes == ("inproc",):
        pytest.skip("it starts no thread")
    before = descriptors()
    with no_more_threads(), pytest.raises(RuntimeError, match="can't start new thread"):
        bench.publish()
    await_descriptors(before)
    bench.publish()
    assert bench.client().echo(1) == 1


def test_a_server_that_stops(bench: Bench) -> None:
    server = bench.publish()
    assert bench.client().echo(1) == 1
    with no_more_threads():
        server.Stop()
    server.Join()
