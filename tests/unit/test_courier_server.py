"""`courier.Server` used alone, and what it does when it ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite import courier
from launchpad_lite.config import ClientConfig, ServerConfig
from launchpad_lite.courier import peer
from launchpad_lite.courier.client import client_at
from launchpad_lite.credentials import Credentials
from launchpad_lite.errors import DeadlineExceeded, MethodNotFound, Unavailable, UsageError
from tests.unit.fake_scope import FakeScope

PATIENCE_S = 30.0
CREDENTIALS = Credentials(token=bytes(range(32)))


@pytest.fixture
def server() -> Iterator[courier.Server]:
    one = courier.Server()
    yield one
    with contextlib.suppress(ValueError):  # not started
        one.Stop()


@pytest.fixture
def directory() -> Iterator[str]:
    path = tempfile.mkdtemp(prefix="lp-", dir="/tmp")
    yield path
    shutil.rmtree(path)


def in_run(directory: str, *schemes: str, **settings: Any) -> courier.Server:
    """A server of a run that is not there."""
    scope = FakeScope()
    scope.credentials = CREDENTIALS
    scope.schemes = schemes
    scope.socket_dir = directory
    return courier.Server.in_run("server/0", scope, None, ServerConfig(**settings))


def test_the_example_of_its_docstring(server: courier.Server) -> None:
    server.Bind("add", lambda a, b: a + b)
    server.Start()
    assert courier.Client(server.address).add(4, 7) == 11


def test_bind_and_unbind(server: courier.Server, caplog: pytest.LogCaptureFixture) -> None:
    server.Bind("one", lambda: 1)
    server.Start()
    client = courier.Client(server.address)
    assert client.one() == 1
    server.Bind("one", lambda: "new")  # replaces it
    server.Bind("two", lambda: 2)
    assert (client.one(), client.two()) == ("new", 2)
    assert courier.list_methods(client) == ["one", "two"]
    server.Unbind("one")
    assert courier.list_methods(client) == ["two"]
    with pytest.raises(MethodNotFound, match="method one not found on courier"):
        client.one()
    assert not caplog.messages
    server.Unbind("tow")  # no error
    (warning,) = caplog.messages
    assert warning.startswith("Unbind('tow'): nothing is bound to this name; did you mean 'two'?")
    assert courier.list_methods(client) == ["two"]


def test_its_place_is_known_before_it_starts(server: courier.Server) -> None:
    assert not server.has_started
    port = server.port
    assert 0 < port < 2**16
    assert server.address == f"localhost:{port}"
    server.Start()
    assert server.has_started
    assert server.port == port


def test_it_listens_on_the_loopback_interface_only(server: courier.Server) -> None:
    server.Start()
    local, network = server.endpoints
    assert local.startswith("unix:")
    assert network == f"grpc:127.0.0.1:{server.port}"


def test_a_port_of_one_s_own(server: courier.Server) -> None:
    port = server.port
    with pytest.raises(OSError, match=f"port {port} of 127.0.0.1 cannot be listened on"):
        courier.Server(port=port).Start()
    server.Start()
    server.Stop()
    other = courier.Server(port=port)
    other.Start()
    assert other.port == port
    other.Stop()


def test_it_starts_once(server: courier.Server) -> None:
    server.Start()
    with pytest.raises(ValueError, match="Server already started"):
        server.Start()
    server.Stop()
    with pytest.raises(ValueError, match="Server already started"):
        server.Start()


def test_it_stops_after_it_started(server: courier.Server) -> None:
    with pytest.raises(ValueError, match="Server not started yet"):
        server.Stop()
    with pytest.raises(ValueError, match="Server not started"):
        server.Join()
    server.Start()
    server.Stop()
    server.Stop()
    server.Join()
    assert server.has_started


def test_join_waits_for_the_stop(server: courier.Server) -> None:
    server.Start()
    joined = threading.Event()

    def join() -> None:
        server.Join()
        joined.set()

    thread = threading.Thread(target=join, name="lp-test-join", daemon=True)
    thread.start()
    assert not joined.is_set()
    server.Stop()
    assert joined.wait(PATIENCE_S)
    thread.join(PATIENCE_S)


@pytest.mark.parametrize("arguments", [{"thread_pool_size": 0}, {"port": -1}, {"port": 2**16}])
def test_arguments_out_of_range(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        courier.Server(**arguments)


def test_its_name_is_in_messages(server: courier.Server) -> None:
    named = courier.Server("calculator")
    named.Bind("give", threading.Lock)
    named.Start()
    with pytest.raises(TypeError, match=r"the result of calculator\.give cannot be sent"):
        courier.Client(named.address).give()
    named.Stop()


def test_a_server_in_another_process(tmp_path: Any) -> None:
    script = (
        "import sys\n"
        "from launchpad_lite import courier\n"
        "server = courier.Server()\n"
        "def fail(text): raise ValueError(text)\n"
        "server.Bind('double', lambda x: 2 * x)\n"
        "server.Bind('fail', fail)\n"
        "server.Bind('stop', server.Stop)\n"
        "server.Start()\n"
        "print(server.address, flush=True)\n"
        "server.Join()\n"
        "print('joined')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        client = courier.Client(process.stdout.readline().strip())
        assert client.double([1]) == [1, 1]
        with pytest.raises(ValueError, match=r"^no$"):
            client.fail("no")
        assert client.stop() is None  # by a method of its own
        assert process.stdout.read() == "joined\n"
        assert process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize("scheme", ["inproc", "unix", "grpc"])
def test_a_method_may_stop_its_own_server(directory: str, scheme: str) -> None:
    server = in_run(directory, scheme, thread_pool_size=1)

    def stop() -> str:
        server.Stop()
        return "stopping"

    server.Bind("stop", stop)
    server.Start()
    (endpoint,) = server.endpoints
    config = ClientConfig(wait_for_ready=False)
    client = client_at(endpoint, CREDENTIALS, config)
    assert client.stop() == "stopping"
    server.Join()
    with pytest.raises(Unavailable):
        client.stop()


def test_stopping_from_several_threads_stops_once(directory: str) -> None:
    server = in_run(directory, "inproc", "unix")
    server.Start()
    threads = [threading.Thread(target=server.Stop, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    server.Join()
    assert os.listdir(directory) == []  # noqa: PTH208 - nothing but names


def test_a_server_of_a_run_listens_on_the_run_s_transports(directory: str) -> None:
    server = in_run(directory, "inproc", "unix", port=0)
    server.Bind("echo", lambda value: value)
    server.Start()
    schemes = [endpoint.partition(":")[0] for endpoint in server.endpoints]
    assert schemes == ["inproc", "unix", "grpc"]
    for endpoint in server.endpoints:
        client = client_at(endpoint, CREDENTIALS, ClientConfig())
        assert client.echo([endpoint]) == [endpoint]
    server.Stop()


def test_a_server_without_a_port(directory: str) -> None:
    server = in_run(directory, "unix")
    with pytest.raises(ValueError, match=r"no port; give it one with courier_kwargs=\{'port': 0\}"):
        _ = server.port
    server.Start()
    server.Stop()


def test_the_pool_is_one_for_all_transports(directory: str) -> None:
    server = in_run(directory, "inproc", "unix", thread_pool_size=2)
    lock, opened = threading.Lock(), threading.Event()
    entered = threading.Semaphore(0)
    active = most = 0

    def enter() -> None:
        nonlocal active, most
        with lock:
            active += 1
            most = max(most, active)
        entered.release()
        opened.wait(PATIENCE_S)
        with lock:
            active -= 1

    server.Bind("enter", enter)
    server.Start()
    clients = [client_at(endpoint, CREDENTIALS, ClientConfig()) for endpoint in server.endpoints]
    calls = [client.futures.enter() for client in clients for _ in range(4)]
    for _ in range(2):
        assert entered.acquire(timeout=PATIENCE_S)
    for client in clients:
        courier.list_methods(client)  # time for one more to begin, if it could
    opened.set()
    for call in calls:
        call.result(PATIENCE_S)
    assert most == 2
    server.Stop()


def test_no_transport_takes_calls_while_another_stops(directory: str) -> None:
    server = in_run(directory, "inproc", "unix")
    opened, entered = threading.Event(), threading.Event()

    def enter() -> int:
        entered.set()
        opened.wait(PATIENCE_S)
        return 1

    server.Bind("enter", enter)
    server.Start()
    first, second = server.endpoints
    running = client_at(first, CREDENTIALS, ClientConfig()).futures.enter()
    assert entered.wait(PATIENCE_S)
    config = ClientConfig(wait_for_ready=False)
    other = client_at(second, CREDENTIALS, config)
    courier.list_methods(other)
    stopping = threading.Thread(target=server.Stop, args=(PATIENCE_S,), daemon=True)
    stopping.start()
    while True:  # ends when the second transport has stopped, though the first one's call runs
        try:
            courier.list_methods(other)
        except Unavailable:
            break
    assert not running.done()
    opened.set()
    assert running.result(PATIENCE_S) == 1
    stopping.join(PATIENCE_S)
    assert not stopping.is_alive()


def test_a_port_that_is_taken_leaves_nothing_behind(directory: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = in_run(directory, "unix", port=taken.getsockname()[1])
        with pytest.raises(OSError, match="is it in use"):
            server.Start()
    assert os.listdir(directory) == []  # noqa: PTH208 - nothing but names


# One that is given away before it is started.


def test_it_tells_where_it_listens_once_it_serves(directory: str) -> None:
    told: list[tuple[str, ...]] = []
    scope = FakeScope()
    scope.schemes = ("unix",)
    scope.socket_dir = directory
    server = courier.Server.in_run("server/0", scope, None, ServerConfig(), told.append)
    assert not told
    server.Start()
    assert told == [server.endpoints]
    server.Stop()


def test_one_that_was_closed_does_not_start(directory: str) -> None:
    server = in_run(directory, "unix")
    assert server.endpoints
    server.close()
    server.close()
    with pytest.raises(ValueError, match="Server already stopped"):
        server.Start()
    assert not server.has_started
    assert list(Path(directory).iterdir()) == []
    courier.Server().close()


def test_busy_polling_changes_nothing_but_the_time() -> None:
    server = courier.Server(busy_poll_us=200)
    server.Bind("echo", lambda value: value)
    server.Start()
    client = courier.Client(server.address, busy_poll_us=200)
    assert [client.echo(i) for i in range(50)] == list(range(50))
    calls = [client.futures.echo(i) for i in range(50)]
    assert [call.result(PATIENCE_S) for call in calls] == list(range(50))
    server.Stop()


def test_busy_polling_has_a_limit() -> None:
    with pytest.raises(UsageError, match=r"busy_poll_us=-1: give a whole number of microseconds"):
        courier.Server(busy_poll_us=-1)
    with pytest.raises(UsageError, match=r"busy_poll_us=2000000: give a whole number"):
        courier.Client("localhost:1", busy_poll_us=2_000_000)


def test_what_is_no_address_is_said_at_once() -> None:
    with pytest.raises(UsageError, match="'localhost:abc' is no address: 'abc' is no port"):
        courier.Client("localhost:abc")
    number: Any = 5
    with pytest.raises(UsageError, match=r"courier\.Client: 5 is no address: give a server's name"):
        courier.Client(number)
    path: Any = "adder.credentials"
    with pytest.raises(UsageError, match=r"come from courier\.Credentials\.load\(path\)"):
        courier.Client("host:1", credentials=path)


def test_who_waits_for_a_server_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(peer, "WAITING_HINT_S", 0.0)
    client = courier.Client("nobody-has-this-name", call_timeout=0.2)
    with pytest.raises(DeadlineExceeded):
        client.work()
    assert caplog.text.count("still waiting for nobody-has-this-name, which has not come up") == 1


def test_a_result_that_comes_too_late_is_none(server: courier.Server) -> None:
    def late() -> str:
        context = lp.get_call_context()
        while not context.cancelled():
            time.sleep(0.001)
        time.sleep(0.01)  # a server may take the end to be a little earlier than its client
        return "late"

    server.Bind("late", late)
    server.Start()
    client = courier.Client(server.address)
    for _ in range(5):
        with pytest.raises(DeadlineExceeded), lp.deadline(0.05):
            client.late()
