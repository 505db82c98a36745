"""Two nodes that call each other: a learner asks an actor, which asks the learner.

    lp-launch examples/cyclic_references.py --launcher=process --num_steps=20 --target=3.0

Each node needs the other's handle in its constructor, so one of them must be declared before its
arguments are known: `lp.CourierNode.deferred` makes such a node, and `configure` completes it, with
the same type checks as usual.

In a cycle no constructor may call the other node, or each would wait for the other to come up; the
launcher warns of it. While the learner's `run` waits for the actor, its methods are called from
other threads.
"""

from __future__ import annotations

import launchpad_lite as lp


class Learner:
    """Learns the actor's secret number from how far off its own estimate is."""

    def __init__(self, actor: Actor, num_steps: int, step_size: float = 0.5) -> None:
        self._actor = actor
        self._num_steps = num_steps
        self._step_size = step_size
        self._estimate = 0.0

    def estimate(self) -> float:
        return self._estimate

    def run(self) -> None:
        for _ in range(self._num_steps):
            self._estimate += self._step_size * self._actor.error()
        print(f"estimate after {self._num_steps} steps: {self._estimate:.3f}")
        lp.stop()


class Actor:
    """Knows a secret number, and the learner, which it asks for its newest estimate."""

    def __init__(self, learner: Learner, target: float) -> None:
        self._learner = learner
        self._target = target

    def error(self) -> float:
        return self._target - self._learner.estimate()


def make_program(num_steps: int = 20, target: float = 3.0) -> lp.Program:
    """Declare a learner and an actor that hold each other's handles."""
    program = lp.Program("cyclic_references")
    learner_node = lp.CourierNode.deferred(Learner)
    learner = program.add_node(learner_node, label="learner")
    actor = program.add_node(lp.CourierNode(Actor, learner, target), label="actor")
    learner_node.configure(actor, num_steps)
    return program
