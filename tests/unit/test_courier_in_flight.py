"""A client's bound: so many calls for futures are under way, and more wait, or fail."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite import courier
from launchpad_lite.courier import in_flight
from launchpad_lite.courier.in_flight import InFlight
from launchpad_lite.errors import DeadlineExceeded, ResourceExhausted, UsageError

PATIENCE_S = 30.0
MANY = 10**6


class Gate:
    """A server whose method waits until it is opened."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self.server = courier.Server(thread_pool_size=2)
        self.server.Bind("enter", self._enter)
        self.server.Start()

    def _enter(self, value: Any) -> Any:
        self._opened.wait(PATIENCE_S)
        return value

    def open(self) -> None:
        self._opened.set()

    def client(self, **settings: Any) -> Any:
        return courier.Client(self.server.address, **settings)


@pytest.fixture
def gate() -> Iterator[Gate]:
    one = Gate()
    yield one
    one.open()
    one.server.Stop()


def test_one_more_waits_for_the_end_of_another(gate: Gate) -> None:
    client = gate.client(max_in_flight=3)
    calls = [client.futures.enter(i) for i in range(3)]
    with ThreadPoolExecutor(1) as threads:
        more = threads.submit(client.futures.enter, 3)
        assert not more.done()
        gate.open()
        assert more.result(PATIENCE_S).result(PATIENCE_S) == 3
    assert [call.result(PATIENCE_S) for call in calls] == [0, 1, 2]
    again = [client.futures.enter(i) for i in range(50)]
    assert [call.result(PATIENCE_S) for call in again] == list(range(50))


def test_one_more_fails_if_it_is_to(gate: Gate) -> None:
    client = gate.client(max_in_flight=2, when_in_flight_full="fail")
    calls = [client.futures.enter(i) for i in range(2)]
    error = client.futures.enter(2).exception(PATIENCE_S)
    assert isinstance(error, ResourceExhausted)
    assert str(error).startswith("2 calls of localhost:")
    assert "'enter' was not called. Wait for some of them, or raise max_in_flight." in str(error)
    gate.open()
    assert [call.result(PATIENCE_S) for call in calls] == [0, 1]
    assert client.futures.enter(2).result(PATIENCE_S) == 2


def test_a_call_that_is_cancelled_gives_its_place_back(gate: Gate) -> None:
    client = gate.client(max_in_flight=1, when_in_flight_full="fail")
    for _ in range(5):
        call = client.futures.enter(1)
        assert isinstance(client.futures.enter(2).exception(PATIENCE_S), ResourceExhausted)
        assert call.cancel()
    gate.open()
    assert client.futures.enter(3).result(PATIENCE_S) == 3


def test_to_wait_for_a_place_takes_from_the_calls_time(gate: Gate) -> None:
    client = gate.client(max_in_flight=1)
    client.futures.enter(1)
    with lp.deadline(0.05):
        error = client.futures.enter(2).exception(PATIENCE_S)
    assert isinstance(error, DeadlineExceeded)


def test_a_server_that_is_not_there_bounds_too() -> None:
    client = courier.Client("nobody-has-this-name", max_in_flight=2, when_in_flight_full="fail")
    calls = [client.futures.work() for _ in range(2)]
    assert isinstance(client.futures.work().exception(PATIENCE_S), ResourceExhausted)
    for call in calls:
        call.cancel()


def test_who_awaits_a_place_does_not_hold_up_the_loop(gate: Gate) -> None:
    client = gate.client(max_in_flight=2)

    async def call_all() -> list[int]:
        calls = [asyncio.ensure_future(client.aio.enter(i)) for i in range(20)]
        given_up = asyncio.ensure_future(client.aio.enter(99))
        await asyncio.sleep(0)  # all have begun, or wait
        await asyncio.sleep(0)
        given_up.cancel()
        gate.open()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        return await asyncio.wait_for(asyncio.gather(*calls), PATIENCE_S)

    assert asyncio.run(call_all()) == list(range(20))


def test_who_awaits_a_place_does_so_within_the_calls_time(gate: Gate) -> None:
    client = gate.client(max_in_flight=1)

    async def call_too_late() -> None:
        first = asyncio.ensure_future(client.aio.enter(1))
        await asyncio.sleep(0)  # it has begun
        with lp.deadline(0.05), pytest.raises(DeadlineExceeded, match="enter was not called"):
            await client.aio.enter(2)
        gate.open()
        assert await first == 1
        with lp.deadline(PATIENCE_S):
            assert await client.aio.enter(3) == 3

    asyncio.run(call_too_late())


def test_a_function_for_the_end_of_a_call_is_not_kept_waiting(gate: Gate) -> None:
    client = gate.client(max_in_flight=1)
    made: list[Any] = []
    called = threading.Event()

    def call_twice(_: Any) -> None:
        made.extend(client.futures.enter(i) for i in (1, 2))  # one more than may be
        called.set()

    first = client.futures.enter(0)
    first.add_done_callback(call_twice)
    gate.open()
    assert called.wait(PATIENCE_S)
    assert [call.result(PATIENCE_S) for call in made] == [1, 2]


def test_bytes_are_bounded_but_for_one_call() -> None:
    places = InFlight()
    assert places.take(10 * in_flight.MAX_BYTES, MANY)
    assert not places.take(1, MANY)
    places.give_back(10 * in_flight.MAX_BYTES)
    assert places.take(in_flight.MAX_BYTES, MANY)
    assert places.take(0, MANY)
    assert not places.take(1, MANY)
    assert len(places) == 2


def test_who_leaves_passes_the_place_on() -> None:
    places = InFlight()
    assert places.take(1, 1)
    heard: list[str] = []
    leave_first = places.when_free(1, 1, lambda: heard.append("first"))
    leave_second = places.when_free(1, 1, lambda: heard.append("second"))
    places.when_free(1, 1, lambda: heard.append("third"))
    leave_second()
    places.give_back(1)
    assert heard == ["first"]
    leave_first()
    assert heard == ["first", "third"]


def test_a_place_that_was_given_back_before_one_waits_is_told_at_once() -> None:
    places = InFlight()
    assert places.take(1, 2)
    assert places.take(1, 2)
    assert not places.take(1, 2)
    places.give_back(1)
    heard: list[str] = []
    places.when_free(1, 2, lambda: heard.append("free"))
    assert heard == ["free"]


def test_the_bound_has_bounds() -> None:
    with pytest.raises(UsageError, match="max_in_flight=0: give a whole number, 1 or more"):
        courier.Client("localhost:1", max_in_flight=0)
    unknown: Any = "wait"
    with pytest.raises(UsageError, match="when_in_flight_full='wait'"):
        courier.Client("localhost:1", when_in_flight_full=unknown)


def test_all_for_whom_there_is_room_hear_of_it_in_their_order() -> None:
    places = InFlight()
    woken: list[int] = []
    assert places.take(in_flight.MAX_BYTES, MANY)
    sizes = (1, 2, in_flight.MAX_BYTES, 3)
    leave = [places.when_free(size, MANY, functools.partial(woken.append, size)) for size in sizes]
    assert not woken
    places.give_back(in_flight.MAX_BYTES)
    assert woken == [1, 2]
    assert places.take(1, MANY)
    assert places.take(2, MANY)
    leave[2]()
    assert woken == [1, 2, 3]
    places.give_back(1)
    places.give_back(2)
    assert len(places) == 0
