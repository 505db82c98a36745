"""Several actors ask one policy for actions, and it answers many of them at once.

    lp-launch examples/batching.py --launcher=process --num_actors=4 --num_games=8

Each actor plays some games side by side: it asks for an action in each of them before it waits for
the answers. `lp.batched_handler` puts questions that come at about the same time into one array, so
that the policy multiplies matrices, not vectors. A question that waits takes no thread of the
policy.
"""

import numpy as np
import numpy.typing as npt

import launchpad_lite as lp

Array = npt.NDArray[np.float64]

NUM_FEATURES = 64
NUM_ACTIONS = 8


class Policy:
    def __init__(self, seed: int) -> None:
        self._weights = np.random.default_rng(seed).normal(size=(NUM_FEATURES, NUM_ACTIONS))
        self._batches: list[int] = []

    # With `timeout=0` no question waits for company: what comes during a batch is the next batch.
    @lp.batched_handler(batch_size=32, timeout=0)
    def act(self, observation: Array) -> Array:
        """Return the best action: callers pass [features], the method gets [batch, features]."""
        self._batches.append(len(observation))
        actions: Array = np.argmax(observation @ self._weights, axis=1)
        return actions

    def batches(self) -> list[int]:
        """Return the size of every batch."""
        return self._batches

    def weights(self) -> Array:
        return self._weights


class Actor:
    def __init__(self, policy: Policy, seed: int, num_games: int, num_steps: int) -> None:
        self._policy = policy
        self._rng = np.random.default_rng(seed)
        self._num_games = num_games
        self._num_steps = num_steps

    def play(self) -> int:
        """Play all games; return how many actions were not the best."""
        weights = self._policy.weights()
        wrong = 0
        for _ in range(self._num_steps):
            observations = self._rng.normal(size=(self._num_games, NUM_FEATURES))
            calls = [lp.submit(self._policy.act, observation) for observation in observations]
            for observation, call in zip(observations, calls, strict=True):
                wrong += int(call.result() != np.argmax(observation @ weights))
        return wrong


class Evaluator:
    def __init__(self, actors: list[Actor], policy: Policy) -> None:
        self._actors = actors
        self._policy = policy

    def run(self) -> None:
        games = [lp.submit(actor.play) for actor in self._actors]
        wrong = sum(game.result() for game in games)
        sizes = self._policy.batches()
        print(f"{sum(sizes)} actions, {wrong} wrong")
        print(f"{len(sizes)} batches, {np.mean(sizes):.1f} actions in a batch on average")
        lp.stop()


def make_program(num_actors: int = 4, num_games: int = 8, num_steps: int = 100) -> lp.Program:
    """Declare one policy, `num_actors` actors that play, and a node that looks at the outcome."""
    program = lp.Program("batching")
    policy = program.add_node(lp.CourierNode(Policy, seed=0), label="policy")
    with program.group("actor"):
        actors = [
            program.add_node(lp.CourierNode(Actor, policy, 1 + i, num_games, num_steps))
            for i in range(num_actors)
        ]
    program.add_node(lp.CourierNode(Evaluator, actors, policy), label="evaluator")
    return program
