"""Calls that take too long."""

from __future__ import annotations

import numpy as np
import pytest

from launchpad_lite.errors import DeadlineExceeded
from launchpad_lite.testing.conformance.transport_parts.base import (
    PATIENCE_S,
    SHORT_S,
    Lab,
    TransportSuite,
)
from launchpad_lite.testing.conformance.transport_parts.values import echo


class DeadlineConformance(TransportSuite):
    """A call ends at its deadline, whatever it waits for, and the channel lives on."""

    def test_a_call_that_runs_too_long(self, lab: Lab) -> None:
        gate = lab.gate()
        caller = lab.caller(gate.enter, echo)
        with pytest.raises(DeadlineExceeded, match=r"server\.enter did not end within 0\.1 s"):
            caller.call("enter", timeout=SHORT_S)
        assert issubclass(DeadlineExceeded, TimeoutError)
        assert caller.call("echo", 1) == 1
        gate.open()
        assert caller.call("enter", 2) == 2

    def test_a_future_that_runs_too_long(self, lab: Lab) -> None:
        gate = lab.gate()
        caller = lab.caller(gate.enter, echo)
        late = caller.submit("enter", 1, timeout=SHORT_S)
        patient = caller.submit("enter", 2, timeout=PATIENCE_S)
        quick = caller.submit("echo", 3, timeout=PATIENCE_S)
        assert isinstance(late.exception(PATIENCE_S), DeadlineExceeded)
        assert "server.enter did not end within 0.1 s" in str(late.exception())
        assert not patient.done()
        gate.open()
        assert patient.result(PATIENCE_S) == 2
        assert quick.result(PATIENCE_S) == 3

    def test_a_call_that_waits_for_a_thread_too_long(self, lab: Lab) -> None:
        gate = lab.gate()
        caller = lab.caller(gate.enter, echo, threads=1)
        first = caller.submit("enter", 1)
        gate.wait_for(1)
        with pytest.raises(DeadlineExceeded):
            caller.call("echo", 2, timeout=SHORT_S)
        assert isinstance(caller.failure("echo", 3, timeout=SHORT_S), DeadlineExceeded)
        gate.open()
        assert first.result(PATIENCE_S) == 1
        assert caller.call("echo", 4) == 4

    def test_a_large_call_that_nobody_reads(self, lab: Lab) -> None:
        gate = lab.gate()
        caller = lab.caller(gate.enter, echo, threads=1)
        first = caller.submit("enter", 1)
        gate.wait_for(1)
        array = np.zeros(8 * 2**20, np.int8)
        with pytest.raises(DeadlineExceeded):
            caller.call("echo", array, timeout=SHORT_S)
        assert isinstance(caller.failure("echo", array, timeout=SHORT_S), DeadlineExceeded)
        gate.open()
        assert first.result(PATIENCE_S) == 1
        assert caller.call("echo", array).nbytes == array.nbytes
        assert caller.submit("echo", array).result(PATIENCE_S).nbytes == array.nbytes

    def test_deadlines_that_do_not_pass_leave_no_mark(self, lab: Lab) -> None:
        caller = lab.caller(echo)
        for number in range(5):
            assert caller.call("echo", number, timeout=PATIENCE_S) == number
            assert caller.call("echo", number, timeout=None) == number
            assert caller.submit("echo", number, timeout=10**6).result(PATIENCE_S) == number
