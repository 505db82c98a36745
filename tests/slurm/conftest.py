"""One cluster for all tests of a process: run them without pytest-xdist.

A test's jobs are its own to end. What it broke of the cluster is mended after it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.helpers import require_backend
from tests.slurm.files import remove_abandoned
from tests.slurm.lab import Lab, missing
from tests.slurm.login import Login

PREFIX = "lp-slurm-"
DIRECTORY = Path("/tmp")  # a short path: sockets are in it


@pytest.fixture(scope="session")
def booted_lab() -> Iterator[Lab]:
    """The cluster, as the tests before left it."""
    require_backend("slurm", missing())
    remove_abandoned(DIRECTORY.glob(f"{PREFIX}*"))
    with Lab.boot(Path(tempfile.mkdtemp(prefix=PREFIX, dir=DIRECTORY))) as lab:
        yield lab


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


@pytest.fixture
def spared(lab: Lab) -> Callable[[], set[psutil.Process]]:
    """Daemons that a test started again are not its leftovers."""
    return lab.processes
