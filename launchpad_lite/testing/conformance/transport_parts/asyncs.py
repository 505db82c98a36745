"""Methods that are `async def`."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from launchpad_lite.courier.call_context import get_call_context
from launchpad_lite.errors import DeadlineExceeded, RemoteError, Unavailable
from launchpad_lite.testing.conformance.transport_parts.base import (
    PATIENCE_S,
    SHORT_S,
    Lab,
    TransportSuite,
)
from launchpad_lite.testing.conformance.transport_parts.failures import PlainError
from launchpad_lite.testing.conformance.transport_parts.values import echo

if TYPE_CHECKING:
    from collections.abc import Callable


async def later(value: Any) -> Any:
    """Return what came, after others had a turn."""
    await asyncio.sleep(0)
    return value


async def fail() -> None:
    """Raise."""
    await asyncio.sleep(0)
    raise PlainError("as told")


async def leave() -> None:
    """Raise what ends a program."""
    raise SystemExit(3)


def disguised(value: Any) -> Any:
    """Return a coroutine, as decorated methods do."""
    return later(value)


class Meeting:
    """An async method whose calls wait for each other, and which knows how they ended."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._inside = 0
        self._full = asyncio.Event()
        self.entered = threading.Semaphore(0)
        self.cancelled = threading.Semaphore(0)
        self.most = 0

    async def meet(self, value: Any = None) -> Any:
        """Return when so many are inside."""
        self._inside += 1
        self.most = max(self.most, self._inside)
        self.entered.release()
        if self._inside == self._size:
            self._full.set()
        try:
            await self._full.wait()
        except asyncio.CancelledError:
            self.cancelled.release()
            raise
        finally:
            self._inside -= 1
        return value


def acquire(semaphore: threading.Semaphore, count: int = 1) -> None:
    """Wait until something has happened so many times."""
    for _ in range(count):
        assert semaphore.acquire(timeout=PATIENCE_S)


class AsyncConformance(TransportSuite):
    """Async methods run on one event loop, and take no thread while they wait."""

    @pytest.mark.parametrize("method", [later, disguised])
    def test_results_arrive(self, lab: Lab, method: Callable[..., Any]) -> None:
        caller = lab.caller(method)
        name = method.__name__
        assert caller.call(name, 3) == 3
        assert caller.submit(name, "a").result(PATIENCE_S) == "a"
        array = np.arange(2**17)
        assert np.array_equal(caller.call(name, array), array)

    def test_exceptions_arrive(self, lab: Lab) -> None:
        caller = lab.caller(fail, leave, later)
        with pytest.raises(PlainError, match="as told"):
            caller.call("fail")
        with pytest.raises(TypeError, match="positional argument"):
            caller.call("later")
        with pytest.raises(RemoteError, match="SystemExit"):
            caller.call("leave")
        assert caller.call("later", 1) == 1

    def test_many_wait_on_one_thread(self, lab: Lab) -> None:
        meeting = Meeting(200)
        caller = lab.caller(meeting.meet, echo, threads=1)
        calls = [caller.submit("meet", number) for number in range(199)]
        acquire(meeting.entered, 199)
        assert caller.call("echo", 1) == 1
        assert caller.call("meet", 199) == 199
        assert [call.result(PATIENCE_S) for call in calls] == list(range(199))

    def test_a_limit_holds(self, lab: Lab) -> None:
        gate = lab.gate()
        inside = most = 0

        async def limited() -> None:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            await asyncio.to_thread(gate.enter)
            inside -= 1

        served = lab.serve(echo)
        served.service.bind("limited", limited, limit=2)
        caller = lab.connect(served)
        calls = [caller.submit("limited") for _ in range(6)]
        gate.wait_for(2)
        assert caller.call("echo", 1) == 1
        gate.open()
        for call in calls:
            call.result(PATIENCE_S)
        assert most == 2

    def test_a_call_whose_time_is_over_is_cancelled(self, lab: Lab) -> None:
        meeting = Meeting(2)
        caller = lab.caller(meeting.meet)
        with pytest.raises(DeadlineExceeded):
            caller.call("meet", timeout=SHORT_S)
        acquire(meeting.cancelled)

    def test_tasks_have_calls_of_their_own(self, lab: Lab) -> None:
        async def mine(name: str) -> tuple[str, bool]:
            await asyncio.sleep(0)
            context = get_call_context()
            left = context.time_left()
            return context.method + name, left is not None and 0 < left <= PATIENCE_S

        caller = lab.caller(mine)
        assert caller.call("mine", "a") == ("minea", True)
        calls = [caller.submit("mine", str(number)) for number in range(20)]
        assert [call.result(PATIENCE_S) for call in calls] == [
            (f"mine{number}", False) for number in range(20)
        ]

    def test_what_runs_when_the_server_stops_is_cancelled(self, lab: Lab) -> None:
        meeting = Meeting(2)
        served = lab.serve(meeting.meet)
        caller = lab.connect(served)
        call = caller.submit("meet")
        acquire(meeting.entered)
        served.stop(SHORT_S)
        served.service.close()
        error = call.exception(PATIENCE_S)
        assert isinstance(error, Unavailable)
        assert error.maybe_executed
        acquire(meeting.cancelled)

    def test_what_ends_within_the_grace_is_answered(self, lab: Lab) -> None:
        gate = lab.gate()

        async def slow() -> int:
            await asyncio.to_thread(gate.enter)
            return 7

        served = lab.serve(slow)
        caller = lab.connect(served)
        call = caller.submit("slow")
        gate.wait_for(1)
        stopping = served.stop_beside()
        gate.open()
        assert call.result(PATIENCE_S) == 7
        stopping.join(PATIENCE_S)
