"""One cluster of three raylets for all tests of a process, which it has joined."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.helpers import require_backend

CPUS = (16, 4, 4)
ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
"""Has Ray use 127.0.0.1 alone, as it does on other systems."""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A cluster of this host: a head with 16 CPUs; two machines with 4, and a resource each."""
    missing = None if importlib.util.find_spec("ray") else "it is not installed"
    require_backend("ray", missing)
    os.environ |= ON_LOOPBACK  # Ray reads it when it is imported, here and in what is started here
    utils: Any = importlib.import_module("ray.cluster_utils")
    made = utils.Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": CPUS[0], "node_ip_address": "127.0.0.1"},
    )
    for number, cpus in enumerate(CPUS[1:]):
        made.add_node(num_cpus=cpus, resources={f"side{number}": 4}, node_ip_address="127.0.0.1")
    made.wait_for_nodes()
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def joined(cluster: Any) -> Iterator[Any]:
    """Ray's module in this process, which has joined the cluster."""
    ray: Any = importlib.import_module("ray")
    ray.init(cluster.address, logging_level="ERROR", log_to_driver=False)
    yield ray
    ray.shutdown()
