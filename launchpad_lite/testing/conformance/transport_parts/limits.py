"""A slow method: how many of its calls run and wait, and that it does not keep others waiting."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

import pytest

from launchpad_lite.errors import ResourceExhausted
from launchpad_lite.testing.conformance.transport_parts.base import (
    PATIENCE_S,
    Lab,
    TransportSuite,
)
from launchpad_lite.testing.conformance.transport_parts.values import echo


def _ended(calls: list[Future[Any]]) -> Future[Any]:
    """Return one that has ended, as soon as there is one."""
    done, _ = wait(calls, PATIENCE_S, FIRST_COMPLETED)
    assert done
    return done.pop()


class LimitConformance(TransportSuite):
    """So many calls run, so many wait, and more are refused or stay with their clients."""

    def test_priority_waits_for_no_other_method(self, lab: Lab) -> None:
        gate = lab.gate()
        served = lab.listen(gate.enter, threads=1)
        served.service.bind("echo", echo, priority=True)
        served.listener.start()
        caller = lab.connect(served)
        slow = [caller.submit("enter", number) for number in range(5)]
        gate.wait_for(1)
        assert [caller.call("echo", number) for number in range(5)] == list(range(5))
        assert caller.submit("echo", 5).result(PATIENCE_S) == 5
        assert not any(call.done() for call in slow)
        gate.open()
        assert [call.result(PATIENCE_S) for call in slow] == list(range(5))

    def test_a_limited_method_keeps_no_other_waiting(self, lab: Lab) -> None:
        gate = lab.gate()
        served = lab.listen(echo, threads=2)
        served.service.bind("enter", gate.enter, limit=1)
        served.listener.start()
        caller = lab.connect(served)
        slow = [caller.submit("enter", number) for number in range(5)]
        gate.wait_for(1)
        assert [caller.call("echo", number) for number in range(5)] == list(range(5))
        assert caller.submit("echo", 5).result(PATIENCE_S) == 5
        gate.open()
        assert [call.result(PATIENCE_S) for call in slow] == list(range(5))
        assert gate.most == 1

    @pytest.mark.parametrize("way", ["call", "submit"])
    def test_more_than_may_wait_are_refused(self, lab: Lab, way: str) -> None:
        gate = lab.gate()
        caller = lab.connect(lab.serve(gate.enter, threads=1, waiting=1, when_full="fail"))
        first = caller.submit("enter")
        gate.wait_for(1)
        others = [caller.submit("enter") for _ in range(2)]  # one of them waits
        refused = _ended(others)
        errors = [refused.exception(), caller.failure("enter")]
        if way == "call":
            with pytest.raises(ResourceExhausted) as info:
                caller.call("enter")
            errors.append(info.value)
        for error in errors:
            assert isinstance(error, ResourceExhausted)
            assert "'enter' was not called" in str(error)
        gate.open()
        for call in (first, *others):
            if call is not refused:
                call.result(PATIENCE_S)
        assert gate.entered == 2
        caller.call("enter")

    def test_more_than_may_wait_stay_with_their_clients(self, lab: Lab) -> None:
        """Or are refused, by a transport that cannot leave them there."""
        gate = lab.gate()
        served = lab.serve(gate.enter, threads=1, waiting=1)
        callers = [lab.connect(served) for _ in range(3)]
        calls = [(n, caller.submit("enter", n)) for n in range(10) for caller in callers]
        gate.wait_for(1)
        assert lab.connect(served).channel.refresh(PATIENCE_S).methods == ("enter",)
        gate.open()
        for number, call in calls:
            error = call.exception(PATIENCE_S)
            assert error is None or isinstance(error, ResourceExhausted)
            assert error is not None or call.result() == number
        assert gate.most == 1
