"""Servers and clients that stand still: nothing grows without bound, and others are served."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite.config import ClientConfig
from launchpad_lite.courier import outbox
from launchpad_lite.courier.client import client_in_run
from tests.unit.courier_bench import PATIENCE_S, Bench, Run
from tests.unit.killable import ROOT
from tests.unit.test_courier_restarts import Killing

SHORT_S = 0.2
MOST = 20
SIZE = 2**20


@pytest.fixture
def killing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Killing]:
    one = Killing(request.param, tmp_path / "ran")
    with one.stack:
        yield one


@pytest.mark.parametrize("killing", ["unix", "grpc"], indirect=True)
def test_calls_to_a_server_that_stands_still_end_in_time(killing: Killing) -> None:
    server = killing.publish()
    patient = killing.client(ClientConfig(call_timeout=PATIENCE_S))
    hasty = killing.client(ClientConfig(call_timeout=SHORT_S, max_in_flight=MOST))
    assert patient.echo(1) == patient.futures.echo(1).result(PATIENCE_S) == 1
    under_way = patient._peer.in_flight  # noqa: SLF001 - nothing else tells how many
    assert hasty._peer.in_flight is under_way  # noqa: SLF001
    server.pause()
    try:
        calls: list[Any] = []
        argument = bytes(SIZE)
        for number in range(MOST + 10):
            calls.append(hasty.futures.work(f"late-{number}", argument))
            assert len(under_way) <= MOST
        with pytest.raises(lp.DeadlineExceeded):
            hasty.work("late")
        for call in calls:
            assert isinstance(call.exception(PATIENCE_S), lp.DeadlineExceeded)
        assert len(under_way) == 0
    finally:
        server.go_on()
    assert patient.futures.work("last").result(PATIENCE_S) == "last"
    assert patient.work("once-more") == "once-more"
    if killing.scheme == "unix":  # gRPC counts the time of a call from when its server reads it
        assert killing.counts() == {"last": 1, "once-more": 1}


def test_a_client_that_stands_still_harms_nobody(tmp_path: Path) -> None:
    bench = Bench("unix")
    server = bench.serve()
    made = 0

    def large() -> bytes:
        nonlocal made
        made += 1
        return bytes(SIZE)

    server.Bind("large", large)
    bench.run.move("server/0", *server.endpoints)
    client = bench.client()
    for _ in range(100):  # so that the server knows that it is quick
        client.large()
    made = 0
    command = [sys.executable, "-m", "tests.unit.test_courier_paused", *server.endpoints]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        for number in range(200):
            assert client.echo(number) == client.futures.echo(number).result(PATIENCE_S)
        assert made * SIZE < outbox.MAX_UNSENT_BYTES
        os.kill(process.pid, signal.SIGCONT)
        output, _ = process.communicate(timeout=PATIENCE_S)
        assert output == f"{_CALLS * SIZE}\n"
        assert made == _CALLS
    finally:
        process.kill()
        process.communicate()
    bench.close()


_CALLS = 200


def _main(endpoint: str) -> None:
    """Ask for much, stand still, and then read all of it."""
    run = Run("", "unix")
    run.move("server/0", endpoint)
    client: Any = client_in_run(run, "server/0", ClientConfig())
    calls = [client.futures.large() for _ in range(_CALLS)]
    os.kill(os.getpid(), signal.SIGSTOP)
    sys.stdout.write(f"{sum(len(call.result(PATIENCE_S)) for call in calls)}\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
