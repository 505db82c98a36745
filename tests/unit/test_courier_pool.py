"""The threads that run calls."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, NoReturn

import pytest

from launchpad_lite import context as node_context
from launchpad_lite.courier.pool import DaemonExecutor
from tests.unit.fake_scope import fake_context

PATIENCE_S = 30.0


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def pool() -> Iterator[DaemonExecutor]:
    executor = DaemonExecutor(3, "lp-test-pool", None)
    yield executor
    executor.shutdown(wait=True)


def running() -> int:
    return sum(thread.name == "lp-test-pool" for thread in threading.enumerate())


def test_results_and_exceptions(pool: DaemonExecutor) -> None:
    def fail(kind: type[BaseException]) -> NoReturn:
        raise kind("no")

    assert pool.submit(divmod, 7, 2).result(PATIENCE_S) == (3, 1)
    assert pool.submit(int, "11", base=2).result(PATIENCE_S) == 3
    for kind in (ValueError, SystemExit, KeyboardInterrupt):
        assert type(pool.submit(fail, kind).exception(PATIENCE_S)) is kind
    assert list(pool.map(abs, [-1, -2])) == [1, 2]


def test_a_thread_is_used_again(pool: DaemonExecutor) -> None:
    names: set[int] = set()
    done = threading.Semaphore(0)
    for _ in range(20):
        future = pool.submit(threading.get_ident)
        future.add_done_callback(lambda _: done.release())
        names.add(future.result(PATIENCE_S))
        done.acquire()
    assert len(names) <= 3


def test_never_more_threads_than_asked_for(pool: DaemonExecutor, gate: threading.Event) -> None:
    lock = threading.Lock()
    active: set[int] = set()
    most = 0
    entered = threading.Semaphore(0)

    def work(number: int) -> int:
        nonlocal most
        with lock:
            active.add(number)
            most = max(most, len(active))
        entered.release()
        gate.wait(PATIENCE_S)
        with lock:
            active.discard(number)
        return number

    futures = [pool.submit(work, number) for number in range(10)]
    for _ in range(3):
        assert entered.acquire(timeout=PATIENCE_S)
    assert running() == 3
    gate.set()
    assert [future.result(PATIENCE_S) for future in futures] == list(range(10))
    assert most == 3


def test_work_is_never_lost(pool: DaemonExecutor) -> None:
    with ThreadPoolExecutor(8) as threads:
        futures = list(threads.map(lambda number: pool.submit(abs, -number), range(2000)))
    assert [future.result(PATIENCE_S) for future in futures] == list(range(2000))


def test_threads_belong_to_the_node() -> None:
    node = fake_context()
    pool = DaemonExecutor(1, "lp-test-pool", node)
    assert pool.submit(node_context.get_context).result(PATIENCE_S) is node
    pool.shutdown()


def test_shutting_down_lets_what_waits_run(pool: DaemonExecutor, gate: threading.Event) -> None:
    futures = [pool.submit(gate.wait, PATIENCE_S) for _ in range(5)]
    pool.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="lp-test-pool was shut down"):
        pool.submit(abs, 1)
    gate.set()
    pool.shutdown(wait=True)
    assert all(future.result(0) for future in futures)
    assert running() == 0


def test_shutting_down_can_cancel_what_waits(pool: DaemonExecutor, gate: threading.Event) -> None:
    started = threading.Barrier(4)

    def work() -> bool:
        started.wait(PATIENCE_S)
        return gate.wait(PATIENCE_S)

    futures = [pool.submit(work) for _ in range(3)]
    started.wait(PATIENCE_S)
    waiting = [pool.submit(abs, 1) for _ in range(5)]
    pool.shutdown(wait=False, cancel_futures=True)
    for future in waiting:
        with pytest.raises(CancelledError):
            future.result(PATIENCE_S)
    gate.set()
    assert all(future.result(PATIENCE_S) for future in futures)


def test_cancelling_while_threads_take_work(gate: threading.Event) -> None:
    for _ in range(20):
        pool = DaemonExecutor(2, "lp-test-pool", None)
        futures: list[Future[Any]] = [pool.submit(abs, number) for number in range(50)]
        pool.shutdown(wait=True, cancel_futures=True)
        assert all(future.done() for future in futures)


def test_joining_has_an_end(pool: DaemonExecutor, gate: threading.Event) -> None:
    future = pool.submit(gate.wait, PATIENCE_S)
    pool.shutdown(wait=False)
    assert not pool.join(0.01)
    gate.set()
    assert pool.join(PATIENCE_S)
    assert future.result(0)


def test_a_thread_may_shut_its_own_pool_down(pool: DaemonExecutor) -> None:
    assert pool.submit(pool.shutdown).exception(PATIENCE_S) is None


def test_where_there_can_be_no_more_threads(
    pool: DaemonExecutor, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pool.submit(gate.wait, PATIENCE_S)

    def refuse(thread: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        second = pool.submit(abs, -2)  # the first thread comes to it
        empty = DaemonExecutor(1, "lp-test-pool", None)
        with pytest.raises(RuntimeError, match="can't start"):
            empty.submit(abs, 1)
        empty.shutdown()
    gate.set()
    assert first.result(PATIENCE_S)
    assert second.result(PATIENCE_S) == 2


def test_a_method_that_hangs_does_not_keep_a_program_from_ending() -> None:
    script = (
        "import threading\n"
        "from launchpad_lite.courier.pool import DaemonExecutor\n"
        "entered = threading.Event()\n"
        "def hang():\n"
        "    entered.set()\n"
        "    threading.Event().wait()\n"
        "DaemonExecutor(1, 'lp-test-pool', None).submit(hang)\n"
        "entered.wait()\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=PATIENCE_S)
