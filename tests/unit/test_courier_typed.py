"""`lp.aio`, `lp.deadline` and `lp.get_call_context`, in a program that runs."""

from __future__ import annotations

import asyncio
import logging
import math
import queue
import threading
import time
from typing import Any

import pytest

import launchpad_lite as lp

WAIT_S = 30.0
SHORT_S = 0.1


class Server:
    def __init__(self) -> None:
        self._full = asyncio.Event()
        self._waiting = 0
        self.notes: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.entered = threading.Semaphore(0)
        self.cancelled = threading.Semaphore(0)

    def double(self, number: int, *, plus: int = 0) -> int:
        return 2 * number + plus

    async def triple(self, number: int) -> int:
        await asyncio.sleep(0)
        return 3 * number

    def note(self, answer: int) -> None:
        self.notes.put(answer)

    def fail(self) -> None:
        raise StopIteration("as told")

    async def meet(self, size: int) -> int:
        """Return when so many calls are inside."""
        self._waiting += 1
        self.entered.release()
        if self._waiting == size:
            self._full.set()
        try:
            await self._full.wait()
        except asyncio.CancelledError:
            self.cancelled.release()
            raise
        return self._waiting

    async def block(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - what the log is to complain of

    def whose(self) -> tuple[str, str, str]:
        context = lp.get_call_context()
        return lp.get_context().name, context.peer, context.method

    async def whose_later(self) -> tuple[str, str, str]:
        await asyncio.sleep(0)
        return self.whose()

    def __call__(self, text: str) -> str:
        return text.upper()


class Middle:
    """Calls the server on behalf of others."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def left(self) -> float | None:
        return lp.get_call_context().time_left()

    def whose(self) -> list[tuple[str, str, str]]:
        return [self._server.whose(), lp.submit(self._server.whose_later).result()]

    def meet(self) -> int:
        return lp.submit(self._server.meet, 2).result()

    async def meet_later(self) -> int:
        return await lp.aio(self._server.meet, 2)


def make_program() -> tuple[lp.Program, Server, Middle]:
    program = lp.Program("aio")
    server = program.add_node(lp.CourierNode(Server), label="server")
    middle = program.add_node(lp.CourierNode(Middle, server), label="middle")
    return program, server, middle


def test_calls_can_be_awaited() -> None:
    program, handle, _ = make_program()

    async def ask(server: Any) -> list[Any]:
        assert await lp.aio(server.double, 3, plus=1) == 7
        assert await lp.aio(server, "a") == await server.aio("a") == "A"
        return list(await asyncio.gather(server.aio.double(1), server.aio.triple(1)))

    with lp.testing.run(program) as t:
        server: Any = t[handle]
        assert server.triple(2) == lp.submit(server.triple, 2).result(WAIT_S) == 6
        assert asyncio.run(ask(server)) == [2, 3]


@pytest.mark.parametrize("way", ["double", "triple"])
def test_thousands_can_be_awaited_at_once_without_threads(way: str) -> None:
    program, handle, _ = make_program()
    count = 2000

    async def ask(server: Any) -> list[int]:
        before = threading.active_count()
        tasks = [asyncio.create_task(getattr(server.aio, way)(number)) for number in range(count)]
        results = await asyncio.gather(*tasks)
        assert threading.active_count() < before + 40  # those of the server, and a few of ours
        return results

    with lp.testing.run(program) as t:
        factor = 2 if way == "double" else 3
        assert asyncio.run(ask(t[handle])) == [factor * number for number in range(count)]


def test_what_a_method_raises_arrives_where_it_is_awaited() -> None:
    program, handle, _ = make_program()

    async def ask(server: Any) -> None:
        with pytest.raises(RuntimeError) as error:  # what a coroutine makes of a StopIteration
            await lp.aio(server.fail)
        assert isinstance(error.value.__cause__, StopIteration)
        with pytest.raises(lp.MethodNotFound, match="did you mean 'double'"):
            await server.aio.duoble(1)

    with lp.testing.run(program) as t:
        asyncio.run(ask(t[handle]))


def test_a_cancelled_task_cancels_its_call() -> None:
    program, handle, _ = make_program()

    async def ask(server: Server) -> None:
        task = asyncio.create_task(lp.aio(server.meet, 2))
        await asyncio.to_thread(instance.entered.acquire)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SHORT_S):
                await lp.aio(server.meet, 3)

    with lp.testing.run(program) as t:
        instance: Server = t.instance("server", 0)
        asyncio.run(ask(t[handle]))
        for _ in range(2):
            assert instance.cancelled.acquire(timeout=WAIT_S)


def test_only_methods_of_clients_can_be_awaited() -> None:
    wrong: list[Any] = [Server().double, len, 3]
    for method in wrong:
        with pytest.raises(TypeError, match=r"lp\.aio needs a client's method, such as client"):
            asyncio.run(lp.aio(method, 1))


def test_a_method_that_blocks_the_loop_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    program, handle, _ = make_program()
    with lp.testing.run(program) as t, caplog.at_level(logging.WARNING):
        calls = [lp.submit(t[handle].block, 3.0) for _ in range(2)]
        for call in calls:
            call.result(WAIT_S)
    expected = (
        "server/0.block has kept the event loop busy for over 1 s, and no other async method goes "
        "on meanwhile. Await what waits (asyncio.sleep, lp.aio), and leave long work to "
        "asyncio.to_thread, or to a method that is not async."
    )
    said = [each.message for each in caplog.records if "event loop" in each.message]
    assert said == [expected]


def test_a_method_knows_its_node_and_who_calls() -> None:
    program, _, handle = make_program()
    with lp.testing.run(program) as t:
        assert t[handle].whose() == [
            ("server/0", "middle/0", "whose"),
            ("server/0", "middle/0", "whose_later"),
        ]
    with pytest.raises(lp.ContextError, match="no call is running here"):
        lp.get_call_context()


@pytest.mark.parametrize("way", ["meet", "meet_later"])
def test_a_nested_call_has_what_is_left(way: str) -> None:
    program, _, handle = make_program()
    with lp.testing.run(program) as t:
        hasty = t.run.client("middle", call_timeout=SHORT_S)
        with pytest.raises(lp.DeadlineExceeded):
            getattr(hasty, way)()
        instance: Server = t.instance("server", 0)
        assert instance.cancelled.acquire(timeout=WAIT_S)
        assert t[handle].left() is None


def test_a_block_has_a_deadline() -> None:
    program, server_handle, handle = make_program()
    with lp.testing.run(program) as t:
        middle, server = t[handle], t[server_handle]
        plain: Any = server  # to whose async methods a call is a plain one
        # or else so short a time may end before the server is reached
        assert [server.double(1), lp.submit(server.double, 1).result(WAIT_S)] == [2, 2]
        with lp.deadline(WAIT_S):
            left = middle.left()
            assert left is not None
            assert left <= WAIT_S
            with lp.deadline(2 * WAIT_S):  # the outer one ends first
                left = middle.left()
                assert left is not None
                assert left <= WAIT_S
            shown = f"server/0.meet did not end within {SHORT_S:g} s"  # as it was set
            with lp.deadline(SHORT_S), pytest.raises(lp.DeadlineExceeded, match=shown):
                lp.submit(server.meet, 9).result()
            with lp.deadline(SHORT_S), pytest.raises(lp.DeadlineExceeded, match=shown):
                plain.meet(9)
            with lp.deadline(SHORT_S), pytest.raises(lp.DeadlineExceeded):
                asyncio.run(_awaited(server))
        with lp.deadline(0.0):
            with pytest.raises(lp.DeadlineExceeded, match=r"server/0.double was not called"):
                server.double(1)
            with pytest.raises(lp.DeadlineExceeded, match=r"server/0.double was not called"):
                lp.submit(server.double, 1).result()
        assert server.double(1) == 2
        assert middle.left() is None


async def _awaited(server: Server) -> int:
    return await lp.aio(server.meet, 9)


def test_a_deadline_is_a_number() -> None:
    with pytest.raises(lp.UsageError, match="give a number of seconds"), lp.deadline(math.nan):
        pass


class Asker:
    def __init__(self, server: Server) -> None:
        self._server = server

    async def run(self) -> None:
        await lp.aio(self._server.note, await lp.aio(self._server.triple, 2))


async def ask(server: Server) -> None:
    assert lp.get_context().name == "function/0"
    await lp.aio(server.note, await lp.aio(server.triple, 3))


def test_what_a_node_runs_may_be_async() -> None:
    program, server, _ = make_program()
    program.add_node(lp.CourierNode(Asker, server), label="object")
    program.add_node(lp.PyNode(ask, server), label="function")
    with lp.testing.run(program) as t:
        instance: Server = t.instance("server", 0)
        assert {instance.notes.get(timeout=WAIT_S) for _ in range(2)} == {6, 9}
