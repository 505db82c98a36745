"""A slow method: how many of its calls run and wait, and that it does not keep others waiting."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

import pytest

from launchpad_lite.errors import DeadlineExceeded, ResourceExhausted
from launchpad_lite.testing.conformance.transport_parts.base import (
    PATIENCE_S,
    SHORT_S,
    Lab,
    TransportSuite,
)
from launchpad_lite.testing.conformance.transport_parts.values import echo


class _Full:
    """A server with a call that runs, and one that fills its queue."""

    def __init__(self, lab: Lab) -> None:
        self.gate = lab.gate()
        self.served = lab.serve(self.gate.enter, threads=1, waiting=1, when_full="fail")
        self.caller, self.other = lab.connect(self.served), lab.connect(self.served)
        self._first = self.caller.submit("enter", 1)
        self.gate.wait_for(1)

    def check_room(self) -> None:
        """Make a call, which finds room, and let it begin."""
        call = self.caller.submit("enter", 2)
        self.served.wait_until_waiting(1)
        assert not call.done()
        self.gate.open()
        assert self._first.result(PATIENCE_S) == 1
        assert call.result(PATIENCE_S) == 2
        assert self.gate.entered == 2


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

    def test_a_cancelled_call_makes_room(self, lab: Lab) -> None:
        full = _Full(lab)
        cancel = full.other.submit_to(Future(), "enter")
        full.served.wait_until_waiting(1)
        assert isinstance(full.caller.failure("enter"), ResourceExhausted)
        cancel()
        full.served.wait_until_waiting(0)
        full.check_room()

    @pytest.mark.parametrize("way", ["call", "submit"])
    def test_a_late_call_makes_room(self, lab: Lab, way: str) -> None:
        full = _Full(lab)
        if way == "call":
            with pytest.raises(DeadlineExceeded):
                full.other.call("enter", timeout=SHORT_S)
        else:
            assert isinstance(full.other.failure("enter", timeout=SHORT_S), DeadlineExceeded)
        full.check_room()

    def test_a_client_that_goes_makes_room(self, lab: Lab) -> None:
        full = _Full(lab)
        full.other.submit("enter")
        full.served.wait_until_waiting(1)
        full.other.channel.close()
        full.served.wait_until_waiting(0)
        full.check_room()

    def test_what_is_late_before_there_is_room_never_begins(self, lab: Lab) -> None:
        gate = lab.gate()
        served = lab.serve(gate.enter, threads=1, waiting=1)
        caller, other = lab.connect(served), lab.connect(served)
        first = caller.submit("enter", 1)
        gate.wait_for(1)
        # one waits, and one waits for its place
        late = [each.submit("enter", timeout=SHORT_S) for each in (caller, other)]
        for call in late:
            assert isinstance(call.exception(PATIENCE_S), (DeadlineExceeded, ResourceExhausted))
        last = other.submit("enter", 2)  # finds room, though nothing has ended
        served.wait_until_waiting(1)
        gate.open()
        assert first.result(PATIENCE_S) == 1
        assert last.result(PATIENCE_S) == 2
        assert gate.entered == 2

    def test_what_is_late_before_it_is_read_never_begins(self, lab: Lab) -> None:
        gate, noted = lab.gate(), list[int]()
        served = lab.listen(gate.enter, echo, threads=1, waiting=1)
        served.service.bind("note", noted.append)
        served.listener.start()
        caller = lab.connect(served)
        calls = [caller.submit("enter", 1)]
        gate.wait_for(1)
        calls += [caller.submit("enter", number) for number in (2, 3)]  # nothing is read after them
        errors = [caller.failure("note", number, timeout=SHORT_S) for number in range(3)]
        assert all(isinstance(each, (DeadlineExceeded, ResourceExhausted)) for each in errors)
        gate.open()
        for number, call in enumerate(calls, 1):
            error = call.exception(PATIENCE_S)
            assert error is None or isinstance(error, ResourceExhausted)
            assert error is not None or call.result() == number
        assert caller.submit("echo", 4).result(PATIENCE_S) == 4
        assert noted == []
