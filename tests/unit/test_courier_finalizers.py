"""A garbage collection may come anywhere, and waits for nobody."""

from __future__ import annotations

import ast
import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite import courier
from launchpad_lite.courier import finalizers
from tests.unit.courier_bench import PATIENCE_S
from tests.unit.scarce import await_descriptors, descriptors, no_more_threads

PACKAGE = Path(lp.__file__).parent

# Who adds one has read what `finalizers` says. The callbacks: borrowing's writes a byte, that of
# question closes descriptors, the others are `finalizers.later`.
KNOWN = {
    "courier/borrowing.py: ref",
    "courier/client.py: finalize",
    "courier/client_pool.py: finalize",
    "courier/members.py: __del__",
    "courier/memfd.py: __del__",
    "courier/stream.py: __del__",
    "replay/service/prefetch.py: finalize",
    "replay/service/server.py: finalize",
    "replay/service/trajectory_writer.py: finalize",
    "runtime/question.py: finalize",
}


def test_each_finalizer_is_known() -> None:
    found: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        place, text = str(path.relative_to(PACKAGE)), path.read_text()
        if "__del__" not in text and "weakref." not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.name == "__del__":
                found.add(f"{place}: __del__")
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name, many = node.func.attr, len(node.args) > 1
                if ast.unparse(node.func.value) == "weakref" and (name == "finalize" or many):
                    found.add(f"{place}: {name}")
    assert found == KNOWN


def test_what_needs_a_lock_waits_for_it_elsewhere() -> None:
    lock, done = threading.Lock(), threading.Event()

    def need() -> None:
        with lock:
            done.set()

    with lock:
        finalizers.later(need)
    assert done.wait(PATIENCE_S)


def test_without_a_thread_the_next_finalizer_does_it(caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Semaphore(0)

    def fail() -> None:
        done.release()
        raise ValueError("of the first")

    with no_more_threads():
        finalizers.later(fail)
    assert not done.acquire(blocking=False)
    finalizers.later(done.release)
    for _ in range(2):
        assert done.acquire(timeout=PATIENCE_S)
    assert "of the first" in caplog.text


def count() -> Iterator[int]:
    yield from range(1000)


@pytest.fixture
def eager() -> Iterator[None]:
    """Garbage is collected with each new object."""
    before = gc.get_threshold()
    gc.set_threshold(1)
    yield
    gc.set_threshold(*before)


def test_collections_in_the_midst_of_calls(eager: None) -> None:
    """Clients, futures and streams end in cycles, wherever a thread happens to be."""
    with_garbage: list[BaseException] = []
    server = courier.Server()
    server.Bind("echo", lambda value: value)
    server.Bind("count", count)
    server.Start()

    def work() -> None:
        try:
            for number in range(12):
                client: Any = courier.Client(server.address, call_timeout=PATIENCE_S)
                early = client.futures.echo(number)  # before it is connected
                assert client.echo(number) == number
                stream = lp.stream(client.count)
                assert next(stream) == 0
                late = client.futures.echo(number)
                ring: list[Any] = [client, stream, early, late]
                ring.append(ring)
                del client, stream, ring
                # both end before the server does, or they would be made again and wait for another
                assert early.result(PATIENCE_S) == late.result(PATIENCE_S) == number
        except BaseException as error:
            with_garbage.append(error)

    workers = [threading.Thread(target=work, daemon=True) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE_S)
        assert not worker.is_alive(), "a collection waits for a lock"
    assert not with_garbage
    gc.collect()
    server.Stop()


def test_a_client_that_is_dropped_lets_go_of_its_connection() -> None:
    with_server = courier.Server()
    with_server.Bind("echo", lambda value: value)
    with_server.Start()
    before = descriptors()
    for number in range(5):
        client: Any = courier.Client(with_server.address)
        assert client.futures.echo(number).result(PATIENCE_S) == number
        del client
    gc.collect()
    await_descriptors(before)
    with_server.Stop()
