"""Streams from the server."""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pytest

from launchpad_lite.courier.async_values import AHEAD as LATER_AHEAD
from launchpad_lite.courier.call_context import get_call_context
from launchpad_lite.courier.stream_window import AHEAD, AHEAD_BYTES
from launchpad_lite.errors import MethodNotFound, Stopped, Unavailable
from launchpad_lite.testing.conformance.transport_parts.asyncs import Meeting, acquire, later
from launchpad_lite.testing.conformance.transport_parts.base import (
    PATIENCE_S,
    Lab,
    TransportSuite,
    in_thread,
)
from launchpad_lite.testing.conformance.transport_parts.batches import full
from launchpad_lite.testing.conformance.transport_parts.failures import PlainError
from launchpad_lite.testing.conformance.transport_parts.values import echo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator


class Feed:
    """A stream of what is put into it."""

    def __init__(self, values: Iterable[Any] = ()) -> None:
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.closed = threading.Event()
        for value in values:
            self.put(value)

    def put(self, value: Any) -> None:
        self._queue.put((value,))

    def end(self) -> None:
        self._queue.put(None)

    def __next__(self) -> Any:
        entry = self._queue.get(timeout=PATIENCE_S)
        if entry is None:
            raise StopIteration
        if isinstance(entry[0], Exception):
            raise entry[0]
        return entry[0]

    def close(self) -> None:
        self.closed.set()
        self.end()


class Feeds:
    """Opens feeds, and remembers them."""

    def __init__(self) -> None:
        self.opened: queue.SimpleQueue[Feed] = queue.SimpleQueue()

    def feed(self) -> Feed:
        """Open one that goes on."""
        feed = Feed()
        self.opened.put(feed)
        return feed

    def newest(self) -> Feed:
        return self.opened.get(timeout=PATIENCE_S)


def count(stop: int) -> Feed:
    """Open a feed of numbers that ends."""
    feed = Feed(range(stop))
    feed.end()
    return feed


def numbers(stop: int, error: Exception | None = None) -> Iterator[int]:
    """Yield numbers, and raise."""
    yield from range(stop)
    if error is not None:
        raise error


async def numbers_later(stop: int, error: Exception | None = None) -> AsyncIterator[int]:
    """Do so in an event loop."""
    for number in numbers(stop, error):
        await asyncio.sleep(0)
        yield number


class Endless:
    """Generators that count what they yield, and tell how they end."""

    def __init__(self) -> None:
        self.count = 0
        self.cancelled = threading.Semaphore(0)
        self.closed = threading.Semaphore(0)

    def endless(self, size: int) -> Iterator[bytes]:
        get_call_context().on_cancel(self.cancelled.release)
        try:
            while True:
                self.count += 1
                yield bytes(size).replace(b"\0", b" ")
        finally:
            self.closed.release()

    async def endless_later(self, size: int) -> AsyncIterator[bytes]:
        for value in self.endless(size):
            await asyncio.sleep(0)
            yield value


def refuse() -> NoReturn:
    """Fail to open."""
    raise PlainError("no feed")


class StreamConformance(TransportSuite):
    """Values come one after the other, until either end closes the stream."""

    most_ahead = AHEAD + LATER_AHEAD + 1
    """How many small values a method may be ahead of its reader, also an async one."""

    def test_values_come_in_order_and_end(self, lab: Lab) -> None:
        caller = lab.caller(streams=(count,))
        assert list(caller.stream("count", 100)) == list(range(100))
        assert list(caller.stream("count", 0)) == []

    def test_values_come_when_they_are_made(self, lab: Lab) -> None:
        feeds = Feeds()
        caller = lab.caller(streams=(feeds.feed,))
        values = caller.stream("feed")
        feed = feeds.newest()
        array = np.zeros(2**18)
        for _ in range(3):
            feed.put(array)
            received = next(values)
            received += 1
            assert not array.any()
        feed.end()
        assert next(values, "the end") == "the end"
        assert next(values, "the end") == "the end"

    def test_streams_need_no_thread_of_the_pool(self, lab: Lab) -> None:
        feeds = Feeds()
        served = lab.serve(echo, streams=(feeds.feed, count), threads=1)
        caller = lab.connect(served)
        streams = [caller.stream("feed") for _ in range(70)]
        for number in range(70):
            feeds.newest().put(number)
        assert caller.call("echo", 1) == 1
        assert caller.submit("echo", 2).result(PATIENCE_S) == 2
        assert list(caller.stream("count", 2)) == [0, 1]
        assert sorted(map(next, streams)) == list(range(70))

    def test_a_busy_server_opens_streams(self, lab: Lab) -> None:
        gate = lab.gate()
        caller = lab.caller(gate.enter, streams=(count,), threads=2)
        calls = [caller.submit("enter", 1)]
        gate.wait_for(1)
        assert list(caller.stream("count", 2)) == [0, 1]
        gate.open()
        assert calls[0].result(PATIENCE_S) == 1

    def test_a_stream_can_be_closed_from_another_thread(self, lab: Lab) -> None:
        feeds = Feeds()
        caller = lab.caller(streams=(feeds.feed,))
        values = caller.stream("feed")
        feed = feeds.newest()
        feed.put(1)
        assert next(values) == 1
        with in_thread(next, values, "closed") as last:
            values.close()
            assert last.result(PATIENCE_S) == "closed"
        assert next(values, "closed") == "closed"
        assert feed.closed.wait(PATIENCE_S)
        values.close()

    def test_a_stream_that_nobody_reads_can_be_closed(self, lab: Lab) -> None:
        feeds = Feeds()
        caller = lab.caller(streams=(feeds.feed,))
        values = caller.stream("feed")
        feed = feeds.newest()
        values.close()
        assert feed.closed.wait(PATIENCE_S)

    def test_a_stream_ends_with_its_channel(self, lab: Lab) -> None:
        feeds = Feeds()
        caller = lab.caller(streams=(feeds.feed,))
        values = caller.stream("feed")
        feed = feeds.newest()
        with in_thread(next, values, "closed") as last:
            caller.channel.close()
            assert isinstance(last.exception(PATIENCE_S), Stopped)
        assert feed.closed.wait(PATIENCE_S)

    def test_a_stream_ends_with_its_server(self, lab: Lab) -> None:
        feeds = Feeds()
        served = lab.serve(streams=(feeds.feed,))
        caller = lab.connect(served)
        values = caller.stream("feed")
        feed = feeds.newest()
        with in_thread(next, values, "stopped") as last:
            served.stop()
            error = last.exception(PATIENCE_S)
            assert isinstance(error, Unavailable)
            assert error.maybe_executed
        assert next(values, "the end") == "the end"
        assert feed.closed.wait(PATIENCE_S)

    def test_an_unknown_stream_names_the_nearest(self, lab: Lab) -> None:
        caller = lab.caller(echo, streams=(count,))
        values = caller.stream("cuont")
        with pytest.raises(MethodNotFound, match="did you mean 'count'"):
            next(values)
        assert next(values, "the end") == "the end"

    def test_what_opening_raises_arrives(self, lab: Lab) -> None:
        caller = lab.caller(echo, streams=(refuse, count), threads=1)
        values = caller.stream("refuse")
        with pytest.raises(PlainError, match="no feed"):
            next(values)
        assert next(values, "the end") == "the end"
        with pytest.raises(TypeError):
            next(caller.stream("count", 1, 2, 3))
        assert caller.call("echo", 1) == 1

    def test_what_a_stream_raises_is_its_end(self, lab: Lab) -> None:
        feeds = Feeds()
        caller = lab.caller(streams=(feeds.feed,))
        values = caller.stream("feed")
        feed = feeds.newest()
        feed.put(1)
        feed.put(PlainError("enough"))
        assert next(values) == 1
        with pytest.raises(PlainError, match="enough"):
            next(values)
        assert next(values, "the end") == "the end"
        assert feed.closed.wait(PATIENCE_S)

    def test_a_value_that_cannot_be_sent_is_the_end(self, lab: Lab) -> None:
        feeds = Feeds()
        caller = lab.caller(streams=(feeds.feed,))
        values = caller.stream("feed")
        feeds.newest().put(threading.Lock())
        with pytest.raises(TypeError, match="cannot be sent"):
            next(values)
        assert next(values, "the end") == "the end"

    def test_generators_are_streams(self, lab: Lab) -> None:
        caller = lab.caller(echo, streams=(numbers, numbers_later))
        for method in ("numbers", "numbers_later"):
            assert list(caller.stream(method, 100)) == list(range(100))
            values = caller.stream(method, 2, PlainError("enough"))
            assert [next(values), next(values)] == [0, 1]
            with pytest.raises(PlainError, match="enough"):
                next(values)
            assert next(values, "the end") == "the end"

    def test_a_method_is_either_called_or_streamed(self, lab: Lab) -> None:
        caller = lab.caller(echo, full, later, streams=(numbers, numbers_later))
        for method in ("numbers", "numbers_later"):
            with pytest.raises(TypeError, match=rf"{method} is a generator: iterate"):
                caller.call(method, 1)
        for method in ("echo", "full", "later"):
            with pytest.raises(TypeError, match=rf"{method} is no generator, and has no stream"):
                next(caller.stream(method, 1))

    @pytest.mark.parametrize("method", ["endless", "endless_later"])
    def test_a_method_is_not_far_ahead_of_its_reader(self, lab: Lab, method: str) -> None:
        endless = Endless()
        caller = lab.caller(streams=(endless.endless, endless.endless_later))
        values = caller.stream(method, 2**18)
        for number in range(10):
            assert len(next(values)) == 2**18
            assert endless.count <= number + 48  # of 256 KiB
        values.close()
        acquire(endless.closed)

    @pytest.mark.parametrize("method", ["endless", "endless_later"])
    def test_small_values_do_not_run_ahead_either(self, lab: Lab, method: str) -> None:
        endless = Endless()
        caller = lab.caller(echo, streams=(endless.endless, endless.endless_later))
        values = caller.stream(method, 10)
        for number in range(1, 4 * AHEAD):
            next(values)
            if number % AHEAD == 1:  # a reader that takes its time keeps nobody else waiting
                assert [caller.call("echo", each) for each in range(100)] == list(range(100))
                assert caller.submit("echo", number).result(PATIENCE_S) == number
            assert endless.count <= number + self.most_ahead
        values.close()
        acquire(endless.closed)

    def test_values_of_any_size_come_in_order(self, lab: Lab) -> None:
        sizes = [0, AHEAD_BYTES + 1, 1, 10**6, 3 * AHEAD_BYTES, *range(3 * AHEAD), 2**20]

        def blanks() -> Iterator[bytes]:
            for size in sizes:
                yield b" " * size

        values = lab.caller(streams=(blanks,)).stream("blanks")
        assert [len(value) for value in values] == sizes

    @pytest.mark.parametrize("method", ["endless", "endless_later"])
    def test_a_closed_stream_closes_its_generator(self, lab: Lab, method: str) -> None:
        endless = Endless()
        caller = lab.caller(streams=(endless.endless, endless.endless_later))
        values = caller.stream(method, 1)
        assert next(values) == b" "
        values.close()
        acquire(endless.cancelled)
        acquire(endless.closed)

    def test_a_task_that_waits_is_cancelled(self, lab: Lab) -> None:
        meeting = Meeting(2)

        async def wait() -> AsyncIterator[int]:
            yield 1
            await meeting.meet()

        caller = lab.caller(streams=(wait,))
        values = caller.stream("wait")
        assert next(values) == 1
        acquire(meeting.entered)
        values.close()
        acquire(meeting.cancelled)
