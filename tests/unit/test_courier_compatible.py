"""What programs for the original Courier rely on: its spellings, defaults and errors' words."""

from __future__ import annotations

import datetime as dt
import gc
import pickle
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any, NoReturn

import psutil
import pytest

from launchpad_lite import courier
from launchpad_lite.address import SimpleLocalAddressBuilder
from launchpad_lite.courier.failures import set_also_call_error
from launchpad_lite.errors import CallError, StatusCode

PATIENCE_S = 30.0

NAMES = ["add", "add_default", "constant", "data", "fail", "slow", "text"]


class Adder:
    def add(self, a: int, b: int) -> int:
        return a + b


def fail() -> NoReturn:
    raise ValueError("the method raised")


@pytest.fixture(autouse=True)
def also() -> Iterator[None]:
    set_also_call_error(True)
    yield
    set_also_call_error(False)


@pytest.fixture
def opened() -> Iterator[threading.Event]:
    """Lets the slow method end."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def server(opened: threading.Event) -> Iterator[courier.Server]:
    one = courier.Server()
    one.Bind("constant", lambda: 1234)
    one.Bind("add", Adder().add)
    one.Bind("add_default", lambda a, b=100: a + b)
    one.Bind("fail", fail)
    one.Bind("slow", lambda: opened.wait(PATIENCE_S))
    one.Bind("data", lambda: b"1234")
    one.Bind("text", lambda: "1234")
    one.Start()
    yield one
    opened.set()
    one.Stop()


@pytest.fixture
def client(server: courier.Server) -> courier.Client:
    return courier.Client(server.address)


def free_port() -> str:
    """A port that nobody listens on."""
    return SimpleLocalAddressBuilder().build().partition(":")[2]


def test_calls_and_values(client: courier.Client) -> None:
    assert client.constant() == 1234
    assert client.add(12, 5) == 17
    assert client.add_default(23) == 123
    assert client.add_default(23, b=500) == 523
    assert (client.data(), client.text()) == (b"1234", "1234")
    assert client.futures.add_default(23).result(PATIENCE_S) == 123
    assert sorted(courier.list_methods(client)) == NAMES


def test_methods_are_bound_anew_while_it_runs(
    server: courier.Server, client: courier.Client
) -> None:
    server.Bind("constant", lambda: 2345)
    assert client.constant() == 2345
    server.Unbind("constant")
    with pytest.raises(CallError, match="method constant not found") as caught:
        client.constant()
    assert caught.value.code is StatusCode.NOT_FOUND
    with pytest.raises(CallError, match="method constant not found"):
        client.futures.constant().result(PATIENCE_S)
    server.Bind("constant", lambda: 1234)
    assert client.constant() == 1234


def test_a_method_s_exception_is_an_error_of_the_call(client: courier.Client) -> None:
    for call in (client.fail, client.futures.fail().result):
        with pytest.raises(CallError, match="the method raised") as caught:
            call()
        assert isinstance(caught.value, ValueError)
        assert caught.value.message == "the method raised"


def test_a_future_that_is_cancelled(client: courier.Client) -> None:
    future = client.futures.slow()
    assert future.cancel()
    with pytest.raises(CancelledError):
        future.result(PATIENCE_S)


def test_the_spellings_of_a_server() -> None:
    server = courier.Server(name="named", port=int(free_port()), thread_pool_size=2)
    with pytest.raises(ValueError, match="Server not started"):
        server.Stop()
    with pytest.raises(ValueError, match="Server not started"):
        server.Join()
    assert not server.has_started
    server.Bind(method_name="one", py_func=lambda: 1)
    server.Start()
    assert server.has_started
    with pytest.raises(ValueError, match="Server already started"):
        server.Start()
    assert courier.Client(server.address).one() == 1
    server.Unbind(method_name="unknown")
    server.Stop()
    server.Join()


@pytest.mark.parametrize("timeout", [None, 0, 5, 5.0, dt.timedelta(0), dt.timedelta(seconds=5)])
def test_the_spellings_of_a_client(server: courier.Server, timeout: Any) -> None:
    client = courier.Client(
        server_address=server.address,
        compress=True,
        call_timeout=timeout,
        wait_for_ready=True,
        chunk_tensors=True,
    )
    assert client.address == server.address
    again = pickle.loads(pickle.dumps(client))
    assert (client.constant(), again.constant()) == (1234, 1234)


def test_names_are_made_into_clients_and_servers_without_a_look() -> None:
    assert courier.Client("nobody").address == "nobody"
    assert not courier.Server("nobody").has_started


def test_a_client_waits_until_its_server_is_up() -> None:
    server = courier.Server()
    client = courier.Client(server.address)
    future = client.futures.constant()
    server.Bind("constant", lambda: 1000)
    server.Start()
    assert future.result(PATIENCE_S) == 1000
    server.Stop()


@pytest.mark.parametrize("timeout", [0.05, dt.timedelta(seconds=0.05)])
@pytest.mark.parametrize("host", ["[::]", "localhost"])
def test_time_that_is_over(host: str, timeout: Any) -> None:
    client = courier.Client(f"{host}:{free_port()}", call_timeout=timeout)
    for call in (client.anything, client.futures.anything().result):
        with pytest.raises(CallError, match="Deadline Exceeded") as caught:
            call()
        assert caught.value.code is StatusCode.DEADLINE_EXCEEDED


def test_time_that_is_over_in_the_method(server: courier.Server) -> None:
    client = courier.Client(server.address, call_timeout=0.05)
    for call in (client.slow, client.futures.slow().result):
        with pytest.raises(CallError, match="Deadline Exceeded"):
            call()


@pytest.mark.parametrize("host", ["[::]", "localhost"])
def test_nobody_listens(host: str) -> None:
    client = courier.Client(f"{host}:{free_port()}", wait_for_ready=False)
    for call in (client.anything, client.futures.anything().result):
        with pytest.raises(CallError, match="failed to connect to all addresses") as caught:
            call()
        assert caught.value.code is StatusCode.UNAVAILABLE


def test_any_name_is_a_function_until_it_is_called() -> None:
    client = courier.Client(f"localhost:{free_port()}")  # where nobody could say what there is
    before = set(threading.enumerate())
    assert callable(client.some_property)
    assert callable(client.futures.some_property)
    assert hasattr(client, "anything")
    assert not hasattr(client, "_private")
    assert not hasattr(client, "__len__")
    assert set(threading.enumerate()) == before


def connections(endpoint: str) -> int:
    """How many connections to an endpoint of this machine there are."""
    scheme, _, place = endpoint.partition(":")
    if scheme == "unix":
        return sum(str(each.laddr) == place for each in psutil.Process().net_connections("unix"))
    port = int(place.rpartition(":")[2])
    return sum(
        each.status == psutil.CONN_ESTABLISHED and getattr(each.raddr, "port", None) == port
        for each in psutil.net_connections("tcp")
    )


@pytest.mark.parametrize("scheme", ["unix", "grpc"])
def test_a_client_that_is_let_go_hangs_up(server: courier.Server, scheme: str) -> None:
    (place,) = (place for place in server.endpoints if place.startswith(f"{scheme}:"))
    client = courier.Client(place)
    before = connections(place)
    assert client.constant() == 1234
    assert connections(place) == before + 1
    del client
    gc.collect()
    deadline = time.monotonic() + PATIENCE_S
    while connections(place) > before:  # gRPC closes them in a thread of its own
        assert time.monotonic() < deadline
        time.sleep(0.01)
