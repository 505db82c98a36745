"""Many small calls, and what the memory of both sides does meanwhile."""

from __future__ import annotations

import time

from benchmarks import report
from benchmarks.calls.peers.ours import Ours
from benchmarks.calls.process import resident_mb
from benchmarks.calls.service import Echo, Service
from benchmarks.calls.workloads import Many
from benchmarks.comparison import OURS

_PARTS = 20
_LIMIT_MB = 2.0


def soak(calls: int) -> bool:
    """Make so many calls; print the memory after each part of them, and whether it grew.

    The first tenth is warming up.
    """
    part_calls = -(-calls // _PARTS)
    with Ours(OURS).start(Service(Echo), 1) as session:
        pid = int(session.ask("pid"))
        sizes: list[tuple[float, float]] = []
        for part in range(1, _PARTS + 1):
            start = time.monotonic()
            client = session.measure(Many(part_calls))[0]["resident_mb"]
            rate = part_calls / (time.monotonic() - start)
            sizes.append((resident_mb(pid), client))
            line = f"server {sizes[-1][0]:8.2f} MB, client {client:8.2f} MB, {rate:7.0f} calls/s"
            print(f"{part * part_calls:12,} calls: {line}", flush=True)
    warm = sizes[_PARTS // 10 - 1 :]
    aims = [
        report.Aim(
            f"growth of the {side} over {calls:,} calls", most - warm[0][index], _LIMIT_MB, " MB"
        )
        for index, side in enumerate(("server", "client"))
        for most in [max(pair[index] for pair in warm)]
    ]
    print("\n" + report.table(("aim", "limit", "measured", ""), [aim.row() for aim in aims]))
    return all(aim.met for aim in aims)
