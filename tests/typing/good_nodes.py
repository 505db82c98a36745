"""Every way to make a node, with the constructor's own arguments checked."""

from __future__ import annotations

import datetime as dt
import functools
from typing import Any, assert_type

import launchpad_lite as lp
from launchpad_lite import replay


class Model:
    def __init__(self, size: int, name: str = "model") -> None: ...

    @classmethod
    def small(cls) -> Model:
        return cls(1)

    def predict(self, value: float) -> float:
        return value


class Trainer:
    def __init__(self, model: Model, steps: int, *, rate: float = 0.1) -> None: ...

    def run(self) -> None: ...


class Learner:
    def __init__(self, actor: Actor, steps: int) -> None: ...

    def learn(self) -> None: ...


class Actor:
    def __init__(self, learner: Learner) -> None: ...


def make_model(size: int) -> Model:
    return Model(size)


def main(model: Model, steps: int, *names: str) -> float:
    return model.predict(steps)


def make_program() -> lp.Program:
    program = lp.Program("good")
    first = program.add_node(lp.CourierNode(Model, 3, name="first"), label="model")
    assert_type(first, Model)
    made = program.add_node(lp.CourierNode(make_model, 3), label="made")
    assert_type(made, Model)
    small = program.add_node(lp.CourierNode(Model.small), label="small")
    assert_type(small, Model)
    bound = program.add_node(lp.CourierNode(functools.partial(Model, 3), name="b"), label="bound")
    assert_type(bound, Model)
    written = program.add_node(lp.CourierNode(lambda: Model(3)), label="written")
    assert_type(written, Model)
    cacher = program.add_node(lp.CacherNode(first, 10, stale_after_ms=20.5), label="cacher")
    assert_type(cacher, Model)
    trainer = program.add_node(lp.CourierNode(Trainer, first, 10, rate=0.5), label="trainer")
    assert_type(trainer, Trainer)
    program.add_node(lp.PyClassNode(Trainer, model=made, steps=10), label="class_trainer")
    program.add_node(lp.PyNode(main, small, 3, "a", "b"), label="main")
    program.add_node(lp.PyNode(main, lp.Deferred(Model, 3), 3), label="own_model")
    assert_type(lp.Deferred(make_model, size=3), Model)
    return program


def make_cycle() -> lp.Program:
    program = lp.Program("cycle")
    learner_node = lp.CourierNode.deferred(Learner)
    learner = program.add_node(learner_node, label="learner")
    assert_type(learner, Learner)
    actor = program.add_node(lp.CourierNode(Actor, learner), label="actor")
    learner_node.configure(actor, steps=3)
    return program


class Player:
    def __init__(self, buffer: replay.Client, steps: int) -> None: ...

    def run(self) -> None: ...


def make_tables() -> list[replay.Table]:
    return [replay.Table.queue("queue", 10)]


def watch(buffer: replay.Client) -> int:
    return buffer.server_info(timeout=3.0)["queue"].current_size


def make_replay() -> lp.Program:
    program = lp.Program("replay")
    node = lp.ReverbNode(make_tables).options(thread_pool_size=4, call_timeout=3.0)
    assert_type(node, lp.ReverbNode)
    buffer = program.add_node(node, label="replay")
    assert_type(buffer, replay.Client)
    program.add_node(lp.CourierNode(Player, buffer, 3), label="player")
    program.add_node(lp.PyNode(watch, buffer), label="watch")
    written = lp.ReverbNode(lambda: (replay.Table.stack("stack", 10),))
    assert_type(program.add_node(written, label="written"), replay.Client)
    return program


def make_options() -> lp.Program:
    program = lp.Program("options")
    node = lp.CourierNode(Model, 3).options(thread_pool_size=4, port=0, env={"A": "1"})
    assert_type(node, lp.CourierNode[Model])
    node = node.options(call_timeout=dt.timedelta(seconds=3)).disable_run().enable_run()
    assert_type(program.add_node(node, label="options"), Model)
    served = lp.CourierNode(
        Model,
        3,
        courier_kwargs={"thread_pool_size": 4},
        courier_client_kwargs={"call_timeout": 3.0, "wait_for_ready": False},
    )
    assert_type(program.add_node(served, label="served"), Model)
    asked = lp.CourierNode(make_model, size=3, courier_client_kwargs={"compress": True})
    assert_type(program.add_node(asked, label="asked"), Model)
    program.add_node(lp.PyNode(print, "hello").options(env={"A": "1"}), label="print")
    return program


def untyped(constructor: Any, arguments: dict[str, Any]) -> lp.Program:
    program = lp.Program("untyped")
    handle = program.add_node(lp.CourierNode(constructor, 1, **arguments), label="any")
    lp.CourierNode(Trainer, handle, 3)
    lp.PyNode(constructor, handle)
    return program
