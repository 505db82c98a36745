"""What peers say of themselves in the handshake."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from launchpad_lite.courier import codec, messages
from launchpad_lite.courier.messages import Request
from launchpad_lite.errors import NotAuthenticated, VersionMismatch
from launchpad_lite.version import __version__

INFO = messages.ServerInfo(
    run_id="run",
    name="server/0",
    incarnation=0,
    methods=("work",),
    thread_pool_size=4,
    max_payload_bytes=1000,
    codec="pickle",
    python=messages.PYTHON,
    package=__version__,
)


def test_it_survives_the_wire() -> None:
    assert messages.decode_info(msgspec.msgpack.encode(INFO), "here") == INFO


@pytest.mark.parametrize(
    "encoded", [b"", b"\xff", msgspec.msgpack.encode({"name": "x"}), msgspec.msgpack.encode([1])]
)
def test_another_handshake_is_another_version(encoded: bytes) -> None:
    with pytest.raises(VersionMismatch, match="the server at here does not shake hands"):
        messages.decode_info(encoded, "here")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"python": "2.7"}, "has Python 2.7, this process has"),
        ({"package": "9.9"}, "has launchpad_lite 9.9, this process has"),
        ({"protocol": 99}, "has protocol 99, this process has"),
    ],
)
def test_versions_must_agree(change: dict[str, Any], what: str) -> None:
    messages.check_versions(INFO, "here")
    with pytest.raises(VersionMismatch, match=f"the server server/0 {what}"):
        messages.check_versions(msgspec.structs.replace(INFO, **change), "here")


def test_identities_must_agree() -> None:
    messages.check_identity(INFO, "run", "server/0")
    for run_id, name in (("other", "server/0"), ("run", "server/1")):
        with pytest.raises(NotAuthenticated, match="looked for"):
            messages.check_identity(INFO, run_id, name)


def test_a_call_that_is_late_shows_the_time_it_had_in_the_beginning() -> None:
    arguments = codec.Payload(b"")
    assert "did not end within 5 s" in str(
        Request("work", arguments, 0.3, limit=5.0).late("server")
    )
    assert "did not end within 0.3 s" in str(Request("work", arguments, 0.3).late("server"))
