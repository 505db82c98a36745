"""Workers train a small neural network on handwritten digits, through a parameter server.

    lp-launch examples/parameter_server.py --launcher=process --num_workers=3 --num_updates=4000

Each worker holds its own part of the training data. Again and again it takes the newest parameters,
computes a gradient on one minibatch, and pushes it to the server, which applies it at once, without
waiting for the other workers (asynchronous stochastic gradient descent). An evaluator watches the
accuracy on held-out digits, and fails unless it ends at 0.95 or more.

Needs scikit-learn for the data: pip install 'launchpad-lite[examples]'.

Source: Dean et al., "Large Scale Distributed Deep Networks", NeurIPS 2012 (Downpour SGD).
"""

import threading
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn import datasets

import launchpad_lite as lp

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

NUM_PIXELS = 64
NUM_HIDDEN = 64
NUM_CLASSES = 10
NUM_HELD_OUT = 397  # of 1797
MIN_ACCURACY = 0.95
EVAL_SECONDS = 0.5


class Digits(NamedTuple):
    images: Array  # [n, NUM_PIXELS], from 0 to 1
    labels: Labels  # [n], from 0 to 9

    def take(self, rows: Labels) -> "Digits":
        return Digits(self.images[rows], self.labels[rows])


class Params(NamedTuple):
    """The network's parameters, or a gradient with respect to them."""

    w1: Array  # [NUM_PIXELS, NUM_HIDDEN]
    b1: Array  # [NUM_HIDDEN]
    w2: Array  # [NUM_HIDDEN, NUM_CLASSES]
    b2: Array  # [NUM_CLASSES]


def load_digits(seed: int) -> tuple[Digits, Digits]:
    """Return the training digits and the held-out ones; the same seed gives the same split."""
    load: Any = datasets.load_digits
    images, labels = load(return_X_y=True)
    images = images / images.max()
    order = np.random.default_rng(seed).permutation(len(labels))
    digits = Digits(images, labels)
    return digits.take(order[NUM_HELD_OUT:]), digits.take(order[:NUM_HELD_OUT])


def init_params(seed: int) -> Params:
    """Return random weights (He et al., 2015) and zero biases."""
    rng = np.random.default_rng(seed)
    return Params(
        w1=rng.normal(0.0, np.sqrt(2 / NUM_PIXELS), (NUM_PIXELS, NUM_HIDDEN)),
        b1=np.zeros(NUM_HIDDEN),
        w2=rng.normal(0.0, np.sqrt(2 / NUM_HIDDEN), (NUM_HIDDEN, NUM_CLASSES)),
        b2=np.zeros(NUM_CLASSES),
    )


def forward(params: Params, images: Array) -> tuple[Array, Array]:
    """Return the hidden activations [n, NUM_HIDDEN] and the logits [n, NUM_CLASSES]."""
    hidden = np.maximum(images @ params.w1 + params.b1, 0.0)
    return hidden, hidden @ params.w2 + params.b2


def gradient(params: Params, batch: Digits) -> Params:
    """Return the gradient of the mean cross-entropy loss on a batch."""
    hidden, logits = forward(params, batch.images)
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    num = len(batch.labels)
    d_logits = (probs - np.eye(NUM_CLASSES)[batch.labels]) / num
    d_hidden = (d_logits @ params.w2.T) * (hidden > 0)
    return Params(
        w1=batch.images.T @ d_hidden,
        b1=d_hidden.sum(axis=0),
        w2=hidden.T @ d_logits,
        b2=d_logits.sum(axis=0),
    )


def accuracy(params: Params, digits: Digits) -> float:
    _, logits = forward(params, digits.images)
    num_right = np.count_nonzero(logits.argmax(axis=1) == digits.labels)
    return num_right / len(digits.labels)


class ParameterServer:
    """Keeps the parameters. Its methods are called from several threads at a time."""

    def __init__(self, learning_rate: float, seed: int) -> None:
        self._learning_rate = learning_rate
        self._params = init_params(seed)
        self._num_updates = 0
        self._lock = threading.Lock()

    def params(self) -> Params:
        """Return the newest parameters."""
        return self._params

    def num_updates(self) -> int:
        """Return how many gradients the parameters have in them, at least."""
        return self._num_updates

    def push(self, gradient: Params) -> None:
        """Take one step down a gradient, which may belong to parameters a few updates older."""
        with self._lock:
            # New arrays, not `-=`: the old ones may be on their way to a worker just now.
            self._params = Params(
                *(p - self._learning_rate * g for p, g in zip(self._params, gradient, strict=True))
            )
            self._num_updates += 1


def train(server: ParameterServer, num_updates: int, batch_size: int, seed: int) -> None:
    """Compute and push this worker's share of the updates."""
    me = lp.get_context()
    rng = np.random.default_rng(me.seed)  # each node's seed is its own
    digits, _ = load_digits(seed)
    my_rows = np.arange(me.index, len(digits.labels), me.group_size)
    my_updates = range(me.index, num_updates, me.group_size)
    for _ in my_updates:
        batch = digits.take(rng.choice(my_rows, batch_size))
        server.push(gradient(server.params(), batch))
    print(f"pushed {len(my_updates)} gradients, computed on {len(my_rows)} digits")


def evaluate(server: ParameterServer, num_updates: int, seed: int) -> None:
    """Print the held-out accuracy now and then; after the last update, fail if it is too low."""
    _, held_out = load_digits(seed)
    while not lp.wait_for_stop(EVAL_SECONDS):
        num_done = server.num_updates()
        result = accuracy(server.params(), held_out)
        print(f"held-out accuracy {result:.3f} after {num_done} updates")
        if num_done == num_updates:
            if result < MIN_ACCURACY:
                raise RuntimeError(f"held-out accuracy {result:.3f} is below {MIN_ACCURACY}")
            lp.stop()
            return


def make_program(
    num_workers: int = 3,
    num_updates: int = 4000,
    batch_size: int = 32,
    learning_rate: float = 0.1,
    seed: int = 0,
) -> lp.Program:
    """Declare the server, the workers and the evaluator; `num_updates` is that of all workers."""
    program = lp.Program("parameter_server")
    server = program.add_node(
        lp.CourierNode(ParameterServer, learning_rate, seed), label="parameter_server"
    )
    with program.group("worker"):
        for _ in range(num_workers):
            program.add_node(lp.PyNode(train, server, num_updates, batch_size, seed))
    program.add_node(lp.PyNode(evaluate, server, num_updates, seed), label="evaluator")
    return program
