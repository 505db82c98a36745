"""Calls have the types of the methods that they call: at once, as futures, from tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar, assert_type

import launchpad_lite as lp

T = TypeVar("T")


class Store:
    def __init__(self, size: int = 1) -> None:
        self._size = size

    def get(self, key: str, default: float = 0.0) -> float:
        return default

    def same(self, value: T) -> list[T]:
        return [value]

    async def later(self, key: str) -> bytes:
        return key.encode()

    def keys(self, prefix: str = "") -> Iterator[str]:
        yield prefix

    async def news(self, since: int) -> AsyncIterator[bytes]:
        yield bytes(since)

    def __call__(self, key: int) -> str:
        return str(key)


class Reader:
    def __init__(self, stores: Sequence[Store], anything: Any, client: Any = None) -> None:
        self._stores = stores
        self._anything = anything

    def run(self) -> None:
        for store in self._stores:
            assert_type(store.get("a"), float)
            assert_type(store(3), str)
            assert_type(lp.submit(store.get, "a"), Future[float])
            assert_type(lp.submit(store.get, "a", default=2.0).result(), float)
            assert_type(lp.submit(store.later, "a"), Future[bytes])
            assert_type(lp.submit(store.later, key="a").result(timeout=1.0), bytes)
            assert_type(lp.submit(store.same, 3), Future[list[int]])
            assert_type(lp.submit(store, 3), Future[str])
            assert_type(lp.cached(store.get, "a"), lp.CachedResult[float])
            assert_type(lp.cached(store.later, key="a").value, bytes)
            assert_type(lp.cached(store, 3).age_s, float)
        sums = [lp.submit(store.get, str(i)) for i, store in enumerate(self._stores)]
        assert_type([call.result() for call in sums], list[float])
        for key in lp.stream(self._stores[0].keys, prefix="a"):
            assert_type(key, str)
        assert_type(lp.stream(self._stores[0].news, 3), lp.Stream[bytes])
        with lp.stream(self._stores[0].news, since=3) as news, lp.deadline(1.0):
            assert_type(next(news), bytes)
        assert_type(lp.get_call_context().time_left(), float | None)
        lp.submit(self._anything.get, 1, 2, 3).result()
        lp.stop()


class Gateway:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def run(self) -> None:
        assert_type(await lp.aio(self._store.get, "a"), float)
        assert_type(await lp.aio(self._store.later, key="a"), bytes)
        assert_type(await lp.aio(self._store.same, "a"), list[str])
        assert_type(await lp.aio(self._store, 3), str)
        async for key in lp.stream(self._store.keys):
            assert_type(key, str)
        async with lp.stream(self._store.news, 3) as news:
            assert_type(await anext(news), bytes)


def ask(client: lp.CourierClient) -> None:
    assert_type(client.get("a"), Any)
    assert_type(client.futures.get("a"), Future[Any])
    assert_type(lp.submit(client.get, "a"), Future[Any])


def make_program() -> lp.Program:
    program = lp.Program("good")
    store = program.add_node(lp.CourierNode(Store), label="store")
    program.add_node(lp.CourierNode(Reader, [store], store), label="reader")
    return program


def launch(program: lp.Program, store: Store) -> None:
    with lp.launch(program, launcher="process", config=lp.RunConfig(seed=3)) as run:
        assert_type(run.client(store), Store)
        assert_type(run.client(store).get("a"), float)
        assert_type(lp.submit(run.client(store).get, "a"), Future[float])
        run.client("store", 0, call_timeout=3.0, wait_for_ready=True).anything("goes")
        assert_type(run.wait(timeout=1.0), bool)


def in_a_test(program: lp.Program, store: Store) -> None:
    with lp.testing.run(program) as t:
        assert_type(t[store], Store)
        assert_type(t[store].get("a"), float)
        t["store"].anything("goes")
        t.instance("store", 0).anything("goes")


def in_a_node() -> None:
    def shout(text: str, times: int = 1) -> str:
        return text.upper() * times

    assert_type(lp.bind(shout)("a", times=2), str)
    context = lp.get_context()
    assert_type((context.label, context.index, context.seed), tuple[str, int, int])
    assert_type(lp.wait_for_stop(1.0), bool)
    assert_type(lp.seconds_left(), float | None)
    lp.register_stop_handler(lambda: shout("a"))
