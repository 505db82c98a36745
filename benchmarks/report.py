"""What the benchmarks share: medians, the machine, tables, and JSON in `results/`."""

from __future__ import annotations

import compileall
import dataclasses
import datetime as dt
import json
import os
import pathlib
import platform
import statistics
import subprocess
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


@dataclasses.dataclass(frozen=True)
class Spread:
    """A figure that was measured once in each round.

    Attributes:
      median: of the rounds.
      low: the least.
      high: the greatest.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Summarize the rounds' values."""
        found = list(values)
        return cls(statistics.median(found), min(found), max(found))

    def show(self, digits: int) -> str:
        """Return `median (low to high)`."""
        return f"{self.median:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


@dataclasses.dataclass(frozen=True)
class Aim:
    """A figure that we want to reach.

    Attributes:
      text: what is wanted.
      value: what was measured.
      limit: the value must be below it.
      unit: of both.
      at_least: the value must not be below the limit instead.
    """

    text: str
    value: float
    limit: float
    unit: str = ""
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return (self.value >= self.limit) if self.at_least else (self.value < self.limit)

    def row(self) -> tuple[str, str, str, str]:
        """Return it as a row of a table: aim, limit, measured, verdict."""
        verdict = "met" if self.met else "MISSED"
        limit = f"{'>=' if self.at_least else '<'} {self.limit:.3g}{self.unit}"
        return self.text, limit, f"{self.value:.3g}{self.unit}", verdict

    def record(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {**dataclasses.asdict(self), "met": self.met}


def machine() -> dict[str, Any]:
    """Describe where the figures come from; they mean little anywhere else."""
    models = [
        line.partition(":")[2].strip()
        for line in _read("/proc/cpuinfo").splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_at_start": round(os.getloadavg()[0], 2),
    }


def _read(path: str) -> str:
    try:
        return pathlib.Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def compile_all() -> None:
    """Compile all to bytecode, as it is once installed: processes that start do not have to."""
    for package in ("benchmarks", "launchpad_lite"):
        compileall.compile_dir(ROOT / package, quiet=1)


def commit() -> str:
    """Return the commit that was measured, marked when the tree differs from it."""
    return _git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*") or "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *arguments],  # noqa: S607 - whichever git the user has
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows of cells as text."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def write(name: str, content: dict[str, Any]) -> pathlib.Path:
    """Write figures to `results/NAME.json`, with machine, date and commit; return the path."""
    record = {
        "benchmark": name,
        "date": dt.datetime.now(tz=dt.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        **content,
    }
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path
