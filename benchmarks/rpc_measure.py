"""The measuring of `rpc.py`: our calls and the peers' in turn, medians, ratios."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import gc
import io
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent import futures
from typing import TYPE_CHECKING, Any

import grpc

import launchpad_lite as lp
from benchmarks import report
from benchmarks.rpc_work import BATCH_SIZE, IN_FLIGHT, THREADS, Array, Policy, drive
from launchpad_lite.launchers.base import LaunchOptions

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

CALM_S = 0.5  # between measurements, for what the kernel still has to tidy up
ACT = "/policy/act"
RAY_LIMIT_S = 120.0


@dataclasses.dataclass(frozen=True)
class Sample:
    """One round of a case.

    Attributes:
      rate: calls answered in a second.
      mean_batch: calls in a batch; None where there are none.
    """

    rate: float
    mean_batch: float | None = None


# --- what is measured ---


class Batched(Policy):
    """The policy, in batches."""

    def __init__(self, hidden: int) -> None:
        """Begin without batches."""
        super().__init__(hidden)
        self._sizes: list[int] = []

    @lp.batched_handler(BATCH_SIZE)
    def act(self, observation: Array) -> Array:
        """See the base class."""
        self._sizes.append(len(observation))
        return super().act(observation)

    def sizes(self) -> list[int]:
        """Return the sizes of all batches."""
        return self._sizes


def _launch(policy: type[Policy], hidden: int, calls: int) -> Sample:
    program = lp.Program("rpc")
    node = lp.CourierNode(policy, hidden).options(thread_pool_size=THREADS)
    handle = program.add_node(node, label="policy")
    options = LaunchOptions(show_output=False)
    with lp.launch(program, launcher="process", options=options) as run:
        client: Any = run.client(handle)
        rate = drive(lambda item: lp.submit(client.act, item), lambda call: call.result(), calls)
        sizes = client.sizes() if policy is Batched else None
        run.stop()
    return Sample(rate, sum(sizes) / len(sizes) if sizes else None)


def measure_batched(hidden: int, calls: int) -> Sample:
    """Call a batched method of a process node."""
    return _launch(Batched, hidden, calls)


def measure_unbatched(hidden: int, calls: int) -> Sample:
    """Call the same method, one call at a time in each thread of the server."""
    return _launch(Policy, hidden, calls)


def _serve_grpc(connection: Connection, hidden: int) -> None:
    policy = Policy(hidden)

    def act(message: bytes, _: grpc.ServicerContext) -> bytes:
        return pickle.dumps(policy.act(pickle.loads(message)), 5)

    server = grpc.server(futures.ThreadPoolExecutor(THREADS))
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(act)
    service = grpc.method_handlers_generic_handler("policy", {"act": handler})
    server.add_generic_rpc_handlers((service,))
    connection.send(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    connection.recv()
    server.stop(None)


def measure_grpc(hidden: int, calls: int) -> Sample:
    """Call a plain grpcio server in a process of its own, with pickled arrays."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve_grpc, args=(theirs, hidden), daemon=True)
    process.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{ours.recv()}") as channel:
            act: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(ACT)
            rate = drive(
                lambda item: act.future(pickle.dumps(item, 5), wait_for_ready=True),
                lambda call: pickle.loads(call.result()),
                calls,
            )
    finally:
        ours.send(None)
        process.join()
    return Sample(rate)


class Ray:
    """Ray, in an interpreter of its own."""

    def __init__(self, python: str) -> None:
        """Take the interpreter's path."""
        self._python = python
        self.version: str | None = None

    def problem(self) -> str | None:
        """Return why it cannot be measured, or None."""
        command = [self._python, "-c", "import ray"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            return f"{self._python} cannot be run: {error.strerror}"
        if done.returncode == 0:
            return None
        last = (done.stderr.strip().splitlines() or ["it failed"])[-1]
        return f"{self._python} cannot import ray ({last})"

    def __call__(self, hidden: int, calls: int) -> Sample:
        """Call an actor."""
        command = [self._python, "-m", "benchmarks.rpc_ray", str(hidden), str(calls)]
        environment = {**os.environ, "PYTHONPATH": str(report.ROOT)}
        done = subprocess.run(
            command,
            cwd=report.ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            timeout=RAY_LIMIT_S,
            check=True,
        )
        found = json.loads(done.stdout.splitlines()[-1])
        self.version = found["ray"]
        return Sample(found["rate"])


# --- what comes of it ---


Measure = Callable[[int, int], Sample]


class Results:
    """The samples of all rounds, by hidden units and case."""

    def __init__(self) -> None:
        """Begin without samples."""
        self.samples: dict[tuple[int, str], list[Sample]] = {}

    def add(self, hidden: int, case: str, sample: Sample) -> None:
        """Take the sample of one round."""
        self.samples.setdefault((hidden, case), []).append(sample)

    def rate(self, hidden: int, case: str) -> report.Spread:
        """Return a case's calls per second."""
        return report.Spread.of(sample.rate for sample in self.samples[hidden, case])

    def ratio(self, hidden: int, case: str) -> report.Spread:
        """Return the rate of batched calls over that of a case in the same round."""
        pairs = zip(self.samples[hidden, "batched"], self.samples[hidden, case], strict=True)
        return report.Spread.of(ours.rate / other.rate for ours, other in pairs)

    def mean_batch(self, hidden: int, case: str) -> report.Spread | None:
        """Return the calls in a batch; None for a case without."""
        samples = self.samples[hidden, case]
        found = [sample.mean_batch for sample in samples if sample.mean_batch is not None]
        return report.Spread.of(found) if found else None

    def aims(self) -> list[report.Aim]:
        """Return the figure that was aimed at; the worst round counts."""
        found = [self.mean_batch(*key) for key in self.samples]
        least = min(spread.low for spread in found if spread is not None)
        text = f"calls in a batch of {BATCH_SIZE}, {IN_FLIGHT} in flight, worst round"
        return [report.Aim(text, least, 30, at_least=True)]

    def table(self) -> str:
        """Return a row for each network and case."""
        head = ("hidden units", "case", "calls / s", "batched / this", "calls in a batch")
        rows: list[tuple[str, ...]] = []
        for hidden, case in sorted(self.samples, key=lambda key: key[0]):
            batch = self.mean_batch(hidden, case)
            rate, ratio = self.rate(hidden, case), self.ratio(hidden, case)
            cells = (rate.show(0), ratio.show(2), batch.show(1) if batch else "-")
            rows.append((str(hidden), case, *cells))
        return report.table(head, rows)

    def record(self) -> list[dict[str, Any]]:
        """Return all samples for JSON."""
        return [
            {
                "case": case,
                "hidden": hidden,
                "calls_per_s": dataclasses.asdict(self.rate(hidden, case)),
                "batched_over_this": dataclasses.asdict(self.ratio(hidden, case)),
                "rounds": [dataclasses.asdict(sample) for sample in samples],
            }
            for (hidden, case), samples in self.samples.items()
        ]


def run_rounds(measures: dict[str, Measure], sizes: list[int], calls: int, rounds: int) -> Results:
    """Measure every case with every network once per round, in turn and in changing order."""
    results = Results()
    order = list(measures)
    for number in range(rounds):
        for hidden in sizes:
            for case in order:
                gc.collect()
                time.sleep(CALM_S)
                with contextlib.redirect_stderr(io.StringIO()):  # "no node holds its handle"
                    sample = measures[case](hidden, calls)
                results.add(hidden, case, sample)
                line = f"{hidden:4} hidden units, {case:9} {sample.rate:7.0f} calls / s"
                print(f"round {number + 1}/{rounds}: {line}", file=sys.stderr, flush=True)
        order = order[1:] + order[:1]
    return results


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rpc")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--calls", type=int, default=3200, help="per round; default: %(default)s")
    parser.add_argument(
        "--hidden", type=int, nargs="+", default=[64, 1024], help="units; default: 64 1024"
    )
    parser.add_argument(
        "--ray_python", default=sys.executable, help="an interpreter with Ray; default: this one"
    )
    parser.add_argument("--name", default="rpc", help="results/NAME.json; default: %(default)s")
    arguments = parser.parse_args()
    measures: dict[str, Measure] = {
        "batched": measure_batched,
        "unbatched": measure_unbatched,
        "grpcio": measure_grpc,
    }
    ray = Ray(arguments.ray_python)
    missing = ray.problem()
    if missing is None:
        measures["ray"] = ray
    else:
        print(f"Ray is not measured: {missing}. Give --ray_python PATH.", file=sys.stderr)
    machine = report.machine()
    with tempfile.TemporaryDirectory(prefix="lp-bench-") as state:
        os.environ["XDG_STATE_HOME"] = state  # the user's own runs are none of our business
        results = run_rounds(measures, arguments.hidden, arguments.calls, arguments.rounds)
    aims = results.aims()
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    print(f"commit {report.commit()}; medians of {arguments.rounds} round(s) (least to greatest)")
    versions = {"grpcio": grpc.__version__, "ray": ray.version}
    print(f"{arguments.calls} calls, {IN_FLIGHT} in flight; grpcio {versions['grpcio']}, ", end="")
    print(f"Ray {versions['ray'] or 'missing'}\n")
    print(results.table(), end="\n\n")
    print(report.table(("aim", "limit", "measured", ""), [aim.row() for aim in aims]))
    path = report.write(
        arguments.name,
        {
            "machine": machine,
            "versions": versions,
            "rounds": arguments.rounds,
            "calls": arguments.calls,
            "in_flight": IN_FLIGHT,
            "batch_size": BATCH_SIZE,
            "aims": [aim.record() for aim in aims],
            "results": results.record(),
        },
    )
    print(f"\nwritten to {path.relative_to(report.ROOT)}")
