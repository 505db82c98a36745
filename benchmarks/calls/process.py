"""What Linux knows of a process. Ray's interpreter imports it too, so it needs nothing."""

from __future__ import annotations

import os
import pathlib


def _of(pid: int | None) -> pathlib.Path:
    return pathlib.Path("/proc") / ("self" if pid is None else str(pid))


def resident_mb(pid: int | None = None) -> float:
    """Return the resident memory of a process, in MB; None for this one."""
    pages = int((_of(pid) / "statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def private_kb(pid: int) -> int:
    """Return what would come back if the process ended (smaps_rollup, Private_*), in kB."""
    lines = (_of(pid) / "smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def cpu_s(pid: int) -> float:
    """Return the seconds that the threads of a process have run, to the nanosecond."""
    threads = (_of(pid) / "task").glob("*/schedstat")
    return sum(int(path.read_text(encoding="ascii").split()[0]) for path in threads) / 1e9
