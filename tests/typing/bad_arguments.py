"""Constructor arguments that are missing, misspelt, too many or of the wrong type."""

from __future__ import annotations

import launchpad_lite as lp


class Model:
    def __init__(self, size: int, *, name: str) -> None: ...

    def predict(self, value: float) -> float:
        return value

    def run(self) -> None: ...


class Trainer:
    def __init__(self, model: Model, steps: int) -> None: ...

    def run(self) -> None: ...


def make_model(size: int) -> Model:
    return Model(size, name="made")


def main(model: Model, steps: int = 1) -> float:
    return model.predict(steps)


program = lp.Program("bad")
model = program.add_node(lp.CourierNode(Model, 1, name="model"), label="model")

lp.CourierNode(Model)  # E: mypy[call-overload] pyright[reportCallIssue]
lp.CourierNode(Model, 1)  # E: mypy[call-overload] pyright[reportCallIssue]
lp.CourierNode(Model, "1", name="model")  # E: mypy[arg-type] pyright[reportArgumentType]
lp.CourierNode(Model, 1, name=1)  # E: mypy[arg-type] pyright[reportArgumentType]
lp.CourierNode(Model, 1, nmae="model")  # E: mypy[call-arg] pyright[reportCallIssue]
lp.CourierNode(Model, 1, 2, name="model")  # E: mypy[arg-type,misc] pyright[reportCallIssue]
lp.CourierNode(Trainer, model)  # E: mypy[call-overload] pyright[reportCallIssue]
lp.CourierNode(Trainer, model, "1")  # E: mypy[call-overload] pyright[reportArgumentType]
lp.CourierNode(make_model, "1")  # E: mypy[call-overload] pyright[reportArgumentType]
lp.CourierNode(make_model, 1, 2)  # E: mypy[call-overload] pyright[reportCallIssue]
program.add_node(lp.CourierNode(make_model), label="made")  # E: mypy[call-overload] pyright[reportCallIssue]

lp.PyClassNode(Model, name="model")  # E: mypy[call-arg] pyright[reportCallIssue]
lp.PyClassNode(Model, "1", name="model")  # E: mypy[arg-type] pyright[reportArgumentType]
lp.PyClassNode(Model, 1, nmae="model")  # E: mypy[call-arg] pyright[reportCallIssue]
lp.PyClassNode(Trainer, model, 1, 2)  # E: mypy[call-arg] pyright[reportCallIssue]
lp.PyClassNode(Trainer, model, steps="1")  # E: mypy[arg-type] pyright[reportArgumentType]

lp.PyNode(main)  # E: mypy[call-arg] pyright[reportCallIssue]
lp.PyNode(main, model, "1")  # E: mypy[arg-type] pyright[reportArgumentType]
lp.PyNode(main, model, step=1)  # E: mypy[call-arg] pyright[reportCallIssue]
lp.PyNode(main, model, 1, 2)  # E: mypy[call-arg] pyright[reportCallIssue]

lp.Deferred(Model, 1)  # E: mypy[call-arg] pyright[reportCallIssue]
lp.Deferred(Model, "1", name="model")  # E: mypy[arg-type] pyright[reportArgumentType]
lp.Deferred(Model, 1, nmae="model")  # E: mypy[call-arg] pyright[reportCallIssue]
lp.PyNode(main, lp.Deferred(Model, "1", name="model"))  # E: mypy[arg-type] pyright[reportArgumentType]

node = lp.CourierNode.deferred(Trainer)
node.configure(model)  # E: mypy[call-arg] pyright[reportCallIssue]
node.configure(model, "1")  # E: mypy[arg-type] pyright[reportArgumentType]
node.configure(model, step=1)  # E: mypy[call-arg] pyright[reportCallIssue]
node.configure(model, 1, 2)  # E: mypy[call-arg] pyright[reportCallIssue]

program.add_node(Model, label="class")  # E: mypy[arg-type] pyright[reportArgumentType]
program.add_node(Model(1, name="model"), label="object")  # E: mypy[arg-type] pyright[reportArgumentType]
program.add_node(lp.PyNode(main, model), lable="main")  # E: mypy[call-arg] pyright[reportCallIssue]
program.add_nodes(lp.PyNode(main, model))  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue,reportUnknownMemberType]
