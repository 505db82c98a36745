"""Handles have the type of what their receivers get, wherever in the arguments they sit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar, assert_type

import launchpad_lite as lp

T = TypeVar("T")


class Producer:
    def work(self, item: int) -> int:
        return item


class FastProducer(Producer):
    def rest(self) -> None: ...


class Buffer(Generic[T]):
    def __init__(self, first: T) -> None:
        self._items = [first]

    def get(self) -> T:
        return self._items[0]


class Works(Protocol):
    def work(self, item: int) -> int: ...


class Pair(NamedTuple):
    left: Producer
    right: Producer


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    producer: Producer
    spare: Producer | None = None
    size: int = 1


class Consumer:
    def __init__(
        self,
        producers: Sequence[Producer],
        *,
        table: Mapping[str, list[Producer]] | None = None,
        pair: Pair | None = None,
        config: Config | None = None,
        works: Works | None = None,
        buffer: Buffer[int] | None = None,
    ) -> None:
        self._producers = producers

    def run(self) -> None:
        lp.stop()


class Watcher:
    def __init__(self, consumer: Consumer, *parts: Producer, **named: Producer) -> None: ...

    def run(self) -> None: ...


def watch(consumer: Consumer, limit: float) -> int:
    return 0


def make_program(num_producers: int = 2) -> lp.Program:
    program = lp.Program("good")
    with program.group("producer"):
        producers = [program.add_node(lp.CourierNode(Producer)) for _ in range(num_producers)]
    assert_type(producers, list[Producer])
    fast = program.add_node(lp.CourierNode(FastProducer), label="fast")
    assert_type(fast, FastProducer)
    buffer = program.add_node(lp.CourierNode(Buffer[int], 1), label="buffer")
    assert_type(buffer, Buffer[int])
    consumer = program.add_node(
        lp.CourierNode(
            Consumer,
            [*producers, fast],
            table={"all": producers, "fast": [fast]},
            pair=Pair(producers[0], fast),
            config=Config(producer=fast, spare=producers[0]),
            works=fast,
            buffer=buffer,
        ),
        label="consumer",
    )
    assert_type(consumer, Consumer)
    program.add_node(lp.PyClassNode(Watcher, consumer, *producers, fast=fast), label="watcher")
    program.add_node(lp.PyNode(watch, consumer, limit=1), label="watch")
    assert_type(program.edges, list[lp.Edge])
    return program


def make_another() -> lp.Program:
    return lp.make_program(lp.CourierNode(Producer), lp.PyNode(print, "hello"), name="another")
