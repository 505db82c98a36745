"""Calls that are answered later: those of batched methods, which wait for each other."""

from __future__ import annotations

import concurrent.futures
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from launchpad_lite.courier.batching import batched_handler
from launchpad_lite.errors import BatchError, DeadlineExceeded, Stopped, Unavailable
from launchpad_lite.testing.conformance.transport_parts.base import (
    PATIENCE_S,
    SHORT_S,
    TransportSuite,
    in_thread,
)
from launchpad_lite.testing.conformance.transport_parts.values import echo

if TYPE_CHECKING:
    from launchpad_lite.testing.conformance.transport_parts.base import Gate, Lab

SIZE = 8


@batched_handler(SIZE, timeout=PATIENCE_S)
def full(item: Any) -> Any:
    """Return a full batch's items: whoever is left alone waits too long."""
    return item


def soon(gate: Gate) -> Any:
    """Return a method that passes whatever has come through a gate."""

    @batched_handler(SIZE, timeout=0)
    def work(item: Any) -> Any:
        return gate.enter(item)

    return work


class BatchConformance(TransportSuite):
    """A batched method keeps no thread of the server, and answers each caller by itself."""

    def test_a_batch_fills_on_a_server_of_one_thread(self, lab: Lab) -> None:
        served = lab.serve(full, echo, threads=1)
        caller, other = lab.connect(served), lab.connect(served)
        calls = [caller.submit("full", np.full(3, number)) for number in range(SIZE - 1)]
        assert caller.call("echo", 5) == 5  # the thread is free
        assert other.call("full", np.full(3, 9)).tolist() == [9, 9, 9]
        rows = [call.result(PATIENCE_S).tolist() for call in calls]
        assert rows == [[number] * 3 for number in range(SIZE - 1)]

    def test_large_rows(self, lab: Lab) -> None:
        caller = lab.caller(full, threads=1)
        calls = [caller.submit("full", np.full(300_000, number)) for number in range(2 * SIZE)]
        for number, call in enumerate(calls):
            row = call.result(PATIENCE_S)
            assert row.shape == (300_000,)
            assert (row == number).all()
            row += 1  # it is the caller's own

    def test_an_exception_goes_to_every_caller(self, lab: Lab) -> None:
        @batched_handler(2, timeout=PATIENCE_S)
        def fail(items: Any) -> Any:
            raise KeyError(items)

        caller = lab.caller(fail, echo, threads=1)
        for _ in range(2):
            calls = [caller.submit("fail", 7) for _ in range(2)]
            errors = [call.exception(PATIENCE_S) for call in calls]
            assert [(type(error), error and error.args) for error in errors] == [
                (KeyError, ([7, 7],))
            ] * 2
        assert caller.call("echo", 1) == 1

    def test_arguments_that_do_not_fit(self, lab: Lab) -> None:
        caller = lab.caller(full, threads=1)
        calls = {size: caller.submit("full", np.zeros(size)) for size in (2, 3)}
        # the second fails, and over gRPC that may be either
        failed = next(concurrent.futures.as_completed(calls.values(), PATIENCE_S))
        odd, size = (2, 3) if failed is calls[2] else (3, 2)
        error = failed.exception(0.0)
        assert isinstance(error, BatchError)
        assert f"item is an array of shape ({odd},)" in str(error)
        assert isinstance(caller.failure("full"), TypeError)
        batch = [calls[size], *(caller.submit("full", np.zeros(size)) for _ in range(SIZE - 1))]
        assert [call.result(PATIENCE_S).tolist() for call in batch] == [[0.0] * size] * SIZE

    def test_a_result_that_cannot_be_sent_is_one_caller_s(self, lab: Lab) -> None:
        @batched_handler(2, timeout=PATIENCE_S)
        def locks(items: Any) -> Any:
            return [threading.Lock() if item else "sent" for item in items]

        caller = lab.caller(locks, threads=1)
        calls = [caller.submit("locks", item) for item in (True, False)]
        with pytest.raises(TypeError, match="cannot be sent"):
            calls[0].result(PATIENCE_S)
        assert calls[1].result(PATIENCE_S) == "sent"

    def test_callers_that_gave_up_disturb_nobody(self, lab: Lab) -> None:
        gate = lab.gate()
        served = lab.serve(soon(gate), echo, threads=2)
        caller, other = lab.connect(served), lab.connect(served)
        first = caller.submit("work", 0)
        gate.wait_for(1)
        with pytest.raises(DeadlineExceeded):
            caller.call("work", 1, timeout=SHORT_S)
        late = caller.submit("work", 2, timeout=SHORT_S)
        assert isinstance(late.exception(PATIENCE_S), DeadlineExceeded)
        hung_up = other.submit("work", 3)
        other.call("echo", 0)
        other.channel.close()
        assert isinstance(hung_up.exception(PATIENCE_S), Stopped)
        last = caller.submit("work", 4)
        caller.call("echo", 0)
        gate.open()
        assert [first.result(PATIENCE_S), last.result(PATIENCE_S)] == [0, 4]

    def test_a_server_that_stops_lets_a_batch_end(self, lab: Lab) -> None:
        gate = lab.gate()
        served = lab.serve(soon(gate), threads=1)
        caller = lab.connect(served)
        with in_thread(caller.call, "work", 1) as call:
            gate.wait_for(1)
            stopping = served.stop_beside()
            gate.open()
            assert call.result(PATIENCE_S) == 1
        stopping.join(PATIENCE_S)
        assert not stopping.is_alive()

    def test_a_server_that_stops_does_not_wait_for_ever(self, lab: Lab) -> None:
        gate = lab.gate()
        served = lab.serve(soon(gate), threads=1)
        caller = lab.connect(served)
        call = caller.submit("work", 1)
        gate.wait_for(1)
        served.stop(SHORT_S)
        error = call.exception(PATIENCE_S)
        assert isinstance(error, Unavailable)
        assert error.maybe_executed
