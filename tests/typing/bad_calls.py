"""Calls of methods that are not there, with wrong arguments, or whose results are misused."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future

import launchpad_lite as lp


class Store:
    def get(self, key: str, default: int = 0) -> int:
        return default

    async def later(self, key: str) -> bytes:
        return key.encode()

    def keys(self, prefix: str) -> Iterator[str]:
        yield prefix

    def __call__(self, key: int) -> str:
        return str(key)


def wants_text(text: str) -> None: ...


def wants_text_later(text: Future[str]) -> None: ...


class Reader:
    def __init__(self, store: Store, stores: dict[str, list[Store]]) -> None:
        self._store = store
        self._stores = stores

    def in_sync(self) -> None:
        self._store.gte("a")  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue,reportUnknownMemberType]
        self._store.get(1)  # E: mypy[arg-type] pyright[reportArgumentType]
        self._store.get("a", "b")  # E: mypy[arg-type] pyright[reportArgumentType]
        self._store.get()  # E: mypy[call-arg] pyright[reportCallIssue]
        self._store.get("a", defualt=1)  # E: mypy[call-arg] pyright[reportCallIssue]
        self._store("a")  # E: mypy[arg-type] pyright[reportArgumentType]
        wants_text(self._store.get("a"))  # E: mypy[arg-type] pyright[reportArgumentType]
        self._store.get("a").upper()  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue,reportUnknownMemberType]
        self._stores["a"][0].gte("a")  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue,reportUnknownMemberType]
        self._stores["a"][0].get(1)  # E: mypy[arg-type] pyright[reportArgumentType]

    def submitted(self) -> None:
        lp.submit(self._store.gte, "a")  # E: mypy[attr-defined,call-overload] pyright[reportAttributeAccessIssue,reportUnknownArgumentType,reportUnknownMemberType]
        lp.submit(self._store.get, 1)  # E: mypy[call-overload] pyright[reportArgumentType,reportCallIssue]
        lp.submit(self._store.get, "a", "b")  # E: mypy[call-overload] pyright[reportArgumentType,reportCallIssue]
        lp.submit(self._store.get)  # E: mypy[call-overload] pyright[reportCallIssue]
        lp.submit(self._store.get, "a", defualt=1)  # E: mypy[arg-type,call-arg] pyright[reportCallIssue]
        lp.submit(self._store, "a")  # E: mypy[call-overload] pyright[reportArgumentType,reportCallIssue]
        lp.submit(self._store.get("a"))  # E: mypy[call-overload] pyright[reportArgumentType,reportCallIssue]
        wants_text(lp.submit(self._store.get, "a").result())  # E: mypy[arg-type] pyright[reportArgumentType]
        wants_text(lp.submit(self._store.get, "a"))  # E: mypy[arg-type] pyright[reportArgumentType]
        wants_text_later(lp.submit(self._store.get, "a"))  # E: mypy[call-overload] pyright[reportArgumentType]
        lp.submit(self._store.get, "a").result().upper()  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue,reportUnknownMemberType]
        lp.submit(self._store.later, 1)  # E: mypy[call-overload] pyright[reportArgumentType,reportCallIssue]
        wants_text(lp.submit(self._store.later, "a").result())  # E: mypy[arg-type] pyright[reportArgumentType]
        lp.submit(self._stores["a"][0].gte, "a")  # E: mypy[attr-defined,call-overload] pyright[reportAttributeAccessIssue,reportUnknownArgumentType,reportUnknownMemberType]

    async def awaited(self) -> None:
        await lp.aio(self._store.get, 1)  # E: mypy[call-overload] pyright[reportArgumentType,reportCallIssue]
        wants_text(await lp.aio(self._store.get, "a"))  # E: mypy[call-overload] pyright[reportArgumentType]
        wants_text(await lp.aio(self._store.later, "a"))  # E: mypy[call-overload] pyright[reportArgumentType]
        wants_text(lp.aio(self._store.keys, "a"))  # E: mypy[arg-type] pyright[reportArgumentType]

    def streamed(self) -> None:
        lp.stream(self._store.keys, 1)  # E: mypy[call-overload] pyright[reportArgumentType,reportCallIssue]
        lp.stream(self._store.keys)  # E: mypy[call-overload] pyright[reportCallIssue]
        lp.stream(self._store.get, "a")  # E: mypy[call-overload] pyright[reportArgumentType,reportCallIssue]
        for key in lp.stream(self._store.keys, "a"):
            key.uper()  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue,reportUnknownMemberType]


def outside(program: lp.Program, store: Store) -> None:
    with lp.launch(program, launcher="process") as run:
        run.client(store).gte("a")  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue,reportUnknownMemberType]
        run.client(store).get(1)  # E: mypy[arg-type] pyright[reportArgumentType]
        wants_text(run.client(store).get("a"))  # E: mypy[arg-type] pyright[reportArgumentType]
        wants_text(lp.submit(run.client(store).get, "a").result())  # E: mypy[arg-type] pyright[reportArgumentType]
        run.client(store, 1)  # E: mypy[call-overload] pyright[reportArgumentType]
        run.client(store, call_timeout=1.0)  # E: mypy[call-overload] pyright[reportArgumentType]
        run.client("store", call_timeuot=1.0)  # E: mypy[call-overload] pyright[reportCallIssue]
        run.client("store", call_timeout="1")  # E: mypy[call-overload] pyright[reportArgumentType]
    with lp.testing.run(program) as t:
        t[store].gte("a")  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue,reportUnknownMemberType]
        t[store].get(1)  # E: mypy[arg-type] pyright[reportArgumentType]
        wants_text(t[store].get("a"))  # E: mypy[arg-type] pyright[reportArgumentType]
    lp.launch(program, laucher="process")  # E: mypy[call-arg] pyright[reportCallIssue]
    lp.launch(program, config=lp.RunConfig(notice=3.0))  # E: mypy[call-arg] pyright[reportCallIssue]
    lp.launch(program, resources={"store": 3})  # E: mypy[dict-item] pyright[reportArgumentType]
    lp.launch(store)  # E: mypy[arg-type] pyright[reportArgumentType]


def options(store: Store) -> None:
    lp.CourierNode(Store).options(thread_pool=4)  # E: mypy[call-arg] pyright[reportCallIssue]
    lp.CourierNode(Store).options(thread_pool_size="4")  # E: mypy[arg-type] pyright[reportArgumentType]
    lp.CourierNode(Store).options(call_timeout="1 s")  # E: mypy[arg-type] pyright[reportArgumentType]
    lp.CourierNode(Store).options(env={"A": None})  # E: mypy[dict-item] pyright[reportArgumentType]
    lp.CourierNode(Store, courier_kwargs=4)  # E: mypy[call-overload] pyright[reportCallIssue]
    lp.CourierNode(Store, courier_kwarg={"port": 0})  # E: mypy[call-overload] pyright[reportCallIssue]
    lp.PyNode(wants_text, "a").options(evn={})  # E: mypy[call-arg] pyright[reportCallIssue]
    lp.PyNode(wants_text, "a").options(port=0)  # E: mypy[call-arg] pyright[reportCallIssue]
    lp.PyClassNode(Store).options(env=["A"])  # E: mypy[arg-type] pyright[reportArgumentType]


def in_a_node() -> None:
    lp.bind(wants_text)(1)  # E: mypy[arg-type] pyright[reportArgumentType]
    lp.register_stop_handler(wants_text("a"))  # E: mypy[arg-type,func-returns-value] pyright[reportArgumentType]
    lp.wait_for_stop("1")  # E: mypy[arg-type] pyright[reportArgumentType]
    lp.get_context().lable  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue,reportUnknownMemberType]
