"""The command line of `rpc.py`."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import TYPE_CHECKING

from benchmarks.calls.aims import AIMS
from benchmarks.calls.cases import CASES, PEERS, CallCase, all_peers
from benchmarks.calls.soak import soak
from benchmarks.rounds import Benchmark

if TYPE_CHECKING:
    from benchmarks.calls.peer import CallPeer
    from benchmarks.window import Figures


def _measure(peer: CallPeer, case: CallCase, seconds: float) -> Figures:
    with peer.start(case.service, case.clients) as session:
        return case.measure(session, seconds)


def main() -> None:
    """Run the benchmark."""
    benchmark = Benchmark("rpc", CASES, PEERS, AIMS, _measure)
    parser = benchmark.parser()
    parser.add_argument(
        "--ray_python", default=sys.executable, help="an interpreter with Ray; default: this one"
    )
    parser.add_argument("--soak", type=int, metavar="CALLS", help="look at memory instead")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lp-bench-") as state:
        os.environ["XDG_STATE_HOME"] = state  # the user's own runs are none of our business
        if arguments.soak:
            sys.exit(0 if soak(arguments.soak) else 1)
        benchmark.run(arguments, all_peers(arguments.ray_python))
