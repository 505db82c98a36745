"""A task that waits for its controller."""

from __future__ import annotations

import itertools
import types
from pathlib import Path

import pytest

from launchpad_lite.errors import UsageError
from launchpad_lite.launchers.slurm import task
from launchpad_lite.runtime.rundir import RunDirectory


def test_a_controller_that_does_not_come_is_told_with_how_long_it_was_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = types.SimpleNamespace(monotonic=itertools.count().__next__, sleep=lambda _: None)
    monkeypatch.setattr(task, "time", clock)
    monkeypatch.setenv("SLURM_NTASKS", "40")
    with pytest.raises(UsageError, match=r"no controller has written to .* within 201 s"):
        task._await_controller(RunDirectory(tmp_path), waits_in_queue=False)  # noqa: SLF001 - no way around it
