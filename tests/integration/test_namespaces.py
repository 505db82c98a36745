"""Two network namespaces of one machine are as two hosts: TLS carries the calls between them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from launchpad_lite.credentials import Credentials

PATIENCE_S = 60.0

COMMON = """
import sys
from launchpad_lite.config import ClientConfig, RunConfig, ServerConfig
from launchpad_lite.courier.client import client_in_run
from launchpad_lite.courier.server import Server
from launchpad_lite.credentials import Credentials
from launchpad_lite.endpoint import EndpointRecord, host_id
from launchpad_lite.runtime.directory import Directory
from launchpad_lite.runtime.scope import RunScope
from launchpad_lite.stop_token import StopToken

credentials, sockets, host = sys.argv[1:]
directory = Directory()
scope = RunScope(
    run_id="run", stop=StopToken(), config=RunConfig(), host=host, incarnation=0,
    credentials=Credentials.load(credentials), schemes=("unix", "tcp"), socket_dir=sockets,
    directory=directory, follow=lambda name: None, control=None, names=str,
)
"""

SERVER = f"""{COMMON}
server = Server.in_run("server", scope, None, ServerConfig())
server.Bind("echo", lambda value: value)
server.Bind("hold", sys.stdin.read)
server.Start()
print(host_id(), *server.endpoints, flush=True)
sys.stdin.read()
server.Stop(0)
"""

CLIENT = f"""{COMMON}
theirs, *endpoints = sys.stdin.readline().split()
directory.publish(EndpointRecord("run", "server", 0, theirs, tuple(endpoints)))
client = client_in_run(scope, "server", ClientConfig(call_timeout={PATIENCE_S}))
assert client.echo([1, 2]) == [1, 2]
stream = next(iter(client._peer.connected()._open))._stream
print(theirs.partition("/")[0] == host_id().partition("/")[0], theirs == host_id())
print(type(stream).__name__, stream._tls.version(), endpoints[0].partition(":")[0])
scope.stop.close()
"""


LOSER = f"""{COMMON}
import time
from launchpad_lite.courier import tcp
from launchpad_lite.errors import Unavailable
tcp.LOST_S, tcp.LOOK_S = 2.0, 0.5  # as large ones, but sooner
tcp._KEEPALIVE.update(TCP_KEEPIDLE=1, TCP_KEEPINTVL=1)
theirs, *endpoints = sys.stdin.readline().split()
directory.publish(EndpointRecord("run", "server", 0, theirs, tuple(endpoints)))
client = client_in_run(scope, "server", ClientConfig(wait_for_ready=False))
assert client.echo(1) == client.futures.echo(1).result({PATIENCE_S}) == 1
waits, future = client.futures.hold(), None
print("waits", flush=True)
sys.stdin.readline()  # now it is lost
begun = time.monotonic()
sent = client.futures.echo(2)
for call in (waits, sent):
    error = call.exception({PATIENCE_S})
    print(type(error).__name__, error.maybe_executed, flush=True)
print(time.monotonic() - begun < tcp.SILENCE_S / 2)
scope.stop.close()
"""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=PATIENCE_S)


@pytest.fixture
def namespaces() -> Iterator[list[str]]:
    """Two network namespaces with a cable between them."""
    tag = uuid.uuid4().hex[:8]
    names = [f"lp-{tag}-{end}" for end in "ab"]
    made: list[str] = []
    try:
        for name in names:
            ip("netns", "add", name)
            made.append(name)
        links = zip("ab", names, strict=True)
        cable = [("name", f"lp{tag}{end}", "netns", name) for end, name in links]
        ip("link", "add", *cable[0], "type", "veth", "peer", *cable[1])
        for number, (_, link, _, name) in enumerate(cable, 1):
            ip("-n", name, "addr", "add", f"10.83.71.{number}/24", "dev", link)
            ip("-n", name, "link", "set", link, "up")
    except (OSError, subprocess.CalledProcessError) as error:
        remove(made)
        if os.environ.get("CI") and os.geteuid() == 0:
            raise
        pytest.skip(f"network namespaces cannot be made here: {error}")
    try:
        yield names
    finally:
        remove(made)


def remove(names: list[str]) -> None:
    for name in names:  # with a namespace goes its end of the cable
        ip("netns", "del", name)


def start(namespace: str, code: str, *arguments: str) -> subprocess.Popen[str]:
    command = ["ip", "netns", "exec", namespace, sys.executable, "-c", code, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)


@contextlib.contextmanager
def pair(
    namespaces: list[str], tmp_path: Path, state_home: Path, code: str
) -> Generator[tuple[subprocess.Popen[str], str]]:
    """A server in the first namespace; a client of the second, and what the server said to it."""
    credentials = tmp_path / "credentials"
    Credentials.create().save(credentials)
    common = (str(credentials), str(state_home))
    with start(namespaces[0], SERVER, *common, "10.83.71.1") as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        with start(namespaces[1], code, *common, "10.83.71.2") as client:
            yield client, line
        server.communicate("", PATIENCE_S)
    assert server.returncode == 0


def test_tls_carries_the_calls_though_there_is_a_unix_socket(
    namespaces: list[str], tmp_path: Path, state_home: Path
) -> None:
    with pair(namespaces, tmp_path, state_home, CLIENT) as (client, line):
        said, _ = client.communicate(line, PATIENCE_S)
    assert client.returncode == 0
    assert said.splitlines() == ["True False", "TlsStream TLSv1.3 unix"]


def test_a_host_that_vanishes_is_noticed_by_who_waits(
    namespaces: list[str], tmp_path: Path, state_home: Path
) -> None:
    """Nobody says so: its packets are lost."""
    with pair(namespaces, tmp_path, state_home, LOSER) as (client, line):
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(line)
        client.stdin.flush()
        assert client.stdout.readline() == "waits\n"
        ip("-n", namespaces[0], "addr", "flush", "scope", "global")
        said, _ = client.communicate("lost\n", PATIENCE_S)
    assert said.splitlines() == ["Unavailable True", "Unavailable True", "True"]
