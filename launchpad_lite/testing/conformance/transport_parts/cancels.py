"""Calls that nobody waits for any more: they do not begin, or can know it."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

import pytest

from launchpad_lite.courier.batching import batched_handler
from launchpad_lite.courier.call_context import get_call_context
from launchpad_lite.errors import CallError, DeadlineExceeded, Stopped
from launchpad_lite.testing.conformance.transport_parts.asyncs import Meeting, acquire, later
from launchpad_lite.testing.conformance.transport_parts.base import (
    PATIENCE_S,
    SHORT_S,
    Caller,
    Gate,
    Lab,
    TransportSuite,
    in_thread,
)
from launchpad_lite.testing.conformance.transport_parts.values import echo


class Patient:
    """A method that goes on until it hears that nobody waits."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.cancelled = threading.Semaphore(0)
        self._over = threading.Event()

    def end(self) -> None:
        """Let the method return: its client knows by now."""
        self._over.set()

    def work(self) -> bool:
        """Return whether it was told."""
        context = get_call_context()
        told = threading.Event()
        context.on_cancel(told.set)
        self.entered.release()
        heard = told.wait(PATIENCE_S) and context.cancelled()
        if heard:
            self.cancelled.release()
        self._over.wait(PATIENCE_S)
        return heard


class Counter:
    """A method that counts its calls."""

    def __init__(self) -> None:
        self.count = 0

    def work(self) -> int:
        self.count += 1
        return self.count


def _busy(lab: Lab, counter: Counter) -> tuple[Gate, Caller, Future[Any]]:
    """Return a server's gate and its client, when its only thread is inside."""
    gate = lab.gate()
    caller = lab.caller(gate.enter, counter.work, threads=1)
    first = caller.submit("enter")
    gate.wait_for(1)
    return gate, caller, first


class CancelConformance(TransportSuite):
    """A call ends on the server when it ends at the client."""

    def test_a_call_that_is_over_before_its_turn_does_not_begin(self, lab: Lab) -> None:
        counter = Counter()
        gate, caller, first = _busy(lab, counter)
        error = caller.failure("work", timeout=SHORT_S)
        assert isinstance(error, DeadlineExceeded)
        with pytest.raises(DeadlineExceeded):
            caller.call("work", timeout=SHORT_S)
        gate.open()
        first.result(PATIENCE_S)
        assert caller.call("work") == 1

    def test_a_call_that_is_cancelled_before_its_turn_does_not_begin(self, lab: Lab) -> None:
        counter = Counter()
        gate = lab.gate()
        served = lab.serve(gate.enter, counter.work, threads=1)
        caller = lab.connect(served)
        first = caller.submit("enter")
        gate.wait_for(1)
        cancel = caller.submit_to(_unused(), "work")
        served.wait_until_waiting(1)
        caller.submit_to(_unused(), "work")()
        cancel()
        served.wait_until_waiting(0)
        gate.open()
        first.result(PATIENCE_S)
        assert caller.submit("work").result(PATIENCE_S) == 1

    @pytest.mark.parametrize("way", ["call", "submit"])
    def test_a_running_call_hears_that_its_time_is_over(self, lab: Lab, way: str) -> None:
        patient = Patient()
        caller = lab.caller(patient.work)
        if way == "call":
            with pytest.raises(DeadlineExceeded):
                caller.call("work", timeout=SHORT_S)
        else:
            assert isinstance(caller.failure("work", timeout=SHORT_S), DeadlineExceeded)
        acquire(patient.cancelled)
        patient.end()

    def test_a_running_call_hears_that_it_is_cancelled(self, lab: Lab) -> None:
        patient = Patient()
        caller = lab.caller(patient.work, echo)
        cancel = caller.submit_to(_unused(), "work")
        acquire(patient.entered)
        assert caller.submit("echo", 1).result(PATIENCE_S) == 1
        cancel()
        acquire(patient.cancelled)
        patient.end()

    def test_a_running_task_is_cancelled(self, lab: Lab) -> None:
        meeting = Meeting(2)
        caller = lab.caller(meeting.meet, later)
        cancel = caller.submit_to(_unused(), "meet")
        acquire(meeting.entered)
        cancel()
        acquire(meeting.cancelled)
        assert caller.call("later", 1) == 1

    def test_a_running_call_hears_that_its_client_is_gone(self, lab: Lab) -> None:
        patient = Patient()
        served = lab.serve(patient.work)
        one, other = lab.connect(served), lab.connect(served)
        with in_thread(_ends, one, "work") as waiting:
            acquire(patient.entered)
            call = other.submit("work")
            acquire(patient.entered)
            one.channel.close()
            other.channel.close()
            assert isinstance(waiting.result(PATIENCE_S), Stopped)
        assert isinstance(call.exception(PATIENCE_S), Stopped)
        acquire(patient.cancelled, 2)
        patient.end()

    def test_a_batch_leaves_out_what_is_cancelled(self, lab: Lab) -> None:
        gate = lab.gate()
        batches: list[list[int]] = []

        @batched_handler(4, timeout=0)
        def work(item: list[int]) -> list[int]:
            batches.append(item)
            gate.enter()
            return item

        caller = lab.caller(work, echo)
        first = caller.submit("work", 0)
        gate.wait_for(1)
        cancels = [caller.submit_to(_unused(), "work", number) for number in (1, 2)]
        last = caller.submit("work", 3)
        for cancel in cancels:
            cancel()
        assert caller.submit("echo", 1).result(PATIENCE_S) == 1  # the cancels have come by now
        gate.open()
        assert first.result(PATIENCE_S) == 0
        assert last.result(PATIENCE_S) == 3
        assert batches == [[0], [3]]

    def test_a_batch_is_cancelled_when_all_its_calls_are(self, lab: Lab) -> None:
        entered, told = threading.Semaphore(0), threading.Event()
        seen: Future[bool] = Future()

        @batched_handler(2, timeout=PATIENCE_S)
        def work(item: list[int]) -> list[int]:
            context = get_call_context()
            context.on_cancel(told.set)
            entered.release()
            seen.set_result(told.wait(PATIENCE_S) and context.cancelled())
            return item

        caller = lab.caller(work)
        first, second = (caller.submit_to(_unused(), "work", number) for number in (1, 2))
        acquire(entered)
        first()
        assert not told.wait(SHORT_S)
        second()
        assert seen.result(PATIENCE_S)

    def test_what_is_told_after_the_end_is_not_heard(self, lab: Lab) -> None:
        contexts: list[Any] = []

        def work() -> None:
            context = get_call_context()
            context.on_cancel(lambda: contexts.append("told"))
            contexts.append(context)

        caller = lab.caller(work)
        caller.call("work", timeout=PATIENCE_S)
        caller.submit("work").result(PATIENCE_S)
        caller.channel.close()
        assert "told" not in contexts
        assert len(contexts) == 2


def _ends(caller: Caller, method: str) -> Exception | None:
    try:
        caller.call(method, timeout=None)
    except (CallError, Stopped) as error:
        return error
    return None


def _unused() -> Future[Any]:
    return Future()
