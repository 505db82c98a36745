"""Nodes that run without a program, in threads of the test's own."""

from __future__ import annotations

import contextlib
import functools
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Generator
from typing import Any

import pytest

from launchpad_lite import courier, launching
from launchpad_lite.address import Address, bind_addresses
from launchpad_lite.context import get_context, node_of
from launchpad_lite.errors import ContextError, Unavailable
from launchpad_lite.handle import Handle
from launchpad_lite.node import Node
from launchpad_lite.nodes.courier import CourierNode
from launchpad_lite.nodes.python import PyClassNode, PyNode

PATIENCE_S = 30.0


class Server:
    """Starts its server itself; ends once it has been called in both ways."""

    def __init__(self) -> None:
        self._server: courier.Server | None = None
        self._pinged = threading.Event()
        self._called = threading.Event()

    def ping(self) -> str:
        self._pinged.set()
        return "pong"

    def __call__(self) -> str:
        self._called.set()
        return "called"

    def set_courier_server(self, server: courier.Server) -> None:
        self._server = server

    def run(self) -> None:
        assert self._server is not None
        self._server.Start()
        self._pinged.wait(PATIENCE_S)
        self._called.wait(PATIENCE_S)
        self._server.Stop()


class Adder:
    """Serves until all is over."""

    def __init__(self, first: Any = 0) -> None:
        self._first = first

    def add(self, other: int) -> int:
        first = self._first if isinstance(self._first, int) else self._first.add(0)
        return int(first + other)

    def name(self) -> str:
        return get_context().name

    def ask(self, adder: Any) -> Any:
        return adder.add(1)

    def stop(self) -> None:
        launching.stop()


@contextlib.contextmanager
def threads(*nodes: Node[Any], daemon: bool = False) -> Generator[list[threading.Thread]]:
    """Run nodes, and wait for their ends."""
    running = []
    for node in nodes:
        run: Callable[[], None] = getattr(node, "run")  # noqa: B009 - without an argument
        running.append(threading.Thread(target=run, name="lp-test-node", daemon=daemon))
    for thread in running:
        thread.start()
    yield running
    for thread in running:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def client_of(node: CourierNode[Any]) -> Any:
    """A client, as the thread of the test gets it."""
    handle: Handle[Any] = node.create_handle()
    return handle.dereference()


def test_ping_pong() -> None:
    node = CourierNode(Server)
    handle: Any = node.create_handle()
    bind_addresses([node])
    with threads(node):
        client = handle.dereference()
        assert client.ping() == "pong"
        assert client() == "called"


def test_ping_pong_with_futures() -> None:
    node = CourierNode(Server)
    handle: Any = node.create_handle()
    bind_addresses([node])
    with threads(node):
        client = handle.dereference()
        assert client.futures.ping().result(PATIENCE_S) == "pong"
        assert client.futures().result(PATIENCE_S) == "called"


def test_nodes_that_hold_each_other_s_handles() -> None:
    def one(two: object) -> Any: ...
    def two(one: object) -> Any: ...

    make: Any = CourierNode  # the arguments follow
    first, second = make(one), make(two)
    first_handle, second_handle = first.create_handle(), second.create_handle()
    assert first_handle not in second.handles
    assert second_handle not in first.handles
    first.configure(two=second_handle)
    second.configure(one=first_handle)
    assert first_handle in second.handles
    assert second_handle in first.handles


def test_it_listens_at_the_bound_address() -> None:
    node = CourierNode(Adder).options(port=0)
    bind_addresses([node])
    with threads(node):
        client = courier.Client(node.addresses[0].resolve())
        assert client.add(2) == 2
        client.stop()


def test_nodes_call_each_other() -> None:
    last = CourierNode(Adder, 5)
    middle = CourierNode(Adder, last.create_handle())
    bind_addresses([last, middle])
    results: list[Any] = []

    def work(adder: Adder, other: Adder) -> None:
        results.append(get_context().name)
        results.append(adder.add(1))
        results.append(adder.ask(other))  # a client in a call
        results.append(launching.seconds_left())
        launching.stop()
        results.append(launching.wait_for_stop(PATIENCE_S))

    worker = PyNode(work, middle.create_handle(), last.create_handle())
    with threads(last, middle, worker):
        pass
    assert results == [
        "test_nodes_call_each_other.<locals>.work/0",
        *(6, 6, None, True),
    ]


def test_handles_travel_in_calls() -> None:
    one, two = CourierNode(Adder, 1), CourierNode(Adder, 2)
    bind_addresses([one, two])
    with threads(one, two):
        client = client_of(one)
        assert client.name() == "Adder/0"
        assert client.ask(two.create_handle()) == 3
        client.stop()


def test_a_node_in_the_calling_thread() -> None:
    seen: list[Any] = []

    class Worker:
        def __init__(self, text: str) -> None:
            self._text = text

        def run(self) -> None:
            seen.append((self._text, get_context().name, get_context().run_id))

    PyClassNode(Worker, "x").run()
    PyNode(seen.append, "y").run()
    assert seen[0][0] == "x"
    assert seen[0][2] == "standalone"
    assert seen[1] == "y"
    assert node_of(threading.current_thread()) is None
    with pytest.raises(ContextError):
        get_context()


def test_its_exception_is_its_caller_s() -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        PyNode(fail).run()


def test_a_node_whose_address_is_not_bound() -> None:
    node = CourierNode(Adder)
    with pytest.raises(ContextError, match=r"bind_addresses\(\[node\]\)"):
        node.run()
    with pytest.raises(ContextError, match="belongs to no run of this process"):
        client_of(node)


def test_a_node_can_run_again() -> None:
    node = CourierNode(Server)
    bind_addresses([node])
    client = client_of(node)
    for _ in range(2):
        with threads(node):
            assert client.ping() == "pong"
            assert client() == "called"


def test_a_node_that_is_gone() -> None:
    node = CourierNode(Adder)
    bind_addresses([node])
    handle: Any = node.create_handle()
    handle.set_client_kwargs(wait_for_ready=False)
    with pytest.raises(Unavailable, match="failed to connect to all addresses"):
        handle.dereference().add(1)


def test_an_address_of_one_s_own() -> None:
    address = Address()
    places: list[str] = []
    node = PyNode(lambda: places.append(address.resolve()))
    address.assign(node)
    bind_addresses([node])
    node.run()
    assert places == [address.resolve()]


PROGRAM = """
import threading
import launchpad_lite as lp
from launchpad_lite.address import bind_addresses

class Counter:
    def add(self, value):
        return value + 1

def work(counter):
    print(counter.add(1), flush=True)
    begun.set()
    print(lp.wait_for_stop(), flush=True)
    print(counter.add(2), flush=True)

begun = threading.Event()
server = lp.CourierNode(Counter)
worker = lp.PyNode(work, server.create_handle())
bind_addresses([server])
for node in (server, worker):
    threading.Thread(target=node.run, daemon={daemon}).start()
begun.wait()
print("end of the script", flush=True)
"""


@pytest.mark.parametrize("daemon", [False, True])
def test_the_end_of_the_process_stops_them(daemon: bool) -> None:
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM.format(daemon=daemon))],
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * PATIENCE_S,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[:2] == ["2", "end of the script"]
    if not daemon:  # which is waited for, and served meanwhile
        assert result.stdout.splitlines()[2:] == ["True", "3"]
        assert result.stderr == ""


def test_stop_events_and_handlers() -> None:
    told = threading.Event()

    def work() -> None:
        event = launching.stop_event()
        launching.register_stop_handler(told.set)
        launching.unregister_stop_handler(print)
        launching.stop()
        assert event.wait(PATIENCE_S)

    PyNode(functools.partial(work)).run()
    assert told.wait(PATIENCE_S)
