"""The measuring of `slurm.py`: jobs of ours and bare ones in turn, medians, aims."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

import launchpad_lite as lp
from benchmarks import report
from benchmarks.slurm_nodes import Caller
from benchmarks.trivial import Trivial

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

MACHINES = 3
FEW, MANY = 16, 200
WINDOW_S = 5.0
HELD_S = 30.0
PATIENCE_S = 300.0
QUESTIONS = ("sacct", "scontrol", "sinfo", "squeue", "sstat")
MEMORY_GB = 0.04  # of each node: clusters give memory by CPUs, more than these need
LAB_CPUS = 128  # that each of the lab's machines claims to have

_BARE = """#!/bin/bash
#SBATCH --job-name=bare
#SBATCH --nodes={machines}
#SBATCH --ntasks-per-node=1
#SBATCH --output={note}.log
srun hostname
date +%s.%N > {note}.new
mv {note}.new {note}
"""


@dataclasses.dataclass(frozen=True)
class Sample:
    """One job. All seconds are from before its submission, but for the last.

    Attributes:
      first_s: until the first call between two nodes was answered; for a bare job, until its srun
        has ended.
      all_s: until all nodes have answered.
      stop_s: from asking for the end until the run is over.
      questions: when SLURM was asked something, and what.
    """

    first_s: float
    all_s: float | None = None
    stop_s: float | None = None
    questions: tuple[tuple[float, str], ...] = ()


# --- what is measured ---


class Questions:
    """Notes when SLURM is asked something, by this process and by jobs that it submits."""

    def __init__(self, directory: pathlib.Path) -> None:
        """Write the commands that note their use."""
        self._log = directory / "questions"
        commands = directory / "bin"
        commands.mkdir()
        for name in QUESTIONS:
            if (real := shutil.which(name)) is not None:
                command = commands / name
                note = f'echo "$(date +%s.%N) {name} $*" >> {self._log}'
                command.write_text(f'#!/bin/bash\n{note}\nexec {real} "$@"\n')
                command.chmod(0o755)
        os.environ["PATH"] = f"{commands}:{os.environ['PATH']}"

    @contextlib.contextmanager
    def noted(self, start: float) -> Generator[list[tuple[float, str]]]:
        """Yield a list; at the end of the block it has what was asked, in seconds after a time."""
        self._log.write_text("")
        found: list[tuple[float, str]] = []
        yield found
        for line in self._log.read_text().splitlines():
            asked, _, words = line.partition(" ")
            found.append((float(asked) - start, words))


class Cluster:
    """Submits jobs, one at a time, and tells how long they took.

    Clocks of the launching machine and of the others are compared: on a real cluster they agree to
    some milliseconds.
    """

    def __init__(self, directory: pathlib.Path, options: dict[str, str]) -> None:
        """Prepare.

        Args:
          directory: one that all machines share.
          options: of `lp.SlurmOptions`, and of sbatch.
        """
        self._note = directory / "note"
        self._options = options
        self._questions = Questions(directory)

    def bare(self) -> Sample:
        """Submit a job that runs `hostname` on each machine."""
        self._note.unlink(missing_ok=True)
        script = _BARE.format(machines=MACHINES, note=self._note)
        words = ["sbatch", *(f"--{name}={value}" for name, value in self._options.items())]
        start = time.time()
        subprocess.run(words, input=script.encode(), check=True, capture_output=True)
        (end,) = self._await_note()
        return Sample(end - start)

    def program(self, count: int, groups: int, held_s: float = 0.0) -> Sample:
        """Launch a program of so many workers in so many groups, and one that calls all.

        Args:
          count: how many workers.
          groups: of how many groups.
          held_s: how long it is left running.
        """
        self._note.unlink(missing_ok=True)
        start = time.time()
        with self._questions.noted(start) as questions:
            run = self._launch(count, groups)
            try:
                first, last = self._await_note()
                time.sleep(held_s)
                stop = time.time()
            finally:
                run.stop()
            stopped = time.time()
        return Sample(first - start, last - start, stopped - stop, tuple(questions))

    def waiting(self, seconds: float) -> Sample:
        """Submit a program that is held in the queue so long, and cancel it."""
        start = time.time()
        with self._questions.noted(start) as questions:
            run = self._launch(1, 1, extra=("--hold",))
            time.sleep(seconds)
            run.stop()
        return Sample(seconds, questions=tuple(questions))

    def _launch(self, count: int, groups: int, **more: Any) -> lp.Run:
        program = lp.Program("launch")
        labels = [f"worker_{number}" for number in range(groups)]
        workers: list[Trivial] = []
        for label in labels:
            with program.group(label):
                workers += [
                    program.add_node(lp.CourierNode(Trivial)) for _ in range(count // groups)
                ]
        program.add_node(lp.CourierNode(Caller, workers, str(self._note)), label="caller")
        spread = min(MACHINES, count // groups)
        options: dict[str, Any] = {**self._options, **more}
        return lp.launch(
            program,
            launcher="slurm",
            resources={
                "caller": lp.Resources(memory_gb=MEMORY_GB),
                **{label: lp.Resources(nodes=spread, memory_gb=MEMORY_GB) for label in labels},
            },
            options=lp.SlurmOptions(show_output=False, **options),
        )

    def _await_note(self) -> list[float]:
        deadline = time.monotonic() + PATIENCE_S
        while not self._note.exists():
            if time.monotonic() > deadline:
                message = f"nothing has written {self._note} within {PATIENCE_S:g} s"
                raise TimeoutError(message)
            time.sleep(0.01)
        return [float(each) for each in self._note.read_text().split()]


# --- what comes of it ---


def busiest(questions: Sequence[tuple[float, str]]) -> int:
    """Return how many times jobs were asked for in the busiest five seconds."""
    times = [time for time, words in questions if words.startswith(("squeue", "sacct", "sstat"))]
    return max((sum(0 <= other - time < WINDOW_S for other in times) for time in times), default=0)


class Results:
    """The samples of all rounds, by case."""

    def __init__(self) -> None:
        """Begin without samples."""
        self.samples: dict[str, list[Sample]] = {}

    def add(self, case: str, sample: Sample) -> None:
        """Take one."""
        self.samples.setdefault(case, []).append(sample)
        times = {"first": sample.first_s, "all": sample.all_s, "stop": sample.stop_s}
        shown = ", ".join(f"{name} {value:.2f} s" for name, value in times.items() if value)
        asked = f", SLURM asked {len(sample.questions)} times" if sample.questions else ""
        print(f"{case:12} {shown}{asked}", file=sys.stderr, flush=True)

    def more(self) -> report.Spread:
        """Return the seconds that a program's first call takes more than the bare job beside it."""
        pairs = zip(self.samples["16"], self.samples["bare"], strict=True)
        return report.Spread.of(ours.first_s - bare.first_s for ours, bare in pairs)

    def aims(self) -> list[report.Aim]:
        """Return the figures that were aimed at."""
        several = self.samples["200"]
        held = self.samples["200, held"][0].questions
        waiting = self.samples["waiting"][0].questions
        up = report.Spread.of(sample.all_s or 0.0 for sample in several)
        return [
            report.Aim("16 workers: first call after the bare job", self.more().median, 3, " s"),
            report.Aim("200 workers: all have answered", up.median, 60, " s"),
            report.Aim("200 workers: jobs asked for in the busiest 5 s", busiest(held), 2),
            report.Aim("a job that waits: asked for in the busiest 5 s", busiest(waiting), 2),
        ]

    def table(self) -> str:
        """Return a row for each case."""
        rows: list[tuple[str, ...]] = []
        for case, samples in self.samples.items():
            cells = [
                _spread([each.first_s for each in samples]),
                _spread([each.all_s for each in samples]),
                _spread([each.stop_s for each in samples]),
            ]
            asked = [question.split()[0] for _, question in samples[-1].questions]
            counts = ", ".join(f"{name} {asked.count(name)}" for name in dict.fromkeys(asked))
            rows.append((case, *cells, counts or "-"))
        return report.table(("case", "first, s", "all, s", "stop, s", "SLURM asked"), rows)

    def record(self) -> dict[str, Any]:
        """Return all samples for JSON."""
        return {
            case: [dataclasses.asdict(sample) for sample in samples]
            for case, samples in self.samples.items()
        }


def _spread(values: Sequence[float | None]) -> str:
    found = [value for value in values if value is not None]
    return report.Spread.of(found).show(2) if found else "-"


def measure(cluster: Cluster, rounds: int) -> Results:
    """Measure a bare job and ours in turn, and the large ones after it."""
    results = Results()
    report.compile_all()
    cluster.bare()  # files into the page cache
    cluster.program(2, 1)
    for number in range(rounds):
        turn = ("bare", "16") if number % 2 else ("16", "bare")
        for case in turn:
            results.add(case, cluster.bare() if case == "bare" else cluster.program(FEW, 1))
    for _ in range((rounds + 1) // 2):
        results.add("200", cluster.program(MANY, 2))
    results.add("200, held", cluster.program(MANY, 2, HELD_S))
    results.add("waiting", cluster.waiting(HELD_S))
    return results


def show(results: Results, rounds: int, where: str, machine: dict[str, Any], name: str) -> None:
    """Print the figures, and write them."""
    aims = results.aims()
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    print(f"commit {report.commit()}; medians of {rounds} round(s) (least to greatest); {where}\n")
    print(results.table(), end="\n\n")
    print(f"16 workers' first call less the bare job beside it: {results.more().show(2)} s\n")
    print(report.table(("aim", "limit", "measured", ""), [aim.row() for aim in aims]))
    path = report.write(
        name,
        {
            "machine": machine,
            "cluster": where,
            "rounds": rounds,
            "aims": [aim.record() for aim in aims],
            "more_than_bare_s": dataclasses.asdict(results.more()),
            "results": results.record(),
        },
    )
    print(f"\nwritten to {path.relative_to(report.ROOT)}")


def _is_there() -> bool:
    """Whether a cluster answers."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        words = ["sinfo", "-h"]
        return subprocess.run(words, capture_output=True, timeout=10, check=False).returncode == 0
    return False


def _in_lab(arguments: Sequence[str]) -> int:
    """Boot a cluster on this machine, and measure on its login node."""
    from tests.slurm import lab

    if (reason := lab.missing()) is not None:
        sys.stderr.write(f"no cluster answers, and none can be booted here: {reason}\n")
        return 1
    directory = pathlib.Path(tempfile.mkdtemp(prefix="lp-bench-", dir="/tmp"))
    with lab.Lab.boot(directory, nodes=MACHINES, cpus=LAB_CPUS, gpu_nodes=0) as booted:
        where = [f"--shared={directory}", "--where=a cluster of 3 nodes, booted on this machine"]
        words = booted.words(sys.executable, "-m", "benchmarks.slurm", *where, *arguments)
        return subprocess.run(words, env=booted.env, check=False).returncode


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slurm")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--name", default="slurm", help="results/NAME.json; default: %(default)s")
    parser.add_argument("--partition", help="of the cluster; default: its default")
    parser.add_argument("--account", help="who pays")
    parser.add_argument(
        "--shared", default=".", help="a directory that all machines share; default: this one"
    )
    parser.add_argument("--where", default="a cluster", help="what is measured, for people")
    arguments = parser.parse_args()
    if not _is_there():
        sys.exit(_in_lab(sys.argv[1:]))
    machine = report.machine()
    given = {"partition": arguments.partition, "account": arguments.account}
    options = {name: value for name, value in given.items() if value}
    with tempfile.TemporaryDirectory(prefix="lp-bench-", dir=arguments.shared) as directory:
        os.environ["XDG_STATE_HOME"] = directory  # the user's own runs are none of our business
        results = measure(Cluster(pathlib.Path(directory).absolute(), options), arguments.rounds)
    show(results, arguments.rounds, arguments.where, machine, arguments.name)
