"""Readers stream minibatches to a learner, which stops when it has learnt enough.

    lp-launch examples/streaming.py --launcher=process --num_readers=2

Each reader has a shard of the data. Its method `batches` is a generator without an end: it
shuffles the shard again and again and yields minibatches. The readers prepare the next ones while
the learner learns, and are never far ahead of it: a generator waits at its `yield` until there is
room on the way. When the learner leaves its loop, the generators end too.
"""

import contextlib
import itertools
import threading
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

import launchpad_lite as lp

Array = npt.NDArray[np.float64]
Batch = tuple[Array, Array]
"""Features [rows, features], and targets [rows]."""

NUM_FEATURES = 256
NUM_ROWS = 4096
NOISE = 0.1


def make_shard(seed: int) -> Batch:
    """Return features, and targets that depend on them in a linear way."""
    weights = np.random.default_rng(0).normal(size=NUM_FEATURES)  # the same for all shards
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(NUM_ROWS, NUM_FEATURES))
    return features, features @ weights + rng.normal(scale=NOISE, size=NUM_ROWS)


def in_turn(streams: Iterable[Iterator[Batch]]) -> Iterator[Batch]:
    """Yield one value of each stream, and again, without end."""
    for stream in itertools.cycle(streams):
        yield next(stream)


class Reader:
    def __init__(self, seed: int) -> None:
        self._features, self._targets = make_shard(seed)
        self._rng = np.random.default_rng(seed)
        self._made = 0
        self._ended = threading.Event()

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield minibatches, epoch after epoch, until the reader of the stream has enough."""
        try:
            while True:
                order = self._rng.permutation(NUM_ROWS)
                for rows in np.split(order, range(batch_size, NUM_ROWS, batch_size)):
                    self._made += 1
                    yield self._features[rows], self._targets[rows]
        finally:
            self._ended.set()  # runs when the learner has left its loop

    def made(self) -> int:
        """Wait until the stream has ended; return how many minibatches were made for it."""
        self._ended.wait()
        return self._made


class Learner:
    def __init__(self, readers: list[Reader], batch_size: int, loss: float) -> None:
        self._readers = readers
        self._batch_size = batch_size
        self._loss = loss

    def run(self) -> None:
        weights, used, loss = np.zeros(NUM_FEATURES), 0, np.inf
        with contextlib.ExitStack() as streams:  # closes them, however the block is left
            shards = [
                streams.enter_context(lp.stream(reader.batches, self._batch_size))
                for reader in self._readers
            ]
            for features, targets in in_turn(shards):
                used += 1
                errors = features @ weights - targets
                loss = float(np.mean(errors**2))  # of data that it has not seen yet, at first
                if loss < self._loss:
                    break
                weights -= features.T @ errors / (2 * len(errors))
        made = [reader.made() for reader in self._readers]
        print(f"loss {loss:.4f} after {used} minibatches; the readers had made {sum(made)}")
        lp.stop()


def make_program(num_readers: int = 2, batch_size: int = 512, loss: float = 0.02) -> lp.Program:
    """Declare `num_readers` readers, and a learner that stops at a loss."""
    program = lp.Program("streaming")
    with program.group("reader"):
        readers = [program.add_node(lp.CourierNode(Reader, 1 + i)) for i in range(num_readers)]
    learner = lp.CourierNode(Learner, readers, batch_size, loss)
    program.add_node(learner, label="learner")
    return program
