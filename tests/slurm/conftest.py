"""One cluster for all tests of a process; with pytest-xdist, `--dist loadfile` boots the fewest.

A test's jobs are its own to end. What it broke of the cluster is mended after it.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.helpers import require_backend
from tests.machines.directory import remove_abandoned
from tests.slurm.lab import Lab, missing
from tests.slurm.login import Login

PREFIX = "lp-slurm-"
LEFT_S = 15.0
DIRECTORY = Path("/tmp")  # a short path: sockets are in it


@contextlib.contextmanager
def _boot(**how: Any) -> Generator[Lab]:
    require_backend("slurm", missing())
    remove_abandoned(DIRECTORY.glob(f"{PREFIX}*"))
    with Lab.boot(Path(tempfile.mkdtemp(prefix=PREFIX, dir=DIRECTORY)), **how) as lab:
        yield lab


@pytest.fixture(scope="session")
def booted_lab() -> Iterator[Lab]:
    """The cluster, as the tests before left it."""
    with _boot() as lab:
        yield lab


@pytest.fixture(scope="module")
def near_lab() -> Iterator[Lab]:
    """A cluster on this machine's own network, so that this process can call what runs there."""
    with _boot(cpus=12, network="loopback", hets=False) as lab:
        yield lab


@pytest.fixture
def near_login(near_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes this process one of that cluster's login node."""
    for name in ("PATH", "SLURM_CONF"):
        monkeypatch.setenv(name, near_lab.env[name])


@pytest.fixture
def directory() -> Iterator[Path]:
    """Where another lab may be; the lab itself removes it."""
    path = Path(tempfile.mkdtemp(prefix="lp-lab-", dir=DIRECTORY))
    yield path
    assert not path.exists()


@pytest.fixture
def lab(booted_lab: Lab) -> Iterator[Lab]:
    """The cluster, with all nodes up and no job."""
    yield booted_lab
    booted_lab.reset()


@pytest.fixture
def login(lab: Lab, tmp_path: Path) -> Iterator[Login]:
    """The cluster's login node, with a home directory that all nodes share."""
    login = Login(lab, tmp_path)
    yield login
    login.close()
    deadline = time.monotonic() + LEFT_S
    while (left := login.leftovers()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


@pytest.fixture
def spared(request: pytest.FixtureRequest) -> Callable[[], set[psutil.Process]]:
    """Daemons that a test started again are not its leftovers."""
    name = "near_lab" if "near_login" in request.fixturenames else "lab"
    lab: Lab = request.getfixturevalue(name)
    return lab.processes
