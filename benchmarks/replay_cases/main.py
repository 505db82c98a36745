"""The command line of `replay.py`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.replay_cases.aims import AIMS
from benchmarks.replay_cases.cases import CASES, PEERS, ReplayCase
from benchmarks.replay_cases.peer import ReplayPeer, all_peers
from benchmarks.rounds import Benchmark

if TYPE_CHECKING:
    from benchmarks.window import Figures


def _measure(peer: ReplayPeer, case: ReplayCase, seconds: float) -> Figures:
    return case.measure(peer, seconds)


def main() -> None:
    """Run the benchmark."""
    benchmark = Benchmark("replay", CASES, PEERS, AIMS, _measure, seconds=2.0)
    parser = benchmark.parser()
    parser.add_argument(
        "--reverb_python",
        default=sys.executable,
        help="an interpreter with dm-reverb; default: this one",
    )
    arguments = parser.parse_args()
    benchmark.run(arguments, all_peers(arguments.reverb_python))
