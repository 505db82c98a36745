"""Credentials: what they are, and how they are kept."""

from __future__ import annotations

import io
import os
import pickle
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import rich.console
import rich.pretty

from launchpad_lite import courier
from launchpad_lite.credentials import TOKEN_BYTES


def test_each_are_different() -> None:
    one, other = courier.Credentials.create(), courier.Credentials.create()
    assert one.tls
    assert one != other
    assert len({one.token, other.token}) == len({one.key, other.key}) == 2


def test_without_tls_there_is_only_a_secret() -> None:
    credentials = courier.Credentials.create(tls=False)
    assert not credentials.tls
    assert len(credentials.token) == TOKEN_BYTES


def test_they_can_be_pickled() -> None:
    credentials = courier.Credentials.create()
    assert pickle.loads(pickle.dumps(credentials)) == credentials
    assert hash(pickle.loads(pickle.dumps(credentials))) == hash(credentials)


def test_what_is_shown_has_no_secret() -> None:
    credentials = courier.Credentials.create()
    assert repr(credentials) == "<courier.Credentials with TLS>"
    assert repr(courier.Credentials.create(tls=False)) == "<courier.Credentials without TLS>"
    output = io.StringIO()
    rich.console.Console(file=output).print(rich.pretty.Pretty(credentials))
    assert "PRIVATE" not in output.getvalue()
    assert "token" not in output.getvalue()


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_they_are_saved_in_a_private_file(tmp_path: Path, umask: int, tls: bool) -> None:
    credentials = courier.Credentials.create(tls=tls)
    path = tmp_path / "credentials"
    before = os.umask(umask)
    try:
        credentials.save(path)
        credentials.save(str(path), overwrite=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert courier.Credentials.load(path) == courier.Credentials.load(str(path)) == credentials
    assert [each.name for each in tmp_path.iterdir()] == ["credentials"]


def test_nothing_is_left_of_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    target = tmp_path / "directory"
    (target / "full").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        courier.Credentials.create(tls=False).save(target)
    assert [each.name for each in tmp_path.iterdir()] == ["directory"]


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644, 0o666])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "credentials"
    courier.Credentials.create(tls=False).save(path)
    path.chmod(mode)
    with pytest.raises(PermissionError, match=f"may be read by others.*chmod 600 {path}"):
        courier.Credentials.load(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        courier.Credentials.load(tmp_path / "credentials")


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut": lambda content: content[:-10],
    "no token": lambda content: content.replace(b'"token"', b'"tocken"'),
    "a short token": lambda _: b'{"token": "AAAA"}',
    "not text": lambda content: b"\xff" + content,
    "no key": lambda content: msgspec.json.encode({**msgspec.json.decode(content), "key": None}),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "credentials"
    courier.Credentials.create().save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(PermissionError, match=r"holds no credentials.*Copy the file again"):
        courier.Credentials.load(path)
