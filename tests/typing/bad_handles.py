"""Handles of the wrong class, wherever in a constructor's arguments they sit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import launchpad_lite as lp
from launchpad_lite import replay


class Producer:
    def work(self, item: int) -> int:
        return item


class Store:
    def get(self, key: str) -> str:
        return key


class Works(Protocol):
    def work(self, item: int) -> int: ...


class Pair(NamedTuple):
    producer: Producer
    store: Store


@dataclasses.dataclass(frozen=True)
class Config:
    producer: Producer


class Consumer:
    def __init__(
        self,
        producer: Producer,
        many: Sequence[Producer] = (),
        *,
        named: Mapping[str, Producer] | None = None,
        nested: dict[str, list[Producer]] | None = None,
        store: Store | None = None,
        works: Works | None = None,
        pair: Pair | None = None,
        config: Config | None = None,
    ) -> None: ...


def main(producer: Producer, stores: list[Store]) -> None: ...


program = lp.Program("bad")
producer = program.add_node(lp.CourierNode(Producer), label="producer")
store = program.add_node(lp.CourierNode(Store), label="store")

lp.CourierNode(Consumer, store)  # E: mypy[call-overload] pyright[reportArgumentType]
lp.CourierNode(Consumer, producer=store)  # E: mypy[call-overload] pyright[reportArgumentType]
lp.CourierNode(Consumer, [producer])  # E: mypy[call-overload] pyright[reportArgumentType]
lp.CourierNode(Consumer, producer, [store])  # E: mypy[call-overload] pyright[reportArgumentType]
lp.CourierNode(Consumer, producer, [producer, store])  # E: mypy[call-overload] pyright[reportArgumentType]
lp.CourierNode(Consumer, producer, many=[store])  # E: mypy[list-item] pyright[reportArgumentType]
lp.CourierNode(Consumer, producer, named={"a": store})  # E: mypy[dict-item] pyright[reportArgumentType]
lp.CourierNode(Consumer, producer, named={"a": producer, "b": store})  # E: mypy[dict-item] pyright[reportArgumentType]
lp.CourierNode(Consumer, producer, nested={"a": [store]})  # E: mypy[list-item] pyright[reportArgumentType]
lp.CourierNode(Consumer, producer, store=producer)  # E: mypy[arg-type] pyright[reportArgumentType]
lp.CourierNode(Consumer, producer, works=store)  # E: mypy[arg-type] pyright[reportArgumentType]
lp.CourierNode(Consumer, producer, pair=Pair(producer, producer))  # E: mypy[arg-type] pyright[reportArgumentType]
lp.CourierNode(Consumer, producer, config=Config(store))  # E: mypy[arg-type] pyright[reportArgumentType]
lp.CourierNode(Consumer, lp.Deferred(Store))  # E: mypy[call-overload] pyright[reportArgumentType]

lp.PyClassNode(Consumer, store)  # E: mypy[arg-type] pyright[reportArgumentType]
lp.PyClassNode(Consumer, producer, [store])  # E: mypy[list-item] pyright[reportArgumentType]
lp.PyClassNode(Consumer, producer, store=producer)  # E: mypy[arg-type] pyright[reportArgumentType]
lp.PyNode(main, store, [store])  # E: mypy[arg-type] pyright[reportArgumentType]
lp.PyNode(main, producer, [producer])  # E: mypy[list-item] pyright[reportArgumentType]
lp.PyNode(main, producer, stores=[store, producer])  # E: mypy[list-item] pyright[reportArgumentType]

node = lp.CourierNode.deferred(Consumer)
node.configure(store)  # E: mypy[arg-type] pyright[reportArgumentType]
node.configure(producer, [store])  # E: mypy[list-item] pyright[reportArgumentType]
node.configure(producer, named={"a": store})  # E: mypy[dict-item] pyright[reportArgumentType]
consumer = program.add_node(node, label="consumer")
lp.CourierNode(Consumer, consumer)  # E: mypy[call-overload] pyright[reportArgumentType]

def play(buffer: replay.Client) -> None: ...


buffer = program.add_node(lp.ReverbNode(lambda: [replay.Table.queue("queue", 10)]), label="buffer")
lp.CourierNode(Consumer, buffer)  # E: mypy[call-overload] pyright[reportArgumentType]
lp.PyNode(play, producer)  # E: mypy[arg-type] pyright[reportArgumentType]
lp.ReverbNode([replay.Table.queue("queue", 10)])  # E: mypy[arg-type] pyright[reportArgumentType]
lp.ReverbNode(lambda: None)  # E: mypy[arg-type,return-value] pyright[reportArgumentType]
buffer.smaple("queue")  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue,reportUnknownMemberType]
buffer.insert(1, 1.0)  # E: mypy[arg-type] pyright[reportArgumentType]

nothing = lp.PyNode(main, producer, [store])
lp.CourierNode(Consumer, program.add_node(nothing, label="nothing"))  # E: mypy[call-overload] pyright[reportArgumentType]
lp.CourierNode(Consumer, program.add_node(lp.CourierNode(Store), label="store"))  # E: mypy[call-overload] pyright[reportArgumentType]
