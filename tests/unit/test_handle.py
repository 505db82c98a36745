"""Handles stand for nodes: what they refuse, how they travel, and what becomes of them."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable, Generator
from typing import Any

import pytest

from launchpad_lite import context
from launchpad_lite.address import Address, naming
from launchpad_lite.config import ClientConfig
from launchpad_lite.courier.client import Client
from launchpad_lite.courier.transport import DEFAULT_CONNECT_OPTIONS
from launchpad_lite.courier.typed import submit
from launchpad_lite.errors import ContextError, HandleError, ProgramError, Unavailable, UsageError
from launchpad_lite.handle import Deferred, DeferredConstruction, dereference, receiving
from launchpad_lite.nodes.courier import CourierHandle, CourierNode
from tests.unit.fake_scope import FakeScope, fake_context


class Server:
    def answer(self) -> int:
        return 42


@dataclasses.dataclass(frozen=True)
class Config:
    server: Server


@pytest.fixture
def handle() -> CourierHandle[Server]:
    made: Any = CourierNode(Server).create_handle()
    handle: CourierHandle[Server] = made
    return handle


@pytest.fixture
def scope(handle: CourierHandle[Server]) -> FakeScope:
    return FakeScope(names={handle.address: "server/0"})


@pytest.fixture
def launched(scope: FakeScope) -> Generator[FakeScope]:
    """The run, as the process sees it that launched it."""
    context.add_run(scope)
    yield scope
    context.remove_run(scope)


def client_config(client: object) -> ClientConfig:
    assert isinstance(client, Client)
    return client._config  # noqa: SLF001 - what its node set


# Before the program runs.


def test_using_a_handle_as_a_client_says_what_to_do_instead(handle: Any) -> None:
    uses: dict[str, Callable[[], object]] = {
        "attribute 'answer'": lambda: handle.answer,
        "attribute 'futures'": lambda: handle.futures.answer(1),
        "attribute '_private'": lambda: handle._private,  # noqa: SLF001 - of the user's class
        "call": handle,
    }
    for use, function in uses.items():
        with pytest.raises(HandleError) as error:
            function()
        assert str(error.value) == (
            f"{use} of a handle of Server: a handle stands for the node until the program runs. "
            "Pass it to another node, which gets a client; or launch the program and use "
            "run.client(handle)."
        )
    with pytest.raises(HandleError, match="attribute 'answer'"):
        submit(handle.answer)


def test_a_handle_looks_to_others_like_an_object_without_attributes(handle: Any) -> None:
    assert not hasattr(handle, "answer")
    assert not hasattr(handle, "__len__")
    assert getattr(handle, "answer", 3) == 3
    assert repr(handle) == "<handle of Server>"
    assert handle.served_type is Server


def test_a_copy_of_a_handle_is_a_handle_of_the_same_node(handle: CourierHandle[Server]) -> None:
    held: Any = handle
    config = Config(held)
    copies: list[Any] = [
        copy.copy(handle),
        copy.deepcopy(handle),
        copy.deepcopy([config])[0].server,
        dataclasses.replace(config).server,
        dataclasses.asdict(config)["server"],
    ]
    assert {id(each.address) for each in copies} == {id(handle.address)}


def test_a_handle_cannot_be_pickled_outside_a_run(handle: CourierHandle[Server]) -> None:
    with pytest.raises(ProgramError, match=r"Address\(made at .*:\d+\) has no name outside a run"):
        pickle.dumps(handle)


def test_settings_of_its_clients_can_be_changed(
    handle: CourierHandle[Server], launched: FakeScope
) -> None:
    handle.set_client_kwargs(call_timeout=3, compress=True, chunk_tensors=True)
    handle.set_client_kwargs(wait_for_ready=False)
    assert client_config(handle.dereference()) == ClientConfig(
        call_timeout=3.0, compress=True, wait_for_ready=False
    )
    with pytest.raises(UsageError, match="has no setting 'call_timeuot'; did you mean"):
        handle.set_client_kwargs(call_timeuot=3)


# In a run.


def test_a_handle_becomes_a_client_in_the_run_that_was_launched(
    handle: CourierHandle[Server], launched: FakeScope
) -> None:
    client: Any = handle.dereference()
    assert isinstance(client, Client)
    assert client.address == "server/0"


def test_a_handle_of_no_run_says_so(handle: CourierHandle[Server]) -> None:
    with pytest.raises(ContextError, match=r"belongs to no run of this process\. Launch the"):
        handle.dereference()


def test_clients_keep_to_the_runs_limit(handle: CourierHandle[Server], scope: FakeScope) -> None:
    scope.config = dataclasses.replace(scope.config, max_payload_bytes=99)
    with context.entered(scope):
        assert client_config(handle.dereference()).max_payload_bytes == 99


def test_handles_anywhere_in_arguments_become_clients(
    handle: CourierHandle[Server], scope: FakeScope
) -> None:
    arguments: Any = {"a": [Config(handle)], "b": Deferred(dict, x=handle)}  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - what is declared as a Server
    with context.entered(scope):
        found = dereference(arguments)
    clients = [found["a"][0].server, found["b"]["x"]]
    assert [type(client) for client in clients] == [Client, Client]
    assert arguments["a"][0].server is handle


def test_a_handle_travels_to_a_worker_under_its_name(
    handle: CourierHandle[Server], scope: FakeScope
) -> None:
    handle.set_client_kwargs(call_timeout=3)
    with naming(scope):
        data = pickle.dumps(handle)
    assert b"Server" in data  # its title, for messages
    assert __name__.encode() not in data  # not its class, which the receiver may not know
    arrived: Any = pickle.loads(data)
    assert type(arrived) is type(handle)
    assert (arrived.address.name, arrived.served_type) == ("server/0", None)
    assert repr(arrived) == "<handle of server/0>"
    again = pickle.loads(pickle.dumps(arrived))  # named now, so it may go on
    assert again.address.name == "server/0"
    with context.entered(FakeScope()):
        assert client_config(arrived.dereference()).call_timeout == 3.0


def test_a_handle_in_a_call_arrives_as_a_client_of_the_receivers_run(
    handle: CourierHandle[Server], scope: FakeScope
) -> None:
    receiver = FakeScope()
    with naming(scope):
        data = pickle.dumps({"server": [handle]})
    with receiving(receiver):
        client = pickle.loads(data)["server"][0]
        with receiving(None):
            assert isinstance(pickle.loads(data)["server"][0], CourierHandle)
        assert isinstance(pickle.loads(data)["server"][0], Client)
    assert isinstance(client, Client)
    assert client.address == "server/0"
    assert list(receiver.shared_keys()) == [("peer", "server/0", DEFAULT_CONNECT_OPTIONS)]
    assert isinstance(pickle.loads(data)["server"][0], CourierHandle)


def test_names_hold_inside_the_block_only(scope: FakeScope, handle: CourierHandle[Server]) -> None:
    with naming(scope):
        with naming(FakeScope()), pytest.raises(ContextError):
            pickle.dumps(handle)
        pickle.dumps(handle)
    with pytest.raises(ProgramError):
        pickle.dumps(handle)


# Deferred objects.


def test_a_deferred_object_is_made_when_it_is_asked_for() -> None:
    made: list[object] = []

    def make(first: int, *, second: object) -> str:
        made.append((first, second))
        return "made"

    deferred: Any = Deferred(make, 1, second=[Deferred(int, "7")])
    assert isinstance(deferred, DeferredConstruction)
    assert made == []
    held: list[Any] = [deferred, deferred]
    assert dereference(held) == ["made", "made"]
    assert made == [(1, [7])]


# Addresses of servers that are not Courier's.


def as_node(scope: FakeScope, name: str, function: Callable[[], str]) -> str:
    label, _, index = name.rpartition("/")
    with context.running(fake_context(scope, label=label, index=int(index)), whole_process=True):
        return function()


def test_the_owner_of_an_address_picks_a_port_once_and_others_learn_it() -> None:
    address = Address("metrics")
    scope = FakeScope(names={address: "a/1#metrics"})
    with pytest.raises(Unavailable):
        as_node(scope, "b/0", address.resolve)
    place = as_node(scope, "a/1", address.resolve)
    host, _, port = place.partition(":")
    assert (host, 0 < int(port) < 2**16) == ("127.0.0.1", True)
    assert as_node(scope, "a/1", address.resolve) == place
    assert as_node(scope, "b/0", lambda: address.resolve(timeout=1.0)) == place
    assert scope.published["a/1#metrics"].endpoints == (f"tcp:{place}",)


def test_a_node_of_a_similar_name_is_not_the_owner() -> None:
    address = Address()
    scope = FakeScope(names={address: "a/11"})
    with pytest.raises(Unavailable):
        as_node(scope, "a/1", address.resolve)


def test_a_service_without_a_port_has_no_place() -> None:
    address = Address()
    scope = FakeScope(names={address: "a/0"})
    scope.publish("a/0", ("inproc:x", "unix:/y"))
    with pytest.raises(Unavailable, match="a/0 listens on no port, only at inproc:x, unix:/y"):
        as_node(scope, "b/0", address.resolve)
    scope.publish("a/0", ("unix:/y", "grpc:127.0.0.1:5"))
    assert as_node(scope, "b/0", address.resolve) == "127.0.0.1:5"


def test_only_a_node_can_resolve_an_address() -> None:
    with pytest.raises(ContextError, match="belongs to no run of this process, and is not bound"):
        Address().resolve()
