"""Actors, a prioritized replay buffer and a learner balance a pole: double DQN on CartPole.

    lp-launch examples/dqn.py --launcher=process --num_actors=2 --plot=dqn.png

Actors play with a copy of the learner's parameters and write 5-step transitions into the buffer.
The learner samples them by priority, and its errors are the new priorities. An evaluator plays
without exploration, 20 episodes with the same parameters; it ends the program when their mean
return has reached the target, and fails if that takes too long. It also asks the buffer for its
counts: the plot shows the learning curve above and the samples per insert below. The rate limiter
holds actors and learner to 16 samples of each transition, however fast either of them is.

Needs gymnasium and matplotlib: pip install 'launchpad-lite[examples]'.

Sources: van Hasselt et al., "Deep Reinforcement Learning with Double Q-learning", AAAI 2016;
Schaul et al., "Prioritized Experience Replay", ICLR 2016; Horgan et al., "Distributed Prioritized
Experience Replay", ICLR 2018.
"""

import itertools
import time
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import numpy.typing as npt

import launchpad_lite as lp
from launchpad_lite import replay

Array = npt.NDArray[Any]  # float32
Params = list[Array]
"""Weights and biases, layer after layer: w1, b1, w2, b2, w3, b3."""

TABLE = "transitions"
SIZES = (4, 64, 64, 2)  # observation, hidden layers, actions
NUM_STEPS = 5  # from the action to the observation that its value is estimated with
DISCOUNT = 0.995
BATCH_SIZE = 64
SAMPLES_PER_INSERT = 16.0
MIN_SIZE = 1_000  # transitions before learning begins
ERROR_BUFFER = 200 * SAMPLES_PER_INSERT  # either side may be 200 transitions ahead
PRIORITY_EXPONENT, IMPORTANCE_EXPONENT = 0.6, 0.4
NEW_PRIORITY = 3.0  # above the error of most, so that what is new is soon sampled
LEARNING_RATE = 1e-3
AVERAGING = 0.01  # how much of each update's parameters goes into their running average
EXPLORE_STEPS = 4_000  # steps of an actor, until it acts at random in only 1 of 20
REFRESH_STEPS = 50  # steps of an actor between looks at the learner's parameters
NUM_EPISODES = 20  # of an evaluation


def init_params(rng: np.random.Generator) -> Params:
    """Return random weights (He et al., 2015) and zero biases."""
    params: Params = []
    for rows, columns in itertools.pairwise(SIZES):
        weights = rng.normal(0.0, np.sqrt(2 / rows), (rows, columns))
        params += [weights.astype(np.float32), np.zeros(columns, np.float32)]
    return params


def forward(params: Params, observation: Array) -> tuple[Array, Array, Array]:
    """Return the activations of both hidden layers, and each action's value [..., actions]."""
    w1, b1, w2, b2, w3, b3 = params
    hidden1 = np.maximum(observation @ w1 + b1, 0)
    hidden2 = np.maximum(hidden1 @ w2 + b2, 0)
    return hidden1, hidden2, hidden2 @ w3 + b3


def gradient(params: Params, inputs: Array, hidden1: Array, hidden2: Array, d_out: Array) -> Params:
    """Return the gradient of a loss, from that with respect to the values, [batch, actions]."""
    d_hidden2 = (d_out @ params[4].T) * (hidden2 > 0)
    d_hidden1 = (d_hidden2 @ params[2].T) * (hidden1 > 0)
    layers = (inputs, d_hidden1), (hidden1, d_hidden2), (hidden2, d_out)
    return [part for x, d in layers for part in (x.T @ d, d.sum(axis=0))]


def best_action(params: Params, observation: Array) -> int:
    return int(forward(params, observation)[2].argmax())


class Adam:
    """Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015."""

    def __init__(self, params: Params) -> None:
        self._means = [np.zeros_like(p) for p in params]
        self._squares = [np.zeros_like(p) for p in params]
        self._count = 0

    def step(self, params: Params, gradient: Params) -> Params:
        """Return new arrays: the old ones may be on their way to an actor just now."""
        self._count += 1
        rate = LEARNING_RATE * np.sqrt(1 - 0.999**self._count) / (1 - 0.9**self._count)
        new: Params = []
        for p, g, mean, square in zip(params, gradient, self._means, self._squares, strict=True):
            mean += 0.1 * (g - mean)  # noqa: PLW2901 - in place
            square += 0.001 * (g * g - square)  # noqa: PLW2901
            new.append((p - rate * mean / (np.sqrt(square) + 1e-8)).astype(np.float32))
        return new


def make_tables() -> list[replay.Table]:
    """Return the one table."""
    steps = (NUM_STEPS,)
    return [
        replay.Table(
            name=TABLE,
            sampler=replay.selectors.Prioritized(PRIORITY_EXPONENT),
            remover=replay.selectors.Fifo(),
            max_size=20_000,
            rate_limiter=replay.rate_limiters.SampleToInsertRatio(
                SAMPLES_PER_INSERT, min_size_to_sample=MIN_SIZE, error_buffer=ERROR_BUFFER
            ),
            signature={
                "observation": replay.ArraySpec((NUM_STEPS + 1, SIZES[0]), np.float32),
                "action": replay.ArraySpec((), np.int64),
                "reward": replay.ArraySpec(steps, np.float32),
                "discount": replay.ArraySpec(steps, np.float32),
            },
        )
    ]


class Learner:
    def __init__(self, client: replay.Client) -> None:
        self._client = client
        self._params = init_params(np.random.default_rng(lp.get_context().seed))
        self._average: Params = self._params
        self._updates = 0

    def params(self) -> tuple[int, Params]:
        """Return how many updates there were, and the average of the parameters after them."""
        return self._updates, self._average

    def run(self) -> None:
        """Learn until the program is stopped, which ends the iteration."""
        adam = Adam(self._params)
        batches = replay.TrajectoryDataset.from_table_signature(
            self._client, TABLE, batch_size=BATCH_SIZE
        )
        for info, batch in batches:
            # What is sampled more often than others counts less, by the same factor.
            weights = (info.probability * info.table_size) ** -IMPORTANCE_EXPONENT
            grads, errors = self._gradient(batch, weights / weights.max())
            self._params = adam.step(self._params, grads)
            pairs = zip(self._average, self._params, strict=True)
            self._average = [mean + np.float32(AVERAGING) * (p - mean) for mean, p in pairs]
            self._updates += 1
            self._client.update_priorities(TABLE, info.key, np.abs(errors) + 0.01)

    def _gradient(self, batch: Any, weights: Array) -> tuple[Params, Array]:
        """Return the gradient of the Huber loss, and the temporal-difference errors [batch]."""
        params, rows = self._params, np.arange(len(weights))
        first, last = batch["observation"][:, 0], batch["observation"][:, -1]
        # The newest network chooses the last action, and the average says what it is worth.
        actions = forward(params, last)[2].argmax(axis=1)
        returns = forward(self._average, last)[2][rows, actions]
        for step in reversed(range(NUM_STEPS)):
            returns = batch["reward"][:, step] + batch["discount"][:, step] * returns
        hidden1, hidden2, values = forward(params, first)
        errors = values[rows, batch["action"]] - returns
        d_values = np.zeros_like(values)
        d_values[rows, batch["action"]] = np.clip(errors, -1, 1) * weights / len(weights)
        return gradient(params, first, hidden1, hidden2, d_values), errors


class Transitions:
    """Makes items of an actor's steps."""

    def __init__(self, writer: replay.TrajectoryWriter) -> None:
        self._writer = writer

    def add(self, observation: Array, action: int, reward: float, discount: float) -> None:
        """Add a step, and make an item of it and those before it."""
        self._writer.append(
            {
                "observation": observation,
                "action": action,
                "reward": np.float32(reward),
                "discount": np.float32(discount),
            }
        )
        if self._writer.episode_steps > NUM_STEPS:
            history, first = self._writer.history, -NUM_STEPS - 1
            item = {
                "observation": history["observation"][first:],
                "action": history["action"][first],
                "reward": history["reward"][first:-1],
                "discount": history["discount"][first:-1],
            }
            self._writer.create_item(TABLE, NEW_PRIORITY, item)

    def end(self, observation: Array, *, terminated: bool) -> None:
        """End the episode with its last observation.

        Where it was only cut off by the time limit, the last transitions are not made: what would
        have come is unknown. Where the pole has fallen, nothing comes, and that is what they say.
        """
        for _ in range(NUM_STEPS if terminated else 1):
            self.add(observation, 0, 0.0, 0.0)
        self._writer.end_episode()


def act(client: replay.Client, learner: Learner) -> None:
    """Play, exploring less and less, until the program is stopped."""
    me = lp.get_context()
    rng = np.random.default_rng(me.seed)
    env = gymnasium.make("CartPole-v1")
    steps, params, stopped = 0, learner.params()[1], lp.stop_event()
    with client.trajectory_writer(num_keep_alive_refs=NUM_STEPS + 1) as writer:
        transitions = Transitions(writer)
        while not stopped.is_set():
            observation, _ = env.reset(seed=int(2**31 * rng.random()))
            terminated = truncated = False
            while not (terminated or truncated):
                if steps % REFRESH_STEPS == 0:
                    params = learner.params()[1]
                epsilon = max(0.05, 1 - steps / EXPLORE_STEPS)
                explores = rng.random() < epsilon
                action = int(rng.integers(2)) if explores else best_action(params, observation)
                following, reward, terminated, truncated, _ = env.step(action)
                discount = 0.0 if terminated else DISCOUNT
                transitions.add(observation, action, float(reward), discount)
                observation, steps = following, steps + 1
            transitions.end(observation, terminated=terminated)


class Point(NamedTuple):
    """What the evaluator saw at some time."""

    seconds: float
    updates: int
    mean_return: float
    inserts: int
    ratio: float  # samples per insert


def evaluate(
    client: replay.Client, learner: Learner, target_return: float, max_seconds: float, plot: str
) -> None:
    """Play without exploring; end the program when it goes well enough.

    Raises:
      RuntimeError: it does not, in time.
    """
    rng = np.random.default_rng(lp.get_context().seed)
    env, begin = gymnasium.make("CartPole-v1"), time.monotonic()
    points: list[Point] = []
    reached = False
    while not reached and time.monotonic() - begin < max_seconds:
        if lp.wait_for_stop(0.5):
            return
        updates, params = learner.params()
        seeds = rng.integers(2**31, size=NUM_EPISODES).tolist()
        returns = [episode_return(env, params, seed) for seed in seeds]
        counts = client.server_info()[TABLE].rate_limiter_info
        point = Point(
            seconds=time.monotonic() - begin,
            updates=updates,
            mean_return=sum(returns) / len(returns),
            inserts=counts.insert_stats.completed,
            ratio=counts.sample_stats.completed / max(1, counts.insert_stats.completed),
        )
        points.append(point)
        print(
            f"{point.seconds:.0f} s: mean return {point.mean_return:.1f} after {updates} updates, "
            f"{point.inserts} transitions, {point.ratio:.2f} samples of each"
        )
        reached = point.mean_return >= target_return
    if plot:
        draw(points, target_return, plot)
    if not reached:
        raise RuntimeError(f"no mean return of {target_return} within {max_seconds} seconds")
    print(f"reached: {NUM_EPISODES} episodes have a mean return of {points[-1].mean_return:.1f}")
    lp.stop()


def episode_return(env: gymnasium.Env[Any, Any], params: Params, seed: int) -> float:
    observation, _ = env.reset(seed=seed)
    total, ended = 0.0, False
    while not ended:
        observation, reward, terminated, truncated, _ = env.step(best_action(params, observation))
        total, ended = total + float(reward), terminated or truncated
    return total


def draw(points: list[Point], target_return: float, path: str) -> None:
    """Draw the learning curve, and how often a transition was sampled, over the seconds."""
    from matplotlib.figure import Figure  # only for the plot

    seconds = [point.seconds for point in points]
    figure: Any = Figure(figsize=(7, 6), layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    above.plot(seconds, [point.mean_return for point in points], marker=".")
    above.axhline(target_return, color="gray", linestyle=":", label=f"target {target_return:g}")
    above.set(title="double DQN on CartPole-v1", ylabel=f"mean return of {NUM_EPISODES} episodes")
    above.legend()
    # What the limiter allows: as many samples as the inserts after the first MIN_SIZE have earned,
    # give or take the buffer.
    inserts = np.maximum([point.inserts for point in points], 1)
    earned = SAMPLES_PER_INSERT * (inserts - MIN_SIZE)
    low, high = ((earned + buffer) / inserts for buffer in (-ERROR_BUFFER, ERROR_BUFFER))
    below.fill_between(seconds, low.clip(0), high.clip(0), alpha=0.2, label="allowed")
    below.plot(seconds, [point.ratio for point in points], marker=".", label="measured")
    below.axhline(SAMPLES_PER_INSERT, color="gray", linestyle=":", label="set")
    below.set(xlabel="seconds", ylabel="samples per insert", ylim=(0, None))
    below.legend(loc="lower right")
    figure.savefig(path)
    print(f"the plot is {path}")


def make_program(
    num_actors: int = 2, target_return: float = 450.0, max_seconds: float = 600.0, plot: str = ""
) -> lp.Program:
    """Declare the buffer, the learner, the actors and the evaluator."""
    program = lp.Program("dqn")
    client = program.add_node(lp.ReverbNode(make_tables), label="replay")
    learner = program.add_node(lp.CourierNode(Learner, client), label="learner")
    with program.group("actor"):
        for _ in range(num_actors):
            program.add_node(lp.PyNode(act, client, learner))
    program.add_node(
        lp.PyNode(evaluate, client, learner, target_return, max_seconds, plot), label="evaluator"
    )
    return program
