"""One cluster of three raylets for all tests of a process."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.helpers import STATE_VARIABLE, require_backend

HEAD_CPUS, SIDE_CPUS, SIDES = 16, 4, 2
ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
"""Has Ray use 127.0.0.1 alone, as it does on other systems."""


def add_machine(cluster: Any, side: str) -> Any:
    """Adds a raylet with a resource of its own, and a label."""
    return cluster.add_node(
        num_cpus=SIDE_CPUS,
        resources={side: 4},
        labels={"zone": side},
        node_ip_address="127.0.0.1",
        wait=True,
    )


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A head with 16 CPUs, and two machines with 4, which have `side0` and `side1` beside."""
    require_backend("ray", None if importlib.util.find_spec("ray") else "it is not installed")
    os.environ |= ON_LOOPBACK  # Ray reads it when it is imported, here and in what is started here
    state = os.environ.pop(STATE_VARIABLE, None)  # one test's processes are known by it
    utils: Any = importlib.import_module("ray.cluster_utils")
    made = utils.Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": HEAD_CPUS, "node_ip_address": "127.0.0.1"},
    )
    for number in range(SIDES):
        add_machine(made, f"side{number}")
    if state is not None:
        os.environ[STATE_VARIABLE] = state
    yield made
    made.shutdown()


@pytest.fixture
def spared() -> Callable[[], set[psutil.Process]]:
    """Ray starts and ends workers that wait for actors as it likes; those that hold one count."""
    return _waiting


def _waiting() -> set[psutil.Process]:
    found: set[psutil.Process] = set()
    package = str(Path(importlib.import_module("ray").__path__[0]))
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            daemon = any(word.startswith(package) for word in process.cmdline())
            if daemon or process.name().startswith("ray::IDLE"):
                found.add(process)
    return found


@pytest.fixture(scope="module")
def joined(cluster: Any) -> Iterator[Any]:
    """Ray's module in this process, which has joined the cluster."""
    ray: Any = importlib.import_module("ray")
    ray.init(cluster.address, logging_level="ERROR", log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.fixture
def pair(cluster: Any) -> Iterator[dict[str, Any]]:
    """Two machines that have `spare`, by the processes of their raylets."""
    machines = [add_machine(cluster, "spare") for _ in range(2)]
    by_process = {str(raylet(machine)): machine for machine in machines}
    yield by_process
    for machine in by_process.values():
        with contextlib.suppress(Exception):  # the test has removed it
            cluster.remove_node(machine)


def raylet(machine: Any) -> int:
    ((process,),) = [
        each for kind, each in machine.all_processes.items() if kind.endswith("raylet")
    ]
    return int(process.process.pid)


@pytest.fixture
def address(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The cluster's address, which processes of the test find in their environment."""
    found: str = cluster.address
    monkeypatch.setenv("RAY_ADDRESS", found)
    return found
