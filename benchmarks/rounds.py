"""Rounds of cases, for one peer after the other: the command line, the order, and what is shown."""

from __future__ import annotations

import argparse
import dataclasses
import gc
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from benchmarks import report
from benchmarks.comparison import Case, Results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from benchmarks.comparison import Wanted
    from benchmarks.window import Figures

_CALM_S = 0.2  # between measurements, for what the kernel still has to tidy up


class Peer:
    """Who is measured.

    Attributes:
      name: for people, and for the results.
    """

    def __init__(self, name: str) -> None:
        """Name it."""
        self.name = name

    def missing(self) -> str | None:
        """Return why it cannot be measured here, or None."""
        return None

    def version(self) -> str | None:
        """Return the version of the package that is measured, or None where there is none."""
        return None


class ForeignPeer(Peer):
    """A peer whose package is in an interpreter of its own.

    Attributes:
      python: the interpreter.
    """

    def __init__(self, name: str, python: str, package: str, module: str, option: str) -> None:
        """Name it.

        Args:
          name: see the class.
          python: the interpreter's path.
          package: what must be installed there.
          module: what it must be able to import, beside NumPy.
          option: of the command line, which takes the path.
        """
        super().__init__(name)
        self.python = python
        self._package = package
        self._module = module
        self._option = option
        self._version: str | None = None

    def missing(self) -> str | None:
        """See the base class."""
        code = f"""
import importlib.metadata, numpy, {self._module}
print(importlib.metadata.version({self._package!r}))
"""
        command = [self.python, "-c", code]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            return f"{self.python} cannot be run: {error.strerror}"
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["it failed"])[-1]
            return f"{self.python} cannot import {self._module} ({last}); give {self._option} PATH"
        self._version = done.stdout.strip()
        return None

    def version(self) -> str | None:
        """See the base class."""
        return self._version


PeerT = TypeVar("PeerT", bound=Peer)
CaseT = TypeVar("CaseT", bound=Case)


@dataclasses.dataclass(frozen=True)
class Benchmark(Generic[PeerT, CaseT]):
    """Cases and those who take part.

    Attributes:
      name: of the module, and of the results.
      cases: by name.
      peers: the names of all who can be measured.
      wanted: what the figures are meant to be.
      measure: measures a case for a peer, in windows of so many seconds.
      seconds: the windows, if nothing else is said.
    """

    name: str
    cases: Mapping[str, CaseT]
    peers: Sequence[str]
    wanted: Sequence[Wanted]
    measure: Callable[[PeerT, CaseT, float], Figures]
    seconds: float = 1.0

    def parser(self) -> argparse.ArgumentParser:
        """Return the options that all benchmarks have."""
        parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{self.name}")
        parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
        parser.add_argument(
            "--seconds",
            type=float,
            default=self.seconds,
            help="of each measurement; default: %(default)s",
        )
        parser.add_argument(
            "--only",
            nargs="+",
            choices=list(self.cases),
            metavar="CASE",
            help=f"some of: {', '.join(self.cases)}",
        )
        parser.add_argument(
            "--peers",
            nargs="+",
            choices=self.peers,
            metavar="PEER",
            help=f"some of: {', '.join(self.peers)}",
        )
        parser.add_argument(
            "--quick", action="store_true", help="one round of 0.3 s, to see that all of it works"
        )
        parser.add_argument(
            "--name",
            help=f"results/NAME.json; default: {self.name} for a whole run, else nothing's written",
        )
        return parser

    def run(self, arguments: argparse.Namespace, everyone: Iterable[PeerT]) -> None:
        """Measure, show all figures, and write them.

        Args:
          arguments: of the `parser`.
          everyone: those who can be measured.
        """
        machine = report.machine()
        report.compile_all()
        rounds, seconds = (1, 0.3) if arguments.quick else (arguments.rounds, arguments.seconds)
        asked = arguments.peers or self.peers
        present = _present([peer for peer in everyone if peer.name in asked])
        results = self._rounds(present, arguments.only or list(self.cases), rounds, seconds)
        aims = [aim for wanted in self.wanted if (aim := wanted.check(results)) is not None]
        versions = {peer.name: peer.version() for peer in present.values() if peer.version()}
        print(", ".join(f"{key} {value}" for key, value in machine.items()))
        print(f"commit {report.commit()}; medians of {rounds} round(s) of {seconds:g} s")
        print(", ".join(f"{name} {version}" for name, version in versions.items()), end="\n\n")
        print(results.table(), end="\n\n")
        print(report.table(("aim", "limit", "measured", ""), [aim.row() for aim in aims]))
        whole = not (arguments.only or arguments.peers or arguments.quick)
        name = arguments.name or (self.name if whole else None)
        if name is None:
            return
        path = report.write(
            name,
            {
                "machine": machine,
                "versions": versions,
                "rounds": rounds,
                "seconds": seconds,
                "aims": [aim.record() for aim in aims],
                "results": results.record(),
            },
        )
        print(f"\nwritten to {path.relative_to(report.ROOT)}")

    def _rounds(
        self, present: dict[str, PeerT], cases: Sequence[str], rounds: int, seconds: float
    ) -> Results:
        """Measure every case for every peer once per round, in turn and in changing order."""
        results = Results(self.cases)
        for number in range(rounds):
            for name in cases:
                case = self.cases[name]
                order = [peer for peer in case.peers if peer in present]
                turn = number % max(1, len(order))
                for peer in order[turn:] + order[:turn]:
                    gc.collect()
                    time.sleep(_CALM_S)
                    try:
                        figures = self.measure(present[peer], case, seconds)
                    except Exception as error:  # the others go on, and this one in the next round
                        shown = f"FAILED: {type(error).__name__}: {error}"
                    else:
                        results.add(name, peer, number, figures)
                        shown = ", ".join(f"{key} {value:.5g}" for key, value in figures.items())
                    line = f"round {number + 1}/{rounds}: {name:11} {peer:16} {shown}"
                    print(line, file=sys.stderr, flush=True)
        return results


def _present(found: Sequence[PeerT]) -> dict[str, PeerT]:
    present: dict[str, PeerT] = {}
    for peer in found:
        missing = peer.missing()
        if missing is None:
            present[peer.name] = peer
        else:
            print(f"{peer.name} is not measured: {missing}", file=sys.stderr)
    return present
