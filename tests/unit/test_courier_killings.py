"""Processes killed in the midst of large calls leave nothing behind in those that go on."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from launchpad_lite.config import ClientConfig
from launchpad_lite.courier.lending import POOL
from launchpad_lite.errors import Unavailable
from tests.unit.courier_bench import PATIENCE_S, Bench

ROOT = Path(__file__).resolve().parents[2]
WARM = 3  # kills before what is there is counted
BYTES = 2**26
ROOM = 4 * BYTES  # for what a process keeps for later; half of what would leak
ONE_CONNECTION = 4  # of anything: the last one's end is seen with the next call only

often = pytest.mark.parametrize("kills", [12, pytest.param(50, marks=pytest.mark.soak)])

# A process without threads, which forks one child for each line it is told.
NURSERY = f"""
import os, signal, sys
import numpy as np
from launchpad_lite.config import ClientConfig, ServerConfig
from launchpad_lite.courier.client import client_at
from launchpad_lite.courier.server import Server
from tests.unit.courier_bench import CREDENTIALS, Run

def tell(*words):
    os.write(1, f"{{os.getpid()}} {{' '.join(words)}}\\n".encode())

def serve(scheme, directory):
    server = Server.in_run("server/0", Run(directory, scheme), None, ServerConfig())
    server.Bind("echo", lambda value: value)
    server.Start()
    tell(*server.endpoints)
    signal.pause()

def call(endpoint):
    client = client_at(endpoint, CREDENTIALS, ClientConfig())
    array = np.ones({BYTES}, np.uint8)
    client.echo(1)
    tell("calls")
    while True:
        future = client.futures.echo(array)
        client.echo(array)
        future.result()

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    role, *words = line.split()
    if os.fork() == 0:
        globals()[role](*words)
"""


class Nursery:
    """Starts processes to be killed, quickly."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            cwd=ROOT,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, *words: str) -> tuple[int, list[str]]:
        """Start one; return its number and what it says."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{' '.join(words)}\n")
        self._process.stdin.flush()
        number, *said = self._process.stdout.readline().split()
        return int(number), said

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    one = Nursery()
    yield one
    one.close()


def held() -> dict[str, int]:
    """What this process has of what each connection needs."""
    names = [thread.name for thread in threading.enumerate()]
    return {
        "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "segments": Path("/proc/self/maps").read_text().count("memfd:launchpad_lite"),
        "lent": POOL.count,
        "threads": sum(name.startswith("lp-") and name != "lp-deadlines" for name in names),
    }


def check_nothing_grows(before: dict[str, int], memory: int) -> None:
    """Wait for threads that are about to end; compare what is left."""
    deadline = time.monotonic() + PATIENCE_S
    most = {what: count + ONE_CONNECTION for what, count in before.items()}
    while gc.collect() >= 0 and any(held()[what] > count for what, count in most.items()):
        assert time.monotonic() < deadline, (before, held())
        time.sleep(0.02)
    assert psutil.Process().memory_info().rss - memory < ROOM


@often
def test_killed_servers_leave_nothing_at_their_client(nursery: Nursery, kills: int) -> None:
    bench = Bench("unix")
    directory = str(bench.run.socket_dir)
    array = np.ones(BYTES, np.uint8)
    client: Any = None
    before, memory = held(), 0
    with ThreadPoolExecutor(1) as caller:
        for turn in range(kills):
            if turn == WARM:
                before, memory = held(), psutil.Process().memory_info().rss
            server, endpoints = nursery.start("serve", "unix", directory)
            bench.run.move("server/0", *endpoints)
            client = client or bench.client(ClientConfig(wait_for_ready=False))
            assert client.echo(turn) == turn
            calls: list[Future[Any]] = [caller.submit(client.echo, array)]
            calls.append(client.futures.echo(array))
            if turn % 3:
                calls[turn % 2].exception(PATIENCE_S)
            os.kill(server, signal.SIGKILL)
            errors = [call.exception(PATIENCE_S) for call in calls]
            assert all(error is None or isinstance(error, Unavailable) for error in errors)
            del calls, errors
    check_nothing_grows(before, memory)
    bench.close()


@often
def test_killed_clients_leave_nothing_at_their_server(nursery: Nursery, kills: int) -> None:
    bench = Bench("unix")
    (endpoint,) = bench.publish().endpoints
    before, memory = held(), 0
    for turn in range(kills):
        if turn == WARM:
            before, memory = held(), psutil.Process().memory_info().rss
        client, _ = nursery.start("call", endpoint)
        time.sleep(0.001 * turn)  # to be in another place each time
        os.kill(client, signal.SIGKILL)
    check_nothing_grows(before, memory)
    assert bench.client().echo(1) == 1
    bench.close()
