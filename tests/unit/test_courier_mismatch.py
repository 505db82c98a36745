"""A server and a client that were made in different ways: the error says so, and what to write."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import os
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from launchpad_lite import courier
from launchpad_lite.credentials import make_certificate
from launchpad_lite.errors import CallError, NotAuthenticated, Unavailable

PATIENCE_S = 30.0
ALIKE = "make server and client alike: both with the same credentials=, or both with insecure=True"


@functools.cache
def ours() -> courier.Credentials:
    return courier.Credentials.create()


@functools.cache
def valid_from(days: int) -> courier.Credentials:
    begin = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    certificate, key = make_certificate(begin=begin)
    return courier.Credentials(token=bytes(32), certificate=certificate, key=key)


@dataclasses.dataclass(frozen=True)
class Case:
    """How the server and the client were made, and what the client's user is told."""

    server: dict[str, Any]
    client: dict[str, Any]
    error: type[CallError]
    text: str


TLS: dict[str, Any] = {"credentials": ours()}
OPEN: dict[str, Any] = {"insecure": True}
DATA: dict[str, Any] = {"codec": "data"}
PLAIN: dict[str, Any] = {}
NO_TLS = rf"does not use TLS, and this client was made with credentials=: {ALIKE}"
HUNG_UP = (
    r"hung up before it said anything, and this client was made {}\. If this lasts, make server"
)
OTHER = r"has other credentials than this client\. Copy the file that the server's come from"

CASES = {
    "a plain server, a client with credentials": Case(PLAIN, TLS, NotAuthenticated, NO_TLS),
    "an insecure server, a client with credentials": Case(OPEN, TLS, NotAuthenticated, NO_TLS),
    "a server with credentials, a plain client": Case(
        TLS, PLAIN, Unavailable, HUNG_UP.format("with neither credentials= nor insecure=True")
    ),
    "a server with credentials, an insecure client": Case(
        TLS, OPEN, Unavailable, HUNG_UP.format("with insecure=True")
    ),
    "an insecure server, a plain client": Case(
        OPEN,
        PLAIN,
        NotAuthenticated,
        rf"speaks another protocol, and this client was made with neither credentials= .*: {ALIKE}",
    ),
    "a plain server, an insecure client": Case(
        PLAIN,
        OPEN,
        NotAuthenticated,
        rf"speaks another protocol, and this client was made with insecure=True: {ALIKE}",
    ),
    "an insecure server for all languages, a plain client": Case(
        OPEN | DATA, PLAIN, NotAuthenticated, r"does not know this client's secret.* insecure=True"
    ),
    "other credentials": Case(
        TLS, {"credentials": courier.Credentials.create()}, NotAuthenticated, OTHER
    ),
    "the same certificate, another secret": Case(
        TLS,
        {"credentials": msgspec.structs.replace(ours(), token=os.urandom(32))},
        NotAuthenticated,
        OTHER,
    ),
    "expired credentials": Case(
        {"credentials": valid_from(-400)},
        {"credentials": valid_from(-400)},
        NotAuthenticated,
        r"has this client's credentials, and they have expired\. Make new ones with",
    ),
    "credentials of tomorrow": Case(
        {"credentials": valid_from(1)},
        {"credentials": valid_from(1)},
        NotAuthenticated,
        r"has this client's credentials, and they are not valid yet\. Compare the clocks of both",
    ),
}


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> Iterator[tuple[Case, str]]:
    one = CASES[request.param]
    server = courier.Server(**one.server)
    server.Bind("echo", lambda value: value)
    server.Start()
    yield one, server.address
    server.Stop()


def test_two_sides_that_do_not_fit(case: tuple[Case, str]) -> None:
    one, address = case
    client = courier.Client(address, call_timeout=PATIENCE_S, wait_for_ready=False, **one.client)
    with pytest.raises(one.error, match=f"the server at {address} {one.text}"):
        client.echo(1)
    assert isinstance(client.futures.echo(1).exception(PATIENCE_S), one.error)


@pytest.mark.parametrize("settings", [TLS, OPEN, PLAIN], ids=["tls", "insecure", "plain"])
def test_two_sides_that_fit(settings: dict[str, Any]) -> None:
    for codec in ({}, DATA):
        server = courier.Server(**settings, **codec)
        server.Bind("echo", lambda value: value)
        server.Start()
        client = courier.Client(server.address, call_timeout=PATIENCE_S, **settings, **codec)
        assert client.echo(1) == 1
        server.Stop()


def test_what_is_certain_is_not_waited_for() -> None:
    server = courier.Server()
    server.Start()
    client = courier.Client(server.address, credentials=ours())  # it would wait for a server
    with pytest.raises(NotAuthenticated, match="does not use TLS"):
        client.echo(1)
    server.Stop()


def test_another_user(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = courier.Server()
    server.Start()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(NotAuthenticated, match="another user started it") as caught:
        courier.Client(server.address).echo(1)
    assert ALIKE in str(caught.value)
    server.Stop()


@pytest.mark.parametrize("settings", [PLAIN, TLS, OPEN], ids=["plain", "tls", "insecure"])
def test_nobody_listens(settings: dict[str, Any], free_address: str) -> None:
    client = courier.Client(free_address, wait_for_ready=False, **settings)
    with pytest.raises(Unavailable, match=f"nobody listens at {free_address}: failed to connect"):
        client.echo(1)


@pytest.fixture
def free_address() -> str:
    server = courier.Server()
    server.Start()
    server.Stop()
    return server.address


def test_no_name_like_this_is_up() -> None:
    server = courier.Server("adder")
    server.Start()
    with pytest.raises(Unavailable) as caught:
        courier.Client("addr", wait_for_ready=False).add(4, 7)
    expected = (
        "no server named 'addr' is up here; did you mean 'adder'? Known: adder. A name is known"
    )
    assert re.match(re.escape(expected), str(caught.value))
    server.Stop()
