"""The command line and the rounds of `rpc.py`."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from benchmarks import report
from benchmarks.calls.aims import AIMS
from benchmarks.calls.cases import CASES, PEERS, all_peers
from benchmarks.calls.results import Results
from benchmarks.calls.soak import soak

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.calls.cases import Case
    from benchmarks.calls.peer import Peer
    from benchmarks.calls.workloads import Figures

_CALM_S = 0.2  # between measurements, for what the kernel still has to tidy up


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rpc")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="of each measurement; default: %(default)s"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=list(CASES),
        metavar="CASE",
        help=f"some of: {', '.join(CASES)}",
    )
    parser.add_argument(
        "--peers", nargs="+", choices=PEERS, metavar="PEER", help=f"some of: {', '.join(PEERS)}"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round of 0.3 s, to see that all of it works"
    )
    parser.add_argument(
        "--ray_python", default=sys.executable, help="an interpreter with Ray; default: this one"
    )
    parser.add_argument("--soak", type=int, metavar="CALLS", help="look at memory instead")
    parser.add_argument(
        "--name", help="results/NAME.json; default: rpc for a whole run, else nothing is written"
    )
    return parser.parse_args()


def _present(found: Sequence[Peer]) -> dict[str, Peer]:
    present: dict[str, Peer] = {}
    for peer in found:
        missing = peer.missing()
        if missing is None:
            present[peer.name] = peer
        else:
            print(f"{peer.name} is not measured: {missing}", file=sys.stderr)
    return present


def _run_rounds(
    present: dict[str, Peer], cases: Sequence[str], rounds: int, seconds: float
) -> Results:
    """Measure every case for every peer once per round, in turn and in changing order."""
    results = Results()
    for number in range(rounds):
        for name in cases:
            case = CASES[name]
            order = [peer for peer in case.peers if peer in present]
            turn = number % max(1, len(order))
            for peer in order[turn:] + order[:turn]:
                gc.collect()
                time.sleep(_CALM_S)
                try:
                    figures = _measure_one(present[peer], case, seconds)
                except Exception as error:  # the others go on, and this one in the next round
                    shown = f"FAILED: {type(error).__name__}: {error}"
                else:
                    results.add(name, peer, number, figures)
                    shown = ", ".join(f"{key} {value:.5g}" for key, value in figures.items())
                line = f"round {number + 1}/{rounds}: {name:10} {peer:16} {shown}"
                print(line, file=sys.stderr, flush=True)
    return results


def _measure_one(peer: Peer, case: Case, seconds: float) -> Figures:
    with peer.start(case.service, case.clients) as session:
        return case.measure(session, seconds)


def main() -> None:
    """Run the benchmark."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="lp-bench-") as state:
        os.environ["XDG_STATE_HOME"] = state  # the user's own runs are none of our business
        if arguments.soak:
            sys.exit(0 if soak(arguments.soak) else 1)
        _run(arguments)


def _run(arguments: argparse.Namespace) -> None:
    machine = report.machine()
    rounds, seconds = (1, 0.3) if arguments.quick else (arguments.rounds, arguments.seconds)
    everyone = all_peers(arguments.ray_python)
    if arguments.peers:
        everyone = [peer for peer in everyone if peer.name in arguments.peers]
    present = _present(everyone)
    results = _run_rounds(present, arguments.only or list(CASES), rounds, seconds)
    aims = [aim for wanted in AIMS if (aim := wanted.check(results)) is not None]
    versions = {peer.name: peer.version() for peer in present.values() if peer.version()}
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    print(f"commit {report.commit()}; medians of {rounds} round(s) of {seconds:g} s")
    print(", ".join(f"{name} {version}" for name, version in versions.items()), end="\n\n")
    print(results.table(), end="\n\n")
    print(report.table(("aim", "limit", "measured", ""), [aim.row() for aim in aims]))
    whole = not (arguments.only or arguments.peers or arguments.quick)
    name = arguments.name or ("rpc" if whole else None)
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
