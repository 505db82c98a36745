"""The user's secret."""

from __future__ import annotations

import os
import secrets
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from launchpad_lite.courier import auth
from launchpad_lite.credentials import TOKEN_BYTES


def test_only_the_same_token_is_valid() -> None:
    token = secrets.token_bytes(TOKEN_BYTES)
    assert auth.is_valid(bytes(token), token)
    for other in (b"", token[:-1], token + b"\0", secrets.token_bytes(TOKEN_BYTES)):
        assert not auth.is_valid(other, token)


def test_the_user_s_token_is_made_once(state_home: Path) -> None:
    token = auth.user_token()
    assert token == auth.user_token()
    path = state_home / "launchpad_lite" / "token"
    assert path.read_bytes() == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_umask_does_not_matter(state_home: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        auth.user_token()
    finally:
        os.umask(before)
    path = state_home / "launchpad_lite" / "token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_whoever_comes_first_makes_it(state_home: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        tokens = set(threads.map(lambda _: auth.user_token(), range(64)))
    assert len(tokens) == 1
    assert [path.name for path in (state_home / "launchpad_lite").iterdir()] == ["token"]


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o644, 0o666])
def test_a_token_that_others_can_read_is_refused(state_home: Path, mode: int) -> None:
    auth.user_token()
    path = state_home / "launchpad_lite" / "token"
    path.chmod(mode)
    with pytest.raises(PermissionError, match=f"{path} may be read by others: remove it"):
        auth.user_token()
    path.unlink()
    assert len(auth.user_token()) == TOKEN_BYTES


@pytest.mark.parametrize("content", [b"", b"short", bytes(TOKEN_BYTES + 1)])
def test_a_damaged_token_is_refused(state_home: Path, content: bytes) -> None:
    auth.user_token()
    path = state_home / "launchpad_lite" / "token"
    path.write_bytes(content)
    with pytest.raises(PermissionError, match="has been damaged: remove it"):
        auth.user_token()


def test_without_xdg_it_is_in_the_home_directory(
    state_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(state_home))
    assert auth.state_dir() == state_home / ".local" / "state" / "launchpad_lite"
