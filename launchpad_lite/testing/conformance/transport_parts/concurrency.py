"""Many calls at a time: as many as the server has threads, in any order, from any thread."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from launchpad_lite.testing.conformance.transport_parts.base import (
    PATIENCE_S,
    Lab,
    TransportSuite,
    in_thread,
)
from launchpad_lite.testing.conformance.transport_parts.values import add_one, echo


class ConcurrencyConformance(TransportSuite):
    """Calls run together, but no more at a time than the server has threads."""

    def test_calls_run_together(self, lab: Lab) -> None:
        meeting = threading.Barrier(3)

        def meet() -> int:
            return meeting.wait(PATIENCE_S)

        caller = lab.caller(meet, threads=3)
        with ThreadPoolExecutor(3) as threads:
            calls = [threads.submit(caller.call, "meet") for _ in range(3)]
            assert sorted(call.result(PATIENCE_S) for call in calls) == [0, 1, 2]
        calls = [caller.submit("meet") for _ in range(3)]
        assert sorted(call.result(PATIENCE_S) for call in calls) == [0, 1, 2]

    @pytest.mark.parametrize("threads", [1, 3])
    def test_no_more_calls_run_than_there_are_threads(self, lab: Lab, threads: int) -> None:
        gate = lab.gate()
        served = lab.serve(gate.enter, threads=threads)
        caller, other = lab.connect(served), lab.connect(served)
        with ThreadPoolExecutor(4) as executor:
            calls = [caller.submit("enter", number) for number in range(10)]
            calls += [other.submit("enter", number) for number in range(10, 16)]
            calls += [executor.submit(caller.call, "enter", number) for number in range(16, 20)]
            gate.wait_for(threads)
            other.channel.refresh(PATIENCE_S)  # time for one more to begin, if it could
            assert gate.entered == threads
            gate.open()
            assert [call.result(PATIENCE_S) for call in calls] == list(range(20))
        assert gate.most == threads

    def test_a_busy_server_shakes_hands(self, lab: Lab) -> None:
        gate = lab.gate()
        served = lab.serve(gate.enter, echo, threads=1)
        caller = lab.connect(served)
        call = caller.submit("enter", 1)
        gate.wait_for(1)
        other = lab.connect(served)
        assert other.channel.info.methods == ("echo", "enter")
        assert caller.channel.refresh(PATIENCE_S).methods == ("echo", "enter")
        gate.open()
        assert call.result(PATIENCE_S) == 1

    def test_futures_end_in_any_order(self, lab: Lab) -> None:
        gate = lab.gate()
        caller = lab.caller(gate.enter, echo)
        first = caller.submit("enter", 1)
        gate.wait_for(1)
        assert caller.submit("echo", 2).result(PATIENCE_S) == 2
        assert not first.done()
        gate.open()
        assert first.result(PATIENCE_S) == 1

    @pytest.mark.parametrize("shape", [(), (1000,)])
    def test_many_futures_at_a_time(self, lab: Lab, shape: tuple[int, ...]) -> None:
        caller = lab.caller(add_one)
        calls = [caller.submit("add_one", np.full(shape, number)) for number in range(200)]
        for number, call in enumerate(calls):
            assert np.all(call.result(PATIENCE_S) == number + 1)

    def test_submit_waits_for_nobody(self, lab: Lab) -> None:
        gate = lab.gate()
        caller = lab.caller(gate.enter, echo, threads=1)
        first = caller.submit("enter")
        gate.wait_for(1)
        large = [caller.submit("echo", np.full(2**20, number)) for number in range(3)]
        small = [caller.submit("echo", number) for number in range(1000)]
        assert not any(call.done() for call in large + small)
        gate.open()
        first.result(PATIENCE_S)
        assert [call.result(PATIENCE_S)[-1] for call in large] == [0, 1, 2]
        assert [call.result(PATIENCE_S) for call in small] == list(range(1000))

    def test_many_threads_share_a_channel(self, lab: Lab) -> None:
        caller = lab.caller(echo)

        def work(thread: int) -> list[Any]:
            calls = [caller.submit("echo", (thread, -number)) for number in range(10)]
            waited = [caller.call("echo", (thread, number)) for number in range(10)]
            return waited + [call.result(PATIENCE_S) for call in calls]

        with ThreadPoolExecutor(32) as executor:
            for thread, results in enumerate(executor.map(work, range(32))):
                expected = [(thread, number) for number in range(10)]
                assert results == expected + [(thread, -number) for number in range(10)]

    def test_as_many_threads_may_wait_as_the_server_has(self, lab: Lab) -> None:
        count = 80
        meeting = threading.Barrier(count)

        def meet() -> int:
            return meeting.wait(PATIENCE_S)

        caller = lab.caller(meet, threads=count)
        with ThreadPoolExecutor(count) as threads:
            calls = [threads.submit(caller.call, "meet") for _ in range(count)]
            assert sorted(call.result(PATIENCE_S) for call in calls) == list(range(count))

    def test_what_waits_for_a_future_may_call(self, lab: Lab) -> None:
        caller = lab.caller(echo, threads=1)
        result: Future[Any] = Future()

        def then(call: Future[Any]) -> None:
            result.set_result(caller.call("echo", call.result() + 1))

        gate = threading.Event()

        def begin() -> None:
            first: Future[Any] = Future()
            first.add_done_callback(then)
            caller.submit_to(first, "echo", 1)
            gate.set()

        with in_thread(begin):
            assert gate.wait(PATIENCE_S)
        assert result.result(PATIENCE_S) == 2

    def test_what_waits_for_a_future_may_submit(self, lab: Lab) -> None:
        caller = lab.caller(echo, threads=2)
        ends = [Future[Any]() for _ in range(4)]
        array = np.ones(2**17)

        def chain(end: Future[Any], left: int) -> None:
            call: Future[Any] = Future()
            call.add_done_callback(
                lambda call: chain(end, left - 1) if left else end.set_result(call.result().sum())
            )
            caller.submit_to(call, "echo", array)

        for end in ends:
            chain(end, 20)
        for end in ends:
            assert end.result(PATIENCE_S) == 2**17

    def test_a_method_may_call_another_server(self, lab: Lab) -> None:
        second = lab.caller(echo, threads=1)

        def forward(value: int) -> Any:
            return second.call("echo", value), second.submit("echo", value).result(PATIENCE_S)

        caller = lab.caller(forward, threads=2)
        calls = [caller.submit("forward", number) for number in range(20)]
        assert [call.result(PATIENCE_S) for call in calls] == [(n, n) for n in range(20)]

    def test_a_cancelled_call_says_nothing_more(self, lab: Lab) -> None:
        gate = lab.gate()
        caller = lab.caller(gate.enter, echo, threads=1)
        running: Future[Any] = Future()
        waiting: Future[Any] = Future()
        cancel_running = caller.submit_to(running, "enter")
        gate.wait_for(1)
        cancel_waiting = caller.submit_to(waiting, "echo", 1)
        cancel_waiting()
        cancel_running()
        cancel_running()
        gate.open()
        assert caller.submit("echo", 2).result(PATIENCE_S) == 2
        assert caller.call("echo", 3) == 3
        assert not running.done()
        assert not waiting.done()

    def test_cancelling_races_with_the_end(self, lab: Lab) -> None:
        caller = lab.caller(echo)
        ended: list[int] = []

        def submit_and_cancel(number: int) -> None:
            future: Future[Any] = Future()
            future.add_done_callback(lambda _: ended.append(number))
            cancel = caller.submit_to(future, "echo", number)
            if number % 2:
                caller.call("echo", None)
            cancel()
            cancel()

        with ThreadPoolExecutor(4) as executor:
            list(executor.map(submit_and_cancel, range(200)))
        assert caller.submit("echo", 1).result(PATIENCE_S) == 1
        assert len(ended) == len(set(ended))
