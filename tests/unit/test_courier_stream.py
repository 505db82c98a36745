"""`lp.stream`, in a program that runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import launchpad_lite as lp

WAIT_S = 30.0
SHORT_S = 0.1


class Reader:
    def __init__(self) -> None:
        self.ended = threading.Semaphore(0)
        self._gate = threading.Event()

    def samples(self, count: int, name: str = "a") -> Iterator[str]:
        assert lp.get_call_context().method == "samples"
        assert lp.get_context().name == "reader/0"
        try:
            for number in range(count):
                yield f"{name}{number}"
        finally:
            self.ended.release()

    async def samples_later(self, count: int) -> AsyncIterator[str]:
        assert lp.get_context().name == "reader/0"
        for number in range(count):
            await asyncio.sleep(0)
            yield f"b{number}"

    def stuck(self) -> Iterator[int]:
        yield 1
        self._gate.wait(WAIT_S)

    def release(self) -> None:
        self._gate.set()

    async def waits(self) -> AsyncIterator[int]:
        yield 1
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.release()

    def fails(self) -> Iterator[int]:
        yield 1
        raise ZeroDivisionError("as told")

    def plain(self) -> list[int]:
        return [1]


def make_program() -> tuple[lp.Program, Reader]:
    program = lp.Program("streams")
    return program, program.add_node(lp.CourierNode(Reader), label="reader")


def test_values_are_iterated_over() -> None:
    program, handle = make_program()
    with lp.testing.run(program) as t:
        reader = t[handle]
        assert list(lp.stream(reader.samples, 3, name="x")) == ["x0", "x1", "x2"]
        assert list(lp.stream(reader.samples_later, 30)) == [f"b{number}" for number in range(30)]
        values = lp.stream(reader.fails)
        assert next(values) == 1
        with pytest.raises(ZeroDivisionError, match="as told"):
            next(values)
        with pytest.raises(TypeError, match=r"reader/0.plain is no generator"):
            next(lp.stream(_any(reader).plain))
        with pytest.raises(TypeError, match=r"iterate over lp.stream\(client.samples, ...\)"):
            reader.samples(1)


@pytest.mark.parametrize("method", ["samples", "samples_later"])
def test_values_are_awaited(method: str) -> None:
    program, handle = make_program()

    async def ask(reader: Any) -> list[str]:
        return [value async for value in lp.stream(getattr(reader, method), 20)]

    with lp.testing.run(program) as t:
        assert [value[1:] for value in asyncio.run(ask(t[handle]))] == list(map(str, range(20)))


def test_a_stream_ends_when_it_is_left() -> None:
    program, handle = make_program()
    with lp.testing.run(program) as t:
        reader = t[handle]
        instance: Reader = t.instance("reader", 0)
        for value in lp.stream(reader.samples, 10**9):
            assert value == "a0"
            break
        assert instance.ended.acquire(timeout=WAIT_S)
        with lp.stream(reader.samples, 10**9) as values:
            next(values)
        assert instance.ended.acquire(timeout=WAIT_S)
        assert list(values) == []


def test_a_value_that_is_late_ends_the_stream() -> None:
    program, handle = make_program()
    with lp.testing.run(program) as t:
        instance: Reader = t.instance("reader", 0)
        hasty: Any = t.run.client("reader", call_timeout=SHORT_S)
        values = lp.stream(hasty.stuck)
        assert next(values) == 1
        with pytest.raises(lp.DeadlineExceeded, match=r"reader/0.stuck: no value came"):
            next(values)
        assert list(values) == []
        with lp.deadline(SHORT_S):
            late = lp.stream(t[handle].waits)
        assert next(late) == 1
        with pytest.raises(lp.DeadlineExceeded):
            next(late)
        assert instance.ended.acquire(timeout=WAIT_S)
        with pytest.raises(lp.DeadlineExceeded, match="no value came within"):
            asyncio.run(_second(lp.stream(hasty.stuck)))
        t[handle].release()


async def _second(values: lp.Stream[int]) -> int:
    await anext(values)
    return await anext(values)


def test_a_cancelled_task_closes_its_stream() -> None:
    program, handle = make_program()

    async def ask(reader: Reader) -> None:
        async with lp.stream(reader.waits) as values:
            assert await anext(values) == 1
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(SHORT_S):
                    await anext(values)

    with lp.testing.run(program) as t:
        instance: Reader = t.instance("reader", 0)
        asyncio.run(ask(t[handle]))
        assert instance.ended.acquire(timeout=WAIT_S)


def test_the_end_of_a_stream_stays_its_end_for_tasks() -> None:
    program, handle = make_program()

    async def ask(reader: Reader) -> None:
        values = lp.stream(reader.samples, 1)
        assert [value async for value in values] == ["a0"]
        values_left = lp.stream(reader.samples, 10**9)
        await anext(values_left)
        values_left.close()
        async with asyncio.timeout(WAIT_S):
            assert [await anext(each, "end") for each in (values, values_left)] == ["end"] * 2

    with lp.testing.run(program) as t:
        asyncio.run(ask(t[handle]))


def test_a_server_that_stops_does_not_just_end_its_streams() -> None:
    server = lp.courier.Server()
    gate = threading.Event()

    def count() -> Iterator[int]:
        yield 1
        gate.wait(WAIT_S)
        yield 2

    server.Bind("count", count)
    server.Start()
    client = lp.courier.Client(server.address)
    values = lp.stream(client.count)
    assert next(values) == 1
    stopping = threading.Thread(target=server.Stop)
    stopping.start()
    with pytest.raises(lp.Unavailable) as error:
        next(values)
    assert error.value.maybe_executed
    gate.set()
    stopping.join(WAIT_S)


def _any(reader: Reader) -> Any:
    return reader
