"""The measuring of `launch.py`: launchers and peers in turn, medians, ratios, aims."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import gc
import io
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

import psutil

import launchpad_lite as lp
from benchmarks import report
from benchmarks.trivial import Trivial, serve
from launchpad_lite.launchers.base import LaunchOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

MB = 2**20
CALM_S = 0.2  # between measurements, for what the kernel still has to tidy up


@dataclasses.dataclass(frozen=True)
class Sample:
    """One start and stop.

    Attributes:
      up_s: until the last node has answered.
      stop_s: from asking for the end until all is gone; None where there is nothing to ask.
      mb: the private memory of each process, or the launching process's growth per thread node.
    """

    up_s: float
    stop_s: float | None
    mb: tuple[float, ...]


# --- what is measured ---


def _private_mb(pid: int) -> float:
    """Return the memory that would come back if the process ended (smaps_rollup, Private_*)."""
    return float(psutil.Process(pid).memory_full_info().uss) / MB


def _launch(launcher: str, count: int) -> Sample:
    program = lp.Program("launch")
    with program.group("trivial"):
        handles = [program.add_node(lp.CourierNode(Trivial)) for _ in range(count)]
    mine = os.getpid()
    before = _private_mb(mine)
    start = time.perf_counter()
    with contextlib.redirect_stderr(io.StringIO()):  # "no node holds its handle": this process does
        run = lp.launch(program, launcher=launcher, options=LaunchOptions(show_output=False))
    try:
        pids = {run.client(handle).pid() for handle in handles}
        up = time.perf_counter() - start
        if launcher == "thread":
            assert pids == {mine}
            memory = [(_private_mb(mine) - before) / count]
        else:
            assert len(pids) == count
            memory = [_private_mb(pid) for pid in pids]
        start = time.perf_counter()
    finally:
        run.stop()
    stop = time.perf_counter() - start
    left = run.leftovers(1.0)
    assert not left, left
    return Sample(up, stop, tuple(memory))


def measure_thread(count: int) -> Sample:
    """Launch nodes as threads and call each."""
    return _launch("thread", count)


def measure_process(count: int) -> Sample:
    """Launch nodes as processes and call each."""
    return _launch("process", count)


def measure_spawn(count: int) -> Sample:
    """Start processes with multiprocessing's spawn and call each over a pipe."""
    spawn = multiprocessing.get_context("spawn")
    pairs: list[tuple[SpawnProcess, Connection]] = []
    start = time.perf_counter()
    for _ in range(count):
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=serve, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        pairs.append((process, ours))
    for _, pipe in pairs:
        pipe.send("pid")
    pids = {pipe.recv() for _, pipe in pairs}
    up = time.perf_counter() - start
    assert len(pids) == count
    memory = [_private_mb(pid) for pid in pids]
    start = time.perf_counter()
    for _, pipe in pairs:
        pipe.send(None)
    for process, pipe in pairs:
        process.join()
        pipe.close()
        process.close()
    return Sample(up, time.perf_counter() - start, tuple(memory))


def measure_cold(count: int) -> Sample:
    """Start interpreters that import NumPy and grpcio, and wait until all have ended."""
    command = [sys.executable, "-c", "import numpy, grpc"]
    start = time.perf_counter()
    for process in [subprocess.Popen(command) for _ in range(count)]:
        assert process.wait() == 0
    return Sample(time.perf_counter() - start, None, ())


CASES: dict[str, Callable[[int], Sample]] = {
    "thread": measure_thread,
    "process": measure_process,
    "spawn": measure_spawn,
    "cold": measure_cold,
}


def _check_nothing_left() -> None:
    """Fail if a measurement left a process running (the resource tracker is the interpreter's)."""
    left = [
        child.cmdline()
        for child in psutil.Process().children(recursive=True)
        if "resource_tracker" not in " ".join(child.cmdline())
    ]
    assert not left, left


# --- what comes of it ---


class Results:
    """The samples of all rounds."""

    def __init__(self, sizes: list[int]) -> None:
        """Begin without samples."""
        self.sizes = sizes
        self.samples: dict[tuple[str, int], list[Sample]] = {}

    def add(self, case: str, count: int, sample: Sample) -> None:
        """Take the sample of one round."""
        self.samples.setdefault((case, count), []).append(sample)

    def up(self, case: str, count: int) -> report.Spread:
        """Return the seconds until the last node has answered."""
        return report.Spread.of(sample.up_s for sample in self.samples[case, count])

    def stop(self, case: str, count: int) -> report.Spread | None:
        """Return the seconds that stopping takes."""
        found = [s.stop_s for s in self.samples[case, count] if s.stop_s is not None]
        return report.Spread.of(found) if found else None

    def memory(self, case: str, count: int) -> tuple[float, float] | None:
        """Return the mean and the greatest private memory of a node, in MB, over all rounds."""
        found = [mb for sample in self.samples[case, count] for mb in sample.mb]
        return (statistics.fmean(found), max(found)) if found else None

    def ratio(self, case: str, count: int) -> report.Spread:
        """Return the time of a case over that of spawn in the same round."""
        pairs = zip(self.samples[case, count], self.samples["spawn", count], strict=True)
        return report.Spread.of(ours.up_s / peer.up_s for ours, peer in pairs)

    def marginal_ms(self, case: str, low: int, high: int) -> float:
        """Return what one more node costs between two sizes, in ms."""
        more = self.up(case, high).median - self.up(case, low).median
        return 1000 * more / (high - low)

    def aims(self) -> list[report.Aim]:
        """Return the figures that were aimed at, for the sizes that were measured."""
        aims: list[report.Aim] = []
        if 128 in self.sizes:
            aims.append(
                report.Aim(
                    "128 process nodes: time over spawn's", self.ratio("process", 128).median, 1 / 5
                )
            )
            _, most = self.memory("process", 128) or (0.0, 0.0)
            aims.append(
                report.Aim("128 process nodes: private memory of the largest", most, 12, " MB")
            )
        if {8, 32, 128} <= set(self.sizes):
            first = self.marginal_ms("process", 8, 32)
            last = self.marginal_ms("process", 32, 128)
            per_node = [self.up("process", n).median / n for n in (8, 128)]
            aims += [
                report.Aim(
                    "process nodes: time / node, 128 over 8", per_node[1] / per_node[0], 1.25
                ),
                report.Aim(
                    f"process nodes: one more costs {last:.1f} ms to 128, {first:.1f} ms to 32",
                    last / first,
                    1.25,
                ),
            ]
        if 32 in self.sizes:
            up = self.up("thread", 32).median
            aims.append(report.Aim("32 thread nodes up", up, 0.1, " s"))
        return aims

    def table(self) -> str:
        """Return a row for each size and case."""
        head = (
            "nodes",
            "case",
            "up, s",
            "ms / node",
            "up / spawn's",
            "private MB, mean (max)",
            "stop, s",
        )
        rows: list[tuple[str, ...]] = []
        for count in self.sizes:
            for case in CASES:
                up, stop = self.up(case, count), self.stop(case, count)
                memory = self.memory(case, count)
                rows.append(
                    (
                        str(count),
                        case,
                        up.show(3),
                        f"{1000 * up.median / count:.1f}",
                        self.ratio(case, count).show(3),
                        f"{memory[0]:.2f} ({memory[1]:.2f})" if memory else "-",
                        stop.show(3) if stop else "-",
                    )
                )
        return report.table(head, rows)

    def record(self) -> list[dict[str, Any]]:
        """Return all samples for JSON."""
        return [
            {
                "case": case,
                "nodes": count,
                "up_s": dataclasses.asdict(self.up(case, count)),
                "ratio_to_spawn": dataclasses.asdict(self.ratio(case, count)),
                "stop_s": dataclasses.asdict(stop) if (stop := self.stop(case, count)) else None,
                "private_mb_mean_max": self.memory(case, count),
                "rounds": [{"up_s": s.up_s, "stop_s": s.stop_s} for s in samples],
            }
            for (case, count), samples in self.samples.items()
        ]


def run_rounds(sizes: list[int], rounds: int) -> Results:
    """Measure every case at every size, once per round, in turn and in changing order."""
    results = Results(sizes)
    cases = list(CASES)
    report.compile_all()
    for warm_up in CASES.values():  # files into the page cache, modules into this process
        warm_up(2)
    for number in range(rounds):
        for count in sizes:
            for case in cases:
                gc.collect()
                time.sleep(CALM_S)
                sample = CASES[case](count)
                _check_nothing_left()
                results.add(case, count, sample)
                stop = "" if sample.stop_s is None else f", stop {sample.stop_s:.3f} s"
                print(
                    f"round {number + 1}/{rounds}: {count:3} {case:7} up {sample.up_s:.3f} s{stop}",
                    file=sys.stderr,
                    flush=True,
                )
        cases = cases[1:] + cases[:1]
    return results


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.launch", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[2, 8, 32, 128], help="default: 2 8 32 128"
    )
    parser.add_argument("--name", default="launch", help="results/NAME.json; default: %(default)s")
    arguments = parser.parse_args()
    machine = report.machine()
    with tempfile.TemporaryDirectory(prefix="lp-bench-") as state:
        os.environ["XDG_STATE_HOME"] = state  # the user's own runs are none of our business
        results = run_rounds(arguments.sizes, arguments.rounds)
    aims = results.aims()
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    print(f"commit {report.commit()}; medians of {arguments.rounds} round(s) (least to greatest)")
    print("every case is warm: each ran once before\n")
    print(results.table(), end="\n\n")
    print(report.table(("aim", "limit", "measured", ""), [aim.row() for aim in aims]))
    path = report.write(
        arguments.name,
        {
            "machine": machine,
            "rounds": arguments.rounds,
            "aims": [aim.record() for aim in aims],
            "results": results.record(),
        },
    )
    print(f"\nwritten to {path.relative_to(report.ROOT)}")
