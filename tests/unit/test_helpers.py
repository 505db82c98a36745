"""The check that nothing is left behind must itself be able to fail."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.helpers import Belongings, require_backend

SLEEP = "import time; time.sleep(60)"


@pytest.fixture
def belongings(state_home: Path) -> Belongings:
    return Belongings(state_home)


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_nothing_started_is_nothing_left(belongings: Belongings) -> None:
    started = time.monotonic()
    assert belongings.leftovers(grace=60) == []
    assert time.monotonic() - started < 30


def test_a_thread_of_ours_is_reported_with_its_stack(
    belongings: Belongings, release: threading.Event
) -> None:
    threading.Thread(target=release.wait, name="lp-forgotten", daemon=True).start()
    (found,) = belongings.leftovers(grace=0)
    assert "thread lp-forgotten (daemon)" in found
    assert "threading.py" in found


def test_threads_of_others_do_not_count(belongings: Belongings, release: threading.Event) -> None:
    threading.Thread(target=release.wait, name="theirs", daemon=True).start()
    assert belongings.leftovers(grace=0) == []


def test_a_thread_that_ends_in_time_is_not_reported(
    belongings: Belongings, release: threading.Event
) -> None:
    threading.Thread(target=release.wait, name="lp-slow").start()
    threading.Timer(0.05, release.set).start()
    assert belongings.leftovers(grace=60) == []


def test_what_ran_before_does_not_count(state_home: Path, release: threading.Event) -> None:
    threading.Thread(target=release.wait, name="lp-earlier", daemon=True).start()
    assert Belongings(state_home).leftovers(grace=0) == []


def test_a_child_is_reported_and_killed(belongings: Belongings) -> None:
    child = subprocess.Popen([sys.executable, "-c", SLEEP])
    (found,) = belongings.leftovers(grace=0)
    assert f"process {child.pid}, child of {os.getpid()}" in found
    assert "time.sleep(60)" in found
    assert not psutil.pid_exists(child.pid)
    child.wait()


def test_an_orphan_in_a_session_of_its_own_is_reported_and_killed(belongings: Belongings) -> None:
    parent = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True,\n"
        "    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "print(child.pid)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", parent], capture_output=True, check=True, text=True
    )
    (found,) = belongings.leftovers(grace=0)
    assert found.startswith(f"process {int(result.stdout)}, ")
    assert belongings.leftovers(grace=5) == []


def test_a_child_that_nobody_waited_for_is_reported(belongings: Belongings) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    (found,) = belongings.leftovers(grace=0)
    assert found == f"process {child.pid}, which ended and was never waited for"
    child.wait()


def test_an_available_backend_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    require_backend("slurm", None)


def test_a_missing_backend_is_skipped_on_a_laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="slurm is not available: no sbatch"):
        require_backend("slurm", "no sbatch on PATH")


def test_a_missing_backend_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="slurm must be available in CI"):
        require_backend("slurm", "no sbatch on PATH")
