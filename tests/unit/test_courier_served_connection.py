"""Calls on a server whose one thread reads and runs what is quick: it must never be held up."""

from __future__ import annotations

import pickle
import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from launchpad_lite.courier import frame
from tests.unit.test_courier_unix import PATIENCE_S, Bench, call, read

QUICK_CALLS = 50


@pytest.fixture
def directory() -> Iterator[str]:
    path = tempfile.mkdtemp(prefix="lp-", dir="/tmp")
    yield path
    shutil.rmtree(path)


class Gate:
    """Quick, until it is shut; then it waits."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Semaphore(0)
        self.inside = 0
        self.most_inside = 0
        self.shut = False

    def enter(self) -> int:
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        if self.shut:
            self.entered.release()
            assert self.open.wait(PATIENCE_S)
        self.inside -= 1
        return self.most_inside


def test_a_quick_method_may_wait_for_what_another_call_does(directory: str) -> None:
    bench, gate = Bench(directory), Gate()
    bench.service.bind("gate", gate.enter)
    bench.service.bind("unlock", gate.open.set)
    client, other = bench.client(), bench.client()
    with ThreadPoolExecutor(1) as threads:
        for _ in range(3):
            gate.shut = False
            for _ in range(QUICK_CALLS):
                client.gate()
                other.unlock()
            gate.open.clear()
            gate.shut = True
            waiting = threads.submit(client.gate)
            assert gate.entered.acquire(timeout=PATIENCE_S)
            other.unlock()
            waiting.result(PATIENCE_S)
    bench.close()


def test_calls_behind_one_that_waits_go_on(directory: str) -> None:
    """On the same connection, where they may have been received together with it."""
    bench, gate = Bench(directory), Gate()
    bench.service.bind("gate", gate.enter)
    client = bench.client()
    for _ in range(QUICK_CALLS):
        client.gate()
        client.echo(1)
    gate.open.clear()
    gate.shut = True
    sock = bench.greeted()
    sock.sendall(
        call("echo", 1, call_id=1)
        + call("gate", call_id=2)
        + b"".join(call("echo", number, call_id=number) for number in range(3, 9))
    )
    assert {read(sock).call_id for _ in range(7)} == {1, *range(3, 9)}
    gate.open.set()
    assert read(sock).call_id == 2
    bench.close()


def test_one_thread_means_one_method_at_a_time_though_it_waits(directory: str) -> None:
    bench, gate = Bench(directory, threads=1), Gate()
    bench.service.bind("gate", gate.enter)
    clients = [bench.client() for _ in range(4)]
    for _ in range(QUICK_CALLS):
        clients[0].gate()
    gate.open.clear()
    gate.shut = True
    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(client.gate) for client in clients]
        assert gate.entered.acquire(timeout=PATIENCE_S)
        gate.open.set()
        assert [each.result(PATIENCE_S) for each in waiting] == [1] * 4
    bench.close()


def test_who_does_not_read_keeps_nobody_waiting(directory: str) -> None:
    bench = Bench(directory)
    bench.service.bind("repeat", lambda byte: byte * 2**18)
    client = bench.client()
    for _ in range(QUICK_CALLS):
        client.repeat(b"x")
    sock = bench.greeted()
    sock.sendall(b"".join(call("repeat", bytes([number]), call_id=number) for number in range(99)))
    for number in range(QUICK_CALLS):
        assert client.echo(number) == number
    answers = [read(sock) for _ in range(99)]  # in any order, for one may be slow for once
    for number, answer in enumerate(sorted(answers, key=lambda answer: answer.call_id)):
        assert answer.call_id == number
        assert pickle.loads(answer.content.pickled) == bytes([number]) * 2**18
    sock.sendall(call("echo", 1))
    assert read(sock).kind == frame.Kind.RESULT
    bench.close()


def test_a_cancelled_call_that_waits_is_not_begun(directory: str) -> None:
    bench = Bench(directory, threads=1)
    called: list[int] = []
    bench.service.bind("note", called.append)
    sock = bench.greeted()
    sock.sendall(call("enter", call_id=1))
    assert bench.entered.acquire(timeout=PATIENCE_S)
    sock.sendall(call("note", 2, call_id=2) + call("note", 3, call_id=3))
    sock.sendall(b"".join(frame.pack_ids(frame.Kind.CANCEL, [2, 99])))
    other = bench.greeted()
    for _ in range(2):  # answered by the thread that reads, after it has read that
        other.sendall(call("unknown"))
        assert read(other).kind == frame.Kind.FAILURE
    other.sendall(call("note", 4))
    bench.opened.set()
    assert read(other).kind == frame.Kind.RESULT
    answers = {found.call_id: found.kind for found in (read(sock) for _ in range(2))}
    assert answers == {1: frame.Kind.RESULT, 3: frame.Kind.RESULT}
    assert sorted(called) == [3, 4]
    bench.close()


def test_a_client_that_calls_while_it_streams_and_reads_nothing(directory: str) -> None:
    bench = Bench(directory)

    def values() -> Iterator[bytes]:
        while True:
            yield bytes(2**18)

    bench.service.bind("values", values)
    client = bench.client()
    sock = bench.greeted()
    sock.sendall(call("values", kind=frame.Kind.STREAM) + call("echo", bytes(2**20)) * 3)
    for number in range(QUICK_CALLS):
        assert client.echo(number) == number
    sock.close()
    bench.close()


def test_requests_that_came_while_their_client_did_not_read_are_all_answered(
    directory: str,
) -> None:
    """They fill the server's buffer, whose end is no end of the connection."""
    bench = Bench(directory)
    sock = bench.greeted()
    count, value = 2000, bytes(2**13)
    requests = b"".join(call("echo", value, call_id=number) for number in range(count))
    with ThreadPoolExecutor(1) as threads:
        sent = threads.submit(sock.sendall, requests)
        answers = [read(sock) for _ in range(count)]
        sent.result(PATIENCE_S)
    assert {answer.call_id for answer in answers} == set(range(count))
    bench.close()
