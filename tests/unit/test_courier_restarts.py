"""Clients outlive their servers: killed at any moment, and started again, here or elsewhere."""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import launchpad_lite as lp
from launchpad_lite import courier
from launchpad_lite.config import ClientConfig
from tests.unit.courier_bench import PATIENCE_S, Bench
from tests.unit.killable import RUN_NAME, Killable

SHORT_S = 0.2
NO_WAIT = ClientConfig(wait_for_ready=False)


class Killing:
    """A run whose server is killed again and again."""

    def __init__(self, scheme: str, ran: Path) -> None:
        self.bench = Bench(scheme)
        self.scheme = scheme
        self.ran = ran
        self.stack = contextlib.ExitStack()
        self.stack.callback(self.bench.close)

    def start(self, name: str = RUN_NAME) -> Killable:
        """Start a server that nobody is told of."""
        server = Killable(self.scheme, str(self.bench.run.socket_dir), self.ran, name)
        self.stack.callback(server.kill)
        return server

    def publish(self, name: str = RUN_NAME) -> Killable:
        server = self.start(name)
        self.bench.run.move(name, *server.endpoints)
        return server

    def client(self, config: ClientConfig | None = None) -> Any:
        return self.bench.client(config, RUN_NAME)

    def counts(self) -> collections.Counter[str]:
        return collections.Counter(self.ran.read_text().split())


@pytest.fixture(params=["unix", "tcp", "grpc"])
def killing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Killing]:
    one = Killing(request.param, tmp_path / "ran")
    with one.stack:
        yield one


def failure(call: Future[Any]) -> lp.Unavailable:
    error = call.exception(PATIENCE_S)
    assert isinstance(error, lp.Unavailable), repr(error)
    return error


def notice_death(killing: Killing, *clients: Any) -> None:
    """Wait until clients know that the server was killed.

    Over a network they hear of it a moment later, and cannot tell whether what they sent meanwhile
    has arrived.
    """
    for client in () if killing.scheme == "unix" else clients:
        while True:
            try:
                client.echo(1)
            except lp.Unavailable as error:
                if error.maybe_executed:
                    continue
            except lp.DeadlineExceeded:
                pass
            break


def test_a_server_that_is_stopped_and_replaced_keeps_no_new_call_waiting(killing: Killing) -> None:
    first = killing.publish()
    client = killing.client()
    held = client.futures.hold()
    first.wait_for_holds(1)
    os.kill(first.pid, signal.SIGSTOP)
    second = killing.publish()
    assert client.whoami() == second.pid
    assert client.futures.whoami().result(PATIENCE_S) == second.pid
    assert not held.done()
    first.kill()
    assert failure(held).maybe_executed


def test_calls_under_way_may_have_run_and_new_ones_wait(killing: Killing) -> None:
    server = killing.publish()
    client = killing.client()
    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(client.hold) for _ in range(2)]
        calls += [client.futures.hold() for _ in range(2)]
        server.wait_for_holds(4)
        queued = {f"queued-{index}" for index in range(3)}
        last = [client.futures.work(key) for key in queued]
        server.kill()
        assert all(failure(call).maybe_executed for call in calls)
        new = [threads.submit(client.echo, 1), client.futures.echo(np.ones(3))]
        second = killing.publish()
        assert new[0].result(PATIENCE_S) == 1
        assert new[1].result(PATIENCE_S).sum() == 3
    for call in last:  # one that had not left yet when the server was killed has waited as well
        if call.exception(PATIENCE_S) is None:
            queued.remove(call.result())
        else:
            assert failure(call).maybe_executed
    ran = killing.counts()
    assert all(ran[key] == 0 for key in queued)
    assert all(count == 1 for count in ran.values())
    assert client.whoami() == second.pid


def test_idle_connections_to_a_killed_server_are_not_used(killing: Killing) -> None:
    server = killing.publish()
    sync, futures = killing.client(), killing.client()
    with ThreadPoolExecutor(8) as threads:  # so that there are several connections
        assert list(threads.map(sync.echo, range(50))) == list(range(50))
    assert futures.futures.echo(1).result(PATIENCE_S) == 1
    server.kill()
    second = killing.publish()
    notice_death(killing, sync, futures)
    assert sync.whoami() == second.pid
    assert futures.futures.whoami().result(PATIENCE_S) == second.pid


def test_without_a_server_calls_end_with_their_deadline_and_have_not_run(killing: Killing) -> None:
    server = killing.publish()
    patient, hasty = killing.client(ClientConfig(call_timeout=SHORT_S)), killing.client(NO_WAIT)
    assert hasty.echo(1) == 1
    server.kill()
    notice_death(killing, patient, hasty)
    for client, error in ((patient, lp.DeadlineExceeded), (hasty, lp.Unavailable)):
        with pytest.raises(error) as caught:
            client.work("sync")
        if isinstance(caught.value, lp.Unavailable):
            assert not caught.value.maybe_executed
        assert isinstance(client.futures.work("future").exception(PATIENCE_S), error)
    assert not killing.ran.read_text()


def test_a_server_that_does_not_shake_hands_is_given_up_for_its_successor(
    killing: Killing,
) -> None:
    """It accepts connections, and is silent: stopped by a debugger, or swapping."""
    family = socket.AF_UNIX if killing.scheme == "unix" else socket.AF_INET
    with socket.socket(family) as silent:
        if killing.scheme == "unix":
            place = f"{killing.bench.run.socket_dir}/silent"
            silent.bind(place)
        else:
            silent.bind(("127.0.0.1", 0))
            place = f"127.0.0.1:{silent.getsockname()[1]}"
        silent.listen()
        killing.bench.run.move(RUN_NAME, f"{killing.scheme}:{place}")
        client = killing.client(ClientConfig(call_timeout=SHORT_S))
        with pytest.raises(lp.DeadlineExceeded):
            client.echo(1)
        assert isinstance(client.futures.echo(1).exception(PATIENCE_S), lp.DeadlineExceeded)
        killing.publish()
        patient = killing.client(ClientConfig(call_timeout=PATIENCE_S))
        assert patient.echo(1) == patient.futures.echo(1).result(PATIENCE_S) == 1


def test_a_stream_ends_with_its_server_and_the_next_finds_the_new_one(killing: Killing) -> None:
    first = killing.publish()
    client = killing.client()
    stream = lp.stream(client.count)
    assert [next(stream) for _ in range(100)] == list(range(100))
    first.kill()
    with pytest.raises(lp.Unavailable) as caught:  # after what had come before
        collections.deque(stream, maxlen=0)
    assert caught.value.maybe_executed
    second = killing.publish()
    again = lp.stream(client.count)
    assert [next(again) for _ in range(100)] == list(range(100))
    assert client.whoami() == second.pid
    again.close()


def test_a_pool_goes_on_without_a_killed_server_and_takes_in_its_successor(
    killing: Killing,
) -> None:
    names = ("server/0", "server/1")
    killed, other = (killing.publish(name) for name in names)
    config = ClientConfig(call_timeout=PATIENCE_S)
    pool = lp.pool([killing.bench.client(config, name) for name in names])
    _await_members(pool, {killed.pid, other.pid})
    held = [pool.futures.hold() for _ in names]
    killed.wait_for_holds(1)
    other.wait_for_holds(1)
    killed.kill()
    done = next(as_completed(held, PATIENCE_S))
    assert failure(done).maybe_executed
    _await_members(pool, {other.pid})
    successor = killing.publish(names[0])
    _await_members(pool, {successor.pid, other.pid})
    assert sum(call.done() for call in held) == 1


def _await_members(pool: Any, pids: set[int]) -> None:
    """Wait until just these servers answer a pool's calls."""
    deadline = time.monotonic() + PATIENCE_S
    found: set[int] = set()
    while found != pids:
        assert time.monotonic() < deadline, f"{found} instead of {pids}"
        with contextlib.suppress(lp.Unavailable):
            found = {pool.whoami() for _ in range(2 * len(pids) + 2)}


def test_a_client_follows_its_server_to_another_transport(tmp_path: Path) -> None:
    unix, grpc = (Killing(scheme, tmp_path / "ran") for scheme in ("unix", "grpc"))
    with unix.stack, grpc.stack:
        server = unix.publish()
        client = unix.client()
        assert client.whoami() == server.pid
        server.kill()
        moved = grpc.start()
        unix.bench.run.move(RUN_NAME, *moved.endpoints, host="another")
        assert client.whoami() == moved.pid
        assert client.futures.whoami().result(PATIENCE_S) == moved.pid


@pytest.mark.parametrize("how", ["name", "port"])
def test_a_server_that_is_used_alone_is_found_again(how: str, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    place = "alone" if how == "name" else port
    address = "alone" if how == "name" else f"localhost:{port}"
    client: Any = courier.Client(address, call_timeout=PATIENCE_S)
    futures: Any = courier.Client(address, call_timeout=PATIENCE_S)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            server = Killable(how, place, tmp_path / "ran")
            stack.callback(server.kill)
            assert client.whoami() == server.pid
            assert futures.futures.whoami().result(PATIENCE_S) == server.pid
            held = futures.futures.hold()
            server.wait_for_holds(1)
            server.kill()
            assert failure(held).maybe_executed


def test_each_call_runs_at_most_once_however_often_the_server_is_killed(killing: Killing) -> None:
    threads_count, restarts = 100, 10
    client = killing.client(ClientConfig(call_timeout=PATIENCE_S))
    enough = threading.Event()
    news = threading.Condition()
    answered: list[str] = []
    unsure: list[str] = []
    certain: list[str] = []

    def work(number: int) -> None:
        count = 0
        while not enough.is_set():
            key = f"{number}-{count}"
            count += 1
            try:
                if number % 2:
                    assert client.work(key) == key
                else:
                    assert client.futures.work(key).result() == key
                outcome = answered
            except lp.Unavailable as error:
                outcome = unsure if error.maybe_executed else certain
            with news:
                outcome.append(key)
                news.notify()

    with ThreadPoolExecutor(threads_count) as threads:
        server = killing.publish()
        workers = [threads.submit(work, number) for number in range(threads_count)]
        try:
            for _ in range(restarts):
                with news:
                    enough_calls = len(answered) + threads_count
                    news.wait_for(lambda: len(answered) >= enough_calls, PATIENCE_S)  # noqa: B023
                server.kill()
                server = killing.publish()
        finally:
            enough.set()
        for worker in workers:
            worker.result(PATIENCE_S)
    ran = killing.counts()
    assert set(ran.values()) == {1}
    assert set(answered) <= set(ran)
    assert not certain, "with wait_for_ready, such calls are made again"
    assert set(ran) <= {*answered, *unsure}
