"""What is logged in a controller's process, on its way to others."""

from __future__ import annotations

import errno
import logging
import sys
from pathlib import Path

import pytest

from launchpad_lite.launchers.slurm import batch
from launchpad_lite.launchers.telling import Teller
from launchpad_lite.runtime.rundir import RunDirectory

FULL = OSError(errno.ENOSPC, "No space left on device")


class FullDisk:
    """A file on it."""

    def write(self, _: str) -> int:
        raise FULL


def tell(logger: str, level: int, text: str) -> None:
    """Tell people who cannot be told."""
    raise FULL


def test_who_logs_goes_on_where_it_cannot_be_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = logging.getLogger("launchpad_lite.telling")
    with Teller(tell).telling():
        log.warning("a node is started again")
        assert "No space left on device" in capsys.readouterr().err
        monkeypatch.setattr(sys, "stderr", FullDisk())
        log.warning("a node is started again")


def test_people_hear_what_does_not_go_into_the_log_of_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slurm").mkdir()
    told = batch._tell(RunDirectory(tmp_path))  # noqa: SLF001 - no way around it
    monkeypatch.setattr(sys, "stderr", FullDisk())
    told("launchpad_lite", logging.WARNING, "a node is started again")
    assert (tmp_path / "slurm" / "news.log").read_text() == "a node is started again\n"
