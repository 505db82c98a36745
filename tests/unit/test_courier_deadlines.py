"""Functions that are called at a time."""

from __future__ import annotations

import gc
import math
import queue
import threading
import weakref

import pytest

from launchpad_lite import context as node_context
from launchpad_lite.courier.deadlines import Deadlines
from tests.unit.fake_scope import fake_context

PATIENCE_S = 30.0
SHORT_S = 0.02


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "lp-deadlines"]


@pytest.fixture
def calls() -> queue.SimpleQueue[str]:
    return queue.SimpleQueue()


def test_functions_are_called_in_order(calls: queue.SimpleQueue[str]) -> None:
    deadlines = Deadlines()
    deadlines.call_later(3 * SHORT_S, lambda: calls.put("third"))
    deadlines.call_later(SHORT_S, lambda: calls.put("first"))
    deadlines.call_later(2 * SHORT_S, lambda: calls.put("second"))
    assert [calls.get(timeout=PATIENCE_S) for _ in range(3)] == ["first", "second", "third"]
    assert len(deadlines) == 0


def test_an_earlier_one_is_not_kept_waiting(calls: queue.SimpleQueue[str]) -> None:
    deadlines = Deadlines()
    cancel = deadlines.call_later(1e6, lambda: calls.put("late"))
    deadlines.call_later(SHORT_S, lambda: calls.put("soon"))
    assert calls.get(timeout=PATIENCE_S) == "soon"
    cancel()


@pytest.mark.parametrize("never", [2 * threading.TIMEOUT_MAX, math.inf])
def test_one_that_is_never_called_holds_up_no_other(
    never: float, calls: queue.SimpleQueue[str]
) -> None:
    """A client may ask for any time, and has the server's thread wait for it."""
    deadlines = Deadlines()
    cancel = deadlines.call_later(never, lambda: calls.put("never"))
    deadlines.call_later(SHORT_S, lambda: calls.put("soon"))
    assert calls.get(timeout=PATIENCE_S) == "soon"
    deadlines.call_later(SHORT_S, lambda: calls.put("then"))
    assert calls.get(timeout=PATIENCE_S) == "then"
    cancel()


def test_at_once(calls: queue.SimpleQueue[str]) -> None:
    Deadlines().call_later(0.0, lambda: calls.put("now"))
    assert calls.get(timeout=PATIENCE_S) == "now"


def test_a_cancelled_function_is_not_called(calls: queue.SimpleQueue[str]) -> None:
    deadlines = Deadlines()
    cancel = deadlines.call_later(SHORT_S, lambda: calls.put("cancelled"))
    deadlines.call_later(2 * SHORT_S, lambda: calls.put("called"))
    cancel()
    cancel()
    assert calls.get(timeout=PATIENCE_S) == "called"
    assert calls.empty()


def test_cancelling_too_late_does_nothing(calls: queue.SimpleQueue[str]) -> None:
    deadlines = Deadlines()
    cancel = deadlines.call_later(0.0, lambda: calls.put("called"))
    assert calls.get(timeout=PATIENCE_S) == "called"
    cancel()
    deadlines.call_later(0.0, lambda: calls.put("another"))
    assert calls.get(timeout=PATIENCE_S) == "another"


def test_a_function_that_raises_harms_no_other(
    calls: queue.SimpleQueue[str], caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("bad function")

    deadlines = Deadlines()
    deadlines.call_later(0.0, fail)
    deadlines.call_later(SHORT_S, lambda: calls.put("called"))
    assert calls.get(timeout=PATIENCE_S) == "called"
    assert "bad function" in caplog.text


def test_what_was_cancelled_takes_no_room(calls: queue.SimpleQueue[str]) -> None:
    deadlines = Deadlines()
    keep = deadlines.call_later(1e6, lambda: calls.put("kept"))
    for _ in range(10_000):
        deadlines.call_later(1e3, lambda: calls.put("cancelled"))()
    assert len(deadlines) < 100
    keep()


def test_what_was_cancelled_is_let_go() -> None:
    class Held:
        pass

    held = Held()
    reference = weakref.ref(held)
    deadlines = Deadlines()
    keep = deadlines.call_later(1e6, lambda: None)
    cancel = deadlines.call_later(1e3, lambda held=held: held)  # type: ignore[misc]
    cancel()
    del held
    gc.collect()
    assert reference() is None
    keep()


def test_the_thread_ends_when_nothing_is_left(calls: queue.SimpleQueue[str]) -> None:
    deadlines = Deadlines()
    before = set(threads())
    for _ in range(2):
        cancel = deadlines.call_later(1e6, lambda: calls.put("never"))
        (thread,) = set(threads()) - before
        cancel()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def test_calls_that_follow_each_other_share_the_thread(calls: queue.SimpleQueue[str]) -> None:
    deadlines = Deadlines()
    before = set(threads())
    seen: set[threading.Thread] = set()
    for _ in range(50):
        cancel = deadlines.call_later(1e6, lambda: calls.put("never"))
        seen |= set(threads()) - before
        cancel()
    assert len(seen) < 10  # one, unless the machine is very slow


def test_the_thread_belongs_to_no_node(calls: queue.SimpleQueue[str]) -> None:
    deadlines = Deadlines()
    node = fake_context()
    owned: list[threading.Thread] = []

    def run() -> None:  # a thread that has run a node belongs to it for good
        with node_context.running(node, whole_process=False):
            cancel = deadlines.call_later(1e6, lambda: None)
            owned.extend(node_context.threads_of(node.run_id))
        cancel()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert [thread for thread in owned if thread.name == "lp-deadlines"] == []
