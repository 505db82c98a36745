"""Servers used alone: how clients of the same host, and of others, come to them."""

from __future__ import annotations

import functools
import logging
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from launchpad_lite import courier
from launchpad_lite.courier.framed_channel import FramedChannel
from launchpad_lite.courier.grpc_channel import GrpcChannel
from launchpad_lite.errors import NotAuthenticated, Unavailable, UsageError

PATIENCE_S = 60.0


@functools.cache
def certified() -> courier.Credentials:
    return courier.Credentials.create()


def serving(**settings: Any) -> courier.Server:
    server = courier.Server(**settings)
    server.Bind("echo", lambda value: value)
    server.Start()
    return server


def client(address: str, **settings: Any) -> Any:
    return courier.Client(address, call_timeout=PATIENCE_S, wait_for_ready=False, **settings)


def channel_of(one: Any) -> object:
    return one._peer.connected()  # noqa: SLF001 - how it went does not show otherwise


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_on_one_host_calls_take_a_unix_socket(host: str) -> None:
    server = serving()
    one = client(f"{host}:{server.port}")
    assert one.echo(1) == 1
    assert isinstance(channel_of(one), FramedChannel)
    directory = Path(server.endpoints[0].removeprefix("unix:")).parent
    assert directory.is_dir()
    server.Stop()
    assert not directory.exists()


def test_a_name_leads_there_too() -> None:
    server = serving(name="adder")
    one = client("adder")
    assert one.echo(1) == 1
    assert isinstance(channel_of(one), FramedChannel)
    server.Stop()


def test_without_the_socket_calls_take_grpc() -> None:
    server = serving()
    Path(server.endpoints[0].removeprefix("unix:")).unlink()
    one = client(server.address)
    assert one.echo(1) == 1
    assert isinstance(channel_of(one), GrpcChannel)
    server.Stop()


def test_a_grpc_endpoint_is_taken_by_its_word() -> None:
    server = serving()
    one = client(server.endpoints[-1])
    assert one.echo(1) == 1
    assert isinstance(channel_of(one), GrpcChannel)
    server.Stop()


def test_no_file_of_a_port_is_left(state_home: Path) -> None:
    server = serving()
    ports = state_home / "launchpad_lite" / "ports"
    assert [path.name for path in ports.glob("*/*")] == [str(server.port)]
    server.Stop()
    assert list(ports.glob("*/*")) == []


def test_other_hosts_need_credentials() -> None:
    with pytest.raises(UsageError, match=r"host='0\.0\.0\.0': other hosts could reach") as caught:
        courier.Server(host="0.0.0.0")
    assert "credentials=courier.Credentials.load(path)" in str(caught.value)
    assert "insecure=True" in str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", None])
def test_with_credentials_calls_are_encrypted(host: str | None, tmp_path: Path) -> None:
    certified().save(tmp_path / "credentials")
    server = serving(host=host, credentials=certified())
    place = f"127.0.0.1:{server.port}"
    one = client(place, credentials=courier.Credentials.load(tmp_path / "credentials"))
    assert one.echo(1) == 1
    assert [endpoint.partition(":")[0] for endpoint in server.endpoints] == ["tcp"]
    with pytest.raises(NotAuthenticated):
        client(place, credentials=courier.Credentials.create()).echo(1)
    with pytest.raises(Unavailable):
        client(place, insecure=True).echo(1)
    server.Stop()


def test_a_server_for_one_s_own_host_can_have_any_host_of_it() -> None:
    server = serving(host="127.0.0.1")
    assert client(server.address).echo(1) == 1
    server.Stop()


def test_insecure_is_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        server = serving(host="127.0.0.1", insecure=True)
    (record,) = caplog.records
    assert f"the server at {server.address} is insecure" in record.getMessage()
    assert "run any code" in record.getMessage()
    assert client(f"127.0.0.1:{server.port}", insecure=True).echo(1) == 1
    server.Stop()


def test_what_never_unpickles_is_not_said_to_run_any_code(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        server = serving(host="127.0.0.1", insecure=True, codec="data")
    (record,) = caplog.records
    assert "is insecure: whoever reaches the port can call its methods, and" in record.getMessage()
    server.Stop()


def test_a_client_keeps_its_credentials_when_it_is_sent() -> None:
    server = serving(credentials=certified())
    one = client(f"127.0.0.1:{server.port}", credentials=certified())
    assert pickle.loads(pickle.dumps(one)).echo(1) == 1
    server.Stop()


@pytest.mark.parametrize("make", [courier.Server, functools.partial(courier.Client, "host:1")])
def test_what_does_not_go_together(make: Any) -> None:
    with pytest.raises(UsageError, match=r"credentials=, or insecure=True, not both"):
        make(credentials=certified(), insecure=True)
    with pytest.raises(UsageError, match="have no certificate"):
        make(credentials=courier.Credentials.create(tls=False))


@pytest.mark.parametrize(
    "address", ["example.org:1", "10.0.0.1:1", "grpc:10.0.0.1:1", "[fe80::1]:1"]
)
def test_no_other_host_is_shown_this_user_s_secret(address: str) -> None:
    with pytest.raises(UsageError, match="is on another host: give the server's credentials="):
        courier.Client(address)
    courier.Client(address, insecure=True)


def test_a_forked_process_has_connections_of_its_own() -> None:
    server = serving()
    one = client(server.address)
    assert one.echo(0) == 0
    assert one.futures.echo(0).result(PATIENCE_S) == 0
    child = os.fork()
    if child == 0:
        right = all(one.echo((1, i)) == (1, i) for i in range(300))
        os._exit(0 if right and one.futures.echo(2).result(PATIENCE_S) == 2 else 1)
    assert all(one.echo((0, i)) == (0, i) for i in range(300))
    assert os.waitpid(child, 0)[1] == 0
    assert one.futures.echo(3).result(PATIENCE_S) == 3
    server.Stop()
