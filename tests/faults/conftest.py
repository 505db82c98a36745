"""One launching process for each test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.faults.bench import Bench, Terminal


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    with contextlib.suppress(AttributeError):  # it was never started
        bench.process.kill()
        bench.process.communicate()
    for process in bench.processes():  # a test that failed fails once
        with contextlib.suppress(psutil.Error):
            process.kill()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()
