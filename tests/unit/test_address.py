"""Addresses outside a run, where they are bound to a place; for those in runs see `test_handle`."""

from __future__ import annotations

import pickle
import socket

import pytest

from launchpad_lite.address import (
    AbstractAddressBuilder,
    Address,
    SimpleLocalAddressBuilder,
    bind_addresses,
    get_port_from_address,
)
from launchpad_lite.context import running
from launchpad_lite.errors import ContextError, ProgramError, UsageError
from launchpad_lite.nodes.courier import CourierNode
from launchpad_lite.nodes.python import PyNode
from tests.unit.fake_scope import FakeScope, fake_context


class Fixed(AbstractAddressBuilder):
    def __init__(self, place: str) -> None:
        self._place = place

    def build(self) -> str:
        return self._place


def test_a_bound_address_has_its_builder_s_place() -> None:
    address = Address()
    assert not address.is_bound
    address.bind(Fixed("host:1"))
    assert address.is_bound
    assert address.resolve() == address.place() == "host:1"
    address.bind(Fixed("host:2"))
    assert address.resolve(timeout=0) == "host:2"


def test_an_unbound_one_says_how_to_bind_it() -> None:
    with pytest.raises(ContextError, match=r"bind_addresses\(\[node\]\)"):
        Address("server").resolve()


def test_in_a_run_the_run_names_it() -> None:
    address = Address()
    address.bind(Fixed("host:1"))
    scope = FakeScope(names={address: "node/0"})
    with running(fake_context(scope), whole_process=False):
        place = address.resolve()
    assert place != "host:1"
    assert scope.published["node/0"].endpoints == (f"tcp:{place}",)


def test_a_builder_of_local_places() -> None:
    builder = SimpleLocalAddressBuilder()
    host, _, port = builder.build().partition(":")
    assert host == "localhost"
    assert builder.build() == f"localhost:{port}"
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", int(port)))  # it is free


def test_all_addresses_of_nodes_are_bound() -> None:
    one, two = CourierNode(object), PyNode(print)
    more = [Address("a"), Address("b")]
    for address in more:
        address.assign(two)
        address.assign(two)
    assert two.addresses == more
    bind_addresses([one, two])
    assert all(address.is_bound for node in (one, two) for address in node.addresses)


def test_a_bound_address_is_pickled_as_its_place() -> None:
    address = Address("x")
    with pytest.raises(ProgramError, match="has no name outside a run"):
        pickle.dumps(address)
    address.bind(Fixed("host:1"))
    assert pickle.loads(pickle.dumps(address)).name == "host:1"


def test_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LP_PORT_courier", "123")
    assert get_port_from_address("localhost:7") == 7
    assert get_port_from_address("[::1]:7") == 7
    assert get_port_from_address("host:courier") == 123
    for wrong in ("host", "host:other", "host:"):
        with pytest.raises(UsageError, match="has no port"):
            get_port_from_address(wrong)
