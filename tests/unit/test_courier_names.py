"""Servers that are found by their names: within a process, between processes, after a restart."""

from __future__ import annotations

import contextlib
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from launchpad_lite import courier
from launchpad_lite.courier import names
from launchpad_lite.errors import DeadlineExceeded, Unavailable, UsageError

PATIENCE_S = 30.0

SERVER = """
import sys
from launchpad_lite import courier

server = courier.Server("calculator")
server.Bind("add", lambda a, b: a + b)
try:
    server.Start()
except Exception as error:
    print(f"{type(error).__name__}: {error}", flush=True)
else:
    print("up", flush=True)
    sys.stdin.read()  # until it is killed, or told to end
    server.Stop()
"""


@contextlib.contextmanager
def process() -> Generator[subprocess.Popen[str]]:
    """A process that starts a server of the name `calculator`."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def said(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def end(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(PATIENCE_S) == 0


def files(state_home: Path) -> list[str]:
    return [path.name for path in (state_home / "launchpad_lite" / "names").glob("*/*")]


def named(name: str = "calculator", result: object = None) -> courier.Server:
    server = courier.Server(name)
    server.Bind("get", lambda: result)
    return server


def client(**settings: Any) -> Any:
    return courier.Client("calculator", **settings)


def test_another_process_finds_it(state_home: Path) -> None:
    with process() as child:
        assert said(child) == "up"
        assert client().add(4, 7) == 11
        assert client().futures.add(4, 7).result(PATIENCE_S) == 11
        end(child)
    assert files(state_home) == []


def test_only_the_user_can_look(state_home: Path) -> None:
    server = named()
    server.Start()
    (path,) = (state_home / "launchpad_lite" / "names").iterdir()
    for directory in (path, path.parent):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [file.name for file in path.iterdir()] == ["calculator"]
    server.Stop()
    assert files(state_home) == []


def test_it_has_its_name_while_it_is_started() -> None:
    with pytest.raises(Unavailable, match="no server named 'calculator' is up here") as caught:
        client(wait_for_ready=False).get()
    assert not caught.value.maybe_executed
    assert "from the server's Start() to its end" in caught.value.message
    server = named()
    with pytest.raises(Unavailable):
        client(wait_for_ready=False).get()
    server.Start()
    assert client(wait_for_ready=False).get() is None
    server.Stop()
    with pytest.raises(Unavailable):
        client(wait_for_ready=False).get()


def test_clients_wait_for_it() -> None:
    one = client(call_timeout=PATIENCE_S)
    future = one.futures.get()
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(one.get()), name="lp-test-call")
    thread.start()
    server = named(result=42)
    server.Start()
    assert future.result(PATIENCE_S) == 42
    thread.join(PATIENCE_S)
    assert results == [42]
    server.Stop()


def test_they_do_not_wait_longer_than_they_may() -> None:
    one = client(call_timeout=0.05)
    for call in (one.get, one.futures.get().result):
        with pytest.raises(DeadlineExceeded, match="Deadline Exceeded") as caught:
            call()
        assert "calculator" in str(caught.value)


def test_a_client_finds_it_again_after_a_restart() -> None:
    one = client(call_timeout=PATIENCE_S)
    for result in ("first", "second"):
        server = named(result=result)
        server.Start()
        assert one.get() == result
        server.Stop()


def test_a_name_is_one_server_s(state_home: Path) -> None:
    first, second = named(result=1), named(result=2)
    first.Start()
    with pytest.raises(UsageError, match="a server named 'calculator' is up already, in process"):
        second.Start()
    with process() as child:
        assert said(child).startswith("UsageError: a server named 'calculator' is up already")
    assert client().get() == 1
    second.Join()  # it does not serve
    first.Stop()
    assert files(state_home) == []
    third = named(result=3)
    third.Start()
    first.Stop()  # once more does not take the name from the third
    assert client().get() == 3
    third.Stop()


def test_what_a_dead_process_left_is_overlooked(state_home: Path) -> None:
    with process() as child:
        assert said(child) == "up"
        child.terminate()  # as Python's own handler takes it, without a word to the server
        child.wait(PATIENCE_S)
    assert files(state_home) == ["calculator"]
    (entry,) = (state_home / "launchpad_lite" / "names").glob("*/calculator")
    (place,) = re.findall(r'unix:([^"]+)', entry.read_text())
    assert Path(place).is_socket()
    with pytest.raises(Unavailable, match="no server named 'calculator'"):
        client(wait_for_ready=False).add(1, 2)
    other = named("other")
    other.Start()
    assert files(state_home) == ["other"]
    assert not Path(place).parent.exists()
    other.Stop()


def test_a_damaged_file_is_overlooked(state_home: Path) -> None:
    first = named()
    first.Start()
    (path,) = (state_home / "launchpad_lite" / "names").glob("*/*")
    path.write_bytes(b"{")
    with pytest.raises(Unavailable, match="no server named"):
        client(wait_for_ready=False).get()
    server = named(result=1)
    server.Start()
    assert client().get() == 1
    first.Stop()
    assert client().get() == 1
    server.Stop()


def test_several_names() -> None:
    servers = [named(f"server {index}", index) for index in range(3)]
    for server in servers:
        server.Start()
    assert [courier.Client(f"server {index}").get() for index in range(3)] == [0, 1, 2]
    for server in servers:
        server.Stop()


@pytest.mark.parametrize(
    "name", ["", "a/b", "/bns/x", "localhost:123", ".hidden", "a\0b", "x" * 201]
)
def test_what_cannot_be_a_name(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a server: give 1 to 200"):
        courier.Server(name)
    if names.is_name(name):
        with pytest.raises(UsageError, match="cannot be the name of a server"):
            courier.Client(name)


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("localhost:123", "grpc:127.0.0.1:123"),
        ("127.0.0.1:123", "grpc:127.0.0.1:123"),
        ("[::]:12345", "grpc:[::]:12345"),
        ("[::1]:123", "grpc:[::1]:123"),
        ("unix:/tmp/x", "unix:/tmp/x"),
        ("inproc:3", "inproc:3"),
        ("grpc:127.0.0.1:5", "grpc:127.0.0.1:5"),
    ],
)
def test_addresses_stay_addresses(address: str, endpoint: str) -> None:
    assert names.endpoints_of(address) == (endpoint,)
    assert courier.Client(address).address == address


def test_another_host_s_address_stays_one() -> None:
    assert names.endpoints_of("host.example:1", "tcp") == ("tcp:host.example:1",)
    assert courier.Client("host.example:1", insecure=True).address == "host.example:1"
