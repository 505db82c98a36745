"""Actors write trajectories into a queue, and a learner corrects for their age: IMPALA.

    lp-launch examples/impala_queue.py --launcher=process --num_actors=3

The game is Catch: a ball falls down a grid, and a paddle in the last row is moved below it. Actors
play with a copy of the learner's parameters, and write trajectories of 20 steps into a queue. Each
trajectory is read once, the oldest first, and actors wait while the queue is full; so the learner
gets what was played lately, but not with its newest parameters, and V-trace corrects for that. The
program ends when it catches enough, and fails if it has learnt too little after `max_updates`.

Each actor counts its trajectories, so that the learner can check the queue's promise: of each
actor, all of them arrive, once and in order.

Source: Espeholt et al., "IMPALA: Scalable distributed deep-RL with importance weighted
actor-learner architectures", ICML 2018.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

import launchpad_lite as lp
from launchpad_lite import replay

Array = npt.NDArray[np.float64]
Params = dict[str, Array]

TABLE = "trajectories"
LENGTH = 20  # steps of a trajectory
PER_STEP = ("action", "probability", "reward", "discount")  # columns with a value for each
PER_ITEM = ("actor", "number", "version")  # columns of which one value is enough
ROWS, COLUMNS, NUM_ACTIONS = 6, 5, 3  # an episode has ROWS - 1 steps
NUM_HIDDEN = 32
BATCH_SIZE = 8
DISCOUNT = 0.99
LEARNING_RATE = 0.1
ENTROPY_COST = 0.01
WINDOW = 50  # updates over which the mean reward is taken


class Catch:
    """A ball falls, a row each step, and a paddle moves left, stays, or moves right."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.reset()

    def reset(self) -> None:
        self._row, self._paddle = 0, COLUMNS // 2
        self._ball = int(self._rng.integers(COLUMNS))

    def observation(self) -> Array:
        """Return the grid [ROWS * COLUMNS], with ones for the ball and the paddle."""
        grid = np.zeros((ROWS, COLUMNS))
        grid[self._row, self._ball] = grid[-1, self._paddle] = 1.0
        return grid.ravel()

    def step(self, action: int) -> tuple[float, bool]:
        """Return the reward, 1 or -1 at the end of an episode, and whether that was its end."""
        self._paddle = min(max(self._paddle + action - 1, 0), COLUMNS - 1)
        self._row += 1
        ended = self._row == ROWS - 1
        return (1.0 if self._ball == self._paddle else -1.0) if ended else 0.0, ended


def init_params(rng: np.random.Generator) -> Params:
    """Return one hidden layer, and on it a policy and a value."""
    inputs, outputs = ROWS * COLUMNS, NUM_ACTIONS + 1
    return {
        "w1": rng.normal(0.0, np.sqrt(2 / inputs), (inputs, NUM_HIDDEN)),
        "b1": np.zeros(NUM_HIDDEN),
        "w2": rng.normal(0.0, 0.01, (NUM_HIDDEN, outputs)),
        "b2": np.zeros(outputs),
    }


def forward(params: Params, observation: Array) -> tuple[Array, Array, Array]:
    """Return the hidden activations, the actions' probabilities, and the value."""
    hidden = np.maximum(observation @ params["w1"] + params["b1"], 0.0)
    outputs = hidden @ params["w2"] + params["b2"]
    logits = outputs[..., :-1]
    probs = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return hidden, probs / probs.sum(axis=-1, keepdims=True), outputs[..., -1]


def vtrace(values: Array, rewards: Array, discounts: Array, ratios: Array) -> tuple[Array, Array]:
    """Return the targets of the values, and the advantages; all [batch, LENGTH].

    Args:
      values: of the observations, with that after the last step [batch, LENGTH + 1].
      rewards: of the steps [batch, LENGTH], as are the others.
      discounts: 0 where an episode has ended.
      ratios: how much more probable an action is to the learner than it was to the actor.
    """
    clipped = np.minimum(ratios, 1.0)
    deltas = clipped * (rewards + discounts * values[:, 1:] - values[:, :-1])
    corrections = np.zeros_like(values)
    for t in reversed(range(LENGTH)):
        corrections[:, t] = deltas[:, t] + discounts[:, t] * clipped[:, t] * corrections[:, t + 1]
    targets = values + corrections
    advantages = clipped * (rewards + discounts * targets[:, 1:] - values[:, :-1])
    return targets[:, :-1], advantages


def gradient(params: Params, batch: Any) -> Params:
    """Return the gradient of the V-trace actor-critic loss, its mean over all steps."""
    hidden, probs, values = forward(params, batch["observation"])
    hidden, probs, observation = hidden[:, :-1], probs[:, :-1], batch["observation"][:, :-1]
    taken = np.eye(NUM_ACTIONS)[batch["action"]]
    ratios = (probs * taken).sum(axis=-1) / batch["probability"]
    targets, advantages = vtrace(values, batch["reward"], batch["discount"], ratios)
    logs = np.log(probs + 1e-8)
    entropy = -(probs * logs).sum(axis=-1, keepdims=True)
    d_logits = advantages[..., None] * (probs - taken) + ENTROPY_COST * probs * (logs + entropy)
    d_values = 0.5 * (values[:, :-1] - targets)
    d_outputs = np.concatenate([d_logits, d_values[..., None]], axis=-1).reshape(
        -1, NUM_ACTIONS + 1
    )
    d_outputs = d_outputs / len(d_outputs)
    hidden, observation = hidden.reshape(-1, NUM_HIDDEN), observation.reshape(-1, ROWS * COLUMNS)
    d_hidden = (d_outputs @ params["w2"].T) * (hidden > 0)
    return {
        "w1": observation.T @ d_hidden,
        "b1": d_hidden.sum(axis=0),
        "w2": hidden.T @ d_outputs,
        "b2": d_outputs.sum(axis=0),
    }


def make_tables() -> list[replay.Table]:
    signature = {
        "observation": replay.ArraySpec((LENGTH + 1, ROWS * COLUMNS), np.float64),
        "action": replay.ArraySpec((LENGTH,), np.int64),
        "probability": replay.ArraySpec((LENGTH,), np.float64),
        "reward": replay.ArraySpec((LENGTH,), np.float64),
        "discount": replay.ArraySpec((LENGTH,), np.float64),
        "actor": replay.ArraySpec((), np.int64),
        "number": replay.ArraySpec((), np.int64),
        "version": replay.ArraySpec((), np.int64),
    }
    return [replay.Table.queue(TABLE, max_size=4 * BATCH_SIZE, signature=signature)]


class Learner:
    def __init__(
        self, client: replay.Client, num_actors: int, max_updates: int, mean_reward: float
    ) -> None:
        self._client = client
        self._max_updates = max_updates
        self._mean_reward = mean_reward
        self._version = 0
        self._params = init_params(np.random.default_rng(lp.get_context().seed))
        self._squares = {name: np.zeros_like(p) for name, p in self._params.items()}
        self._numbers = np.zeros(num_actors, np.int64)  # how many trajectories came of each

    def params(self) -> tuple[int, Params]:
        """Return how many updates there were, and the parameters after them."""
        return self._version, self._params

    def run(self) -> None:
        rewards: list[float] = []
        ages: list[float] = []
        recent = 0.0
        batches = replay.TrajectoryDataset.from_table_signature(
            self._client, TABLE, batch_size=BATCH_SIZE
        )
        for _, batch in batches:
            self._check_order(batch["actor"], batch["number"])
            ages.append(self._version - float(batch["version"].mean()))
            rewards.append(float(batch["reward"].sum() / np.sum(batch["discount"] == 0)))
            self._update(gradient(self._params, batch))
            recent = float(np.mean(rewards[-WINDOW:]))
            if self._version % 100 == 0:
                print(f"mean reward {recent:.3f} after {self._version} updates")
            if self._version >= WINDOW and recent >= self._mean_reward:
                break
            if self._version == self._max_updates:
                raise RuntimeError(f"the mean reward {recent:.3f} is below {self._mean_reward}")
        print(
            f"mean reward {recent:.3f} after {self._version} updates; trajectories were "
            f"{np.mean(ages):.1f} updates old; all in order, of each actor {self._numbers.tolist()}"
        )
        lp.stop()

    def _check_order(self, actors: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64]) -> None:
        for actor, number in zip(actors, numbers, strict=True):
            if number != self._numbers[actor]:
                expected = self._numbers[actor]
                raise RuntimeError(f"actor {actor}: trajectory {number} came, not {expected}")
            self._numbers[actor] += 1

    def _update(self, gradient: Params) -> None:
        """Take a step of RMSProp; new arrays, as the old ones may be on their way to an actor."""
        new: Params = {}
        for name, g in gradient.items():
            self._squares[name] = 0.99 * self._squares[name] + 0.01 * g * g
            new[name] = self._params[name] - LEARNING_RATE * g / np.sqrt(self._squares[name] + 0.01)
        self._params = new
        self._version += 1


def act(client: replay.Client, learner: Learner) -> None:
    """Play, and write trajectory after trajectory, until the program is stopped."""
    me, stopped = lp.get_context(), lp.stop_event()
    rng = np.random.default_rng(me.seed)
    game, number = Catch(rng), 0
    with client.trajectory_writer(num_keep_alive_refs=LENGTH + 1) as writer:
        while not stopped.is_set():
            version, params = learner.params()
            for _ in range(LENGTH):
                observation = game.observation()
                probs = forward(params, observation)[1]
                action = int(rng.choice(NUM_ACTIONS, p=probs))
                reward, ended = game.step(action)
                writer.append(
                    {
                        "observation": observation,
                        "action": action,
                        "probability": probs[action],
                        "reward": reward,
                        "discount": 0.0 if ended else DISCOUNT,
                        "actor": me.index,
                        "number": number,
                        "version": version,
                    }
                )
                if ended:
                    game.reset()
            # The observation after the last step is a column of a step that has no others: it is
            # what the value of the rest is estimated from.
            writer.append({"observation": game.observation()})
            history = writer.history
            item = {name: history[name][-LENGTH - 1 : -1] for name in PER_STEP}
            item |= {name: history[name][-2] for name in PER_ITEM}
            item["observation"] = history["observation"][-LENGTH - 1 :]
            writer.create_item(TABLE, 1.0, item)
            # Wait until the queue has taken it. Without that an actor would be far ahead of it.
            writer.end_episode()
            number += 1


def make_program(
    num_actors: int = 3, max_updates: int = 5000, mean_reward: float = 0.9
) -> lp.Program:
    """Declare the queue, the learner and the actors."""
    program = lp.Program("impala_queue")
    client = program.add_node(lp.ReverbNode(make_tables), label="queue")
    learner = program.add_node(
        lp.CourierNode(Learner, client, num_actors, max_updates, mean_reward), label="learner"
    )
    with program.group("actor"):
        for _ in range(num_actors):
            program.add_node(lp.PyNode(act, client, learner))
    return program
