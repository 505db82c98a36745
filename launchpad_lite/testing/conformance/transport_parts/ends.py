"""How servers and channels end, and what is left of them: nothing."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from launchpad_lite.courier import messages
from launchpad_lite.errors import Stopped, Unavailable
from launchpad_lite.testing.conformance.transport_parts.base import (
    PATIENCE_S,
    SHORT_S,
    Caller,
    Lab,
    TransportSuite,
    in_thread,
)
from launchpad_lite.testing.conformance.transport_parts.streams import count
from launchpad_lite.testing.conformance.transport_parts.values import echo

if TYPE_CHECKING:
    from concurrent.futures import Future

_ROUNDS = 5


def _not_executed(error: BaseException | None) -> bool:
    assert isinstance(error, Unavailable), repr(error)
    return not error.maybe_executed


def _maybe_executed(error: BaseException | None) -> bool:
    return not _not_executed(error)


def _call_for_ever(caller: Caller, method: str) -> None:
    while True:
        caller.call(method)


class EndConformance(TransportSuite):
    """Calls that have begun may end; no other call ever begins; and each caller knows which."""

    def test_the_handshake_tells_what_the_server_is(self, lab: Lab) -> None:
        info = lab.connect(lab.serve(echo, streams=(count,), threads=3, limit=12345)).channel.info
        assert (info.run_id, info.name, info.incarnation) == ("", "server", 0)
        assert (info.methods, info.thread_pool_size) == (("count", "echo"), 3)
        assert (info.max_payload_bytes, info.protocol) == (12345, messages.PROTOCOL)
        messages.check_versions(info, "here")

    def test_refreshing_sees_what_was_bound_since(self, lab: Lab) -> None:
        served = lab.serve(echo)
        caller = lab.connect(served)
        served.service.bind("later", echo)
        served.service.unbind("echo")
        assert caller.channel.refresh(PATIENCE_S).methods == ("later",)
        assert caller.channel.info.methods == ("later",)
        assert caller.call("later", 1) == 1

    def test_nobody_is_there_any_more(self, lab: Lab) -> None:
        served = lab.serve(echo)
        served.stop()
        with pytest.raises(Unavailable, check=_not_executed):
            lab.connect(served)

    def test_a_listener_that_was_not_started_can_be_stopped(self, lab: Lab) -> None:
        served = lab.listen(echo)
        served.stop()
        with pytest.raises(Unavailable, check=_not_executed):
            lab.connect(served)

    def test_stopping_again_does_nothing(self, lab: Lab) -> None:
        served = lab.serve(echo)
        served.stop()
        served.stop()

    def test_calls_after_the_stop_have_certainly_not_run(self, lab: Lab) -> None:
        served = lab.serve(echo, streams=(count,))
        used, fresh = lab.connect(served), lab.connect(served)
        assert used.call("echo", 1) == 1
        assert used.submit("echo", 2).result(PATIENCE_S) == 2
        served.stop()
        for caller in (used, fresh):
            with pytest.raises(Unavailable, check=_not_executed):
                caller.call("echo", 3)
            assert _not_executed(caller.failure("echo", 4))
            with pytest.raises(Unavailable, check=_not_executed):
                next(caller.stream("count", 5))

    def test_a_call_that_runs_may_end(self, lab: Lab) -> None:
        gate = lab.gate()
        served = lab.serve(gate.enter)
        caller = lab.connect(served)
        with in_thread(caller.call, "enter", 1) as call:
            gate.wait_for(1)
            future = caller.submit("enter", 2)
            gate.wait_for(2)
            stopping = served.stop_beside()
            gate.open()
            assert call.result(PATIENCE_S) == 1
            assert future.result(PATIENCE_S) == 2
        stopping.join(PATIENCE_S)
        assert not stopping.is_alive()

    def test_who_was_answered_by_a_server_that_stops_is_refused_at_once(self, lab: Lab) -> None:
        """Though others are still waited for, and whether or not it had heard of the stop."""
        gate, last = lab.gate(), lab.gate()
        served = lab.listen(echo)
        served.service.bind("enter", gate.enter)
        served.service.bind("hold", last.enter)
        served.listener.start()
        caller, other = lab.connect(served), lab.connect(served)
        held = other.submit("hold", 2)
        last.wait_for(1)
        with in_thread(caller.call, "enter", 1) as call:
            gate.wait_for(1)
            stopping = served.stop_beside()
            with pytest.raises(Unavailable, check=_not_executed):
                _call_for_ever(other, "echo")
            gate.open()
            assert call.result(PATIENCE_S) == 1
        with pytest.raises(Unavailable, check=_not_executed):
            caller.call("echo", 1, timeout=None)
        assert _not_executed(caller.failure("echo", 1))
        assert not held.done()
        last.open()
        assert held.result(PATIENCE_S) == 2
        stopping.join(PATIENCE_S)
        assert not stopping.is_alive()

    def test_calls_that_wait_for_a_thread_are_told_that_they_did_not_run(self, lab: Lab) -> None:
        gate = lab.gate()
        served = lab.serve(gate.enter, threads=1)
        caller = lab.connect(served)
        running = caller.submit("enter", 1)
        gate.wait_for(1)
        waiting = [caller.submit("enter", number) for number in range(2, 5)]
        with in_thread(caller.call, "enter", 5) as call:
            stopping = served.stop_beside()
            # while the first one still runs
            assert _not_executed(call.exception(PATIENCE_S))
            for future in waiting:
                assert _not_executed(future.exception(PATIENCE_S))
            assert not running.done()
            gate.open()
            assert running.result(PATIENCE_S) == 1
        stopping.join(PATIENCE_S)
        assert gate.entered == 1

    def test_a_call_that_does_not_end_in_time(self, lab: Lab) -> None:
        gate = lab.gate()
        served = lab.serve(gate.enter)
        caller = lab.connect(served)
        with in_thread(caller.call, "enter", 1) as call:
            future = caller.submit("enter", 2)
            gate.wait_for(2)
            served.stop(SHORT_S)
            assert _maybe_executed(call.exception(PATIENCE_S))
            assert _maybe_executed(future.exception(PATIENCE_S))
            gate.open()

    @pytest.mark.parametrize("number", range(3))
    def test_each_call_runs_or_is_told_that_it_did_not(self, lab: Lab, number: int) -> None:
        ran: list[int] = []
        served = lab.serve(ran.append, threads=2)
        caller = lab.connect(served)
        calls: list[Future[Any] | BaseException] = []
        begun, stopped = threading.Event(), threading.Event()

        def submit_until_stopped() -> None:
            while len(calls) < 3000 and not stopped.is_set():
                try:
                    calls.append(caller.submit("append", len(calls)))
                except Unavailable as error:
                    calls.append(error)
                if len(calls) > 20 * number:
                    begun.set()

        with in_thread(submit_until_stopped):
            assert begun.wait(PATIENCE_S)
            served.stop()
            stopped.set()
        done = set(ran)
        assert len(done) == len(ran)
        for value, call in enumerate(calls):
            error = call if isinstance(call, BaseException) else call.exception(PATIENCE_S)
            if error is None:
                assert value in done
            elif _not_executed(error):
                assert value not in done

    def test_closing_wakes_whoever_waits(self, lab: Lab) -> None:
        gate = lab.gate()
        served = lab.serve(gate.enter, echo, streams=(count,))
        caller = lab.connect(served)
        with in_thread(caller.call, "enter") as call:
            future = caller.submit("enter")
            limited = caller.submit("enter", timeout=PATIENCE_S)
            gate.wait_for(3)
            caller.channel.close()
            for waiting in (call, future, limited):
                assert isinstance(waiting.exception(PATIENCE_S), Stopped)
        caller.channel.close()
        with pytest.raises(Stopped):
            caller.call("echo", 1)
        assert isinstance(caller.failure("echo", 1), Stopped)
        with pytest.raises(Stopped):
            caller.stream("count", 1)
        gate.open()
        assert lab.connect(served).call("echo", 1) == 1

    def test_a_retired_channel_ends_what_it_has_begun(self, lab: Lab) -> None:
        gate = lab.gate()
        caller = lab.caller(gate.enter, echo, streams=(count,))
        with in_thread(caller.call, "enter", 1) as call:
            future = caller.submit("enter", 2)
            gate.wait_for(2)
            caller.channel.retire()
            with pytest.raises(Unavailable, check=_not_executed):
                caller.call("echo", 3)
            assert _not_executed(caller.failure("echo", 4))
            with pytest.raises(Unavailable, check=_not_executed):
                caller.stream("count", 5)
            gate.open()
            assert call.result(PATIENCE_S) == 1
            assert future.result(PATIENCE_S) == 2

    def test_a_retired_channel_can_be_closed(self, lab: Lab) -> None:
        gate = lab.gate()
        caller = lab.caller(gate.enter)
        with in_thread(caller.call, "enter") as call:
            future = caller.submit("enter")
            gate.wait_for(2)
            caller.channel.retire()
            caller.channel.close()
            assert isinstance(call.exception(PATIENCE_S), Stopped)
            assert isinstance(future.exception(PATIENCE_S), Stopped)

    def test_other_channels_live_on(self, lab: Lab) -> None:
        served = lab.serve(echo)
        first, second = lab.connect(served), lab.connect(served)
        first.call("echo", 1)
        first.channel.close()
        assert second.call("echo", 2) == 2
        assert second.submit("echo", 3).result(PATIENCE_S) == 3

    def test_nothing_is_left(self, lab: Lab) -> None:
        before = {thread for thread in threading.enumerate() if thread.name.startswith("lp-")}

        def left() -> list[str]:
            now = (thread for thread in threading.enumerate() if thread not in before)
            return [thread.name for thread in now if thread.name.startswith("lp-")]

        self._use(lab)
        assert _eventually(lambda: not left()), left()
        if lab.options.directory is not None:
            assert list(Path(lab.options.directory).iterdir()) == []

    @pytest.mark.skipif(sys.platform != "linux", reason="descriptors are counted in /proc")
    def test_no_descriptors_are_left(self, lab: Lab) -> None:
        self._use(lab)  # what is made once in a process is made now
        at_most = _descriptors() + _ROUNDS - 1
        for _ in range(_ROUNDS):
            self._use(lab)
        assert _eventually(lambda: _descriptors() <= at_most), (_descriptors(), at_most)

    def _use(self, lab: Lab) -> None:
        """Use all there is of a server and two channels: one is closed, one finds it stopped."""
        served = lab.serve(echo, streams=(count,))
        first, second = lab.connect(served), lab.connect(served)
        for caller in (first, second):
            assert caller.call("echo", 1) == 1
            assert caller.submit("echo", 2, timeout=PATIENCE_S).result(PATIENCE_S) == 2
            assert next(caller.stream("count", 2)) == 0
        first.channel.close()
        served.stop()
        self._find_stopped(second)

    def _find_stopped(self, caller: Caller) -> None:
        with pytest.raises(Unavailable):
            caller.call("echo", 3)
        caller.channel.retire()
        caller.channel.close()


def _descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only their number


def _eventually(condition: Any) -> bool:
    """Wait for what nobody announces: threads and descriptors go a little after the last call."""
    deadline = time.monotonic() + PATIENCE_S / 3
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
