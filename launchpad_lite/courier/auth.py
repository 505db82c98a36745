"""What proves that a peer belongs to the same run, or to the same user."""

from __future__ import annotations

import contextlib
import hmac
import os
import pathlib
import secrets
from typing import Any, cast

from launchpad_lite import validation
from launchpad_lite.credentials import PUBLIC, TOKEN_BYTES, Credentials
from launchpad_lite.errors import UsageError


def is_valid(given: bytes, expected: bytes) -> bool:
    """Compare secrets in constant time."""
    return hmac.compare_digest(given, expected)


def state_dir() -> pathlib.Path:
    """Return this user's directory for state: `$XDG_STATE_HOME/launchpad_lite`, mode 0700."""
    base = os.environ.get("XDG_STATE_HOME") or pathlib.Path.home() / ".local" / "state"
    path = pathlib.Path(base) / "launchpad_lite"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def user_token() -> bytes:
    """Return this user's secret for servers used alone, made on first use in a file of mode 0600.

    Raises:
      PermissionError: the file may be read by others, or holds no secret.
    """
    path = state_dir() / "token"
    if not path.exists():
        temporary = path.with_name(f"token.{os.getpid()}.{secrets.token_hex(4)}")
        temporary.touch(mode=0o600)
        try:
            temporary.write_bytes(secrets.token_bytes(TOKEN_BYTES))
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)  # atomic, and never over another process's
        finally:
            temporary.unlink()
    if path.stat().st_mode & 0o077:
        message = f"{path} may be read by others: remove it, and a new one is made."
        raise PermissionError(message)
    token = path.read_bytes()
    if len(token) != TOKEN_BYTES:
        message = f"{path} has been damaged: remove it, and a new one is made."
        raise PermissionError(message)
    return token


def user_credentials() -> Credentials:
    """Return what servers and clients used alone have by default: this user's secret.

    Raises:
      PermissionError: see `user_token`.
    """
    return Credentials(token=user_token())


def chosen_credentials(credentials: Credentials | None, *, insecure: bool) -> Credentials | None:
    """Return what a user has chosen for calls between hosts; None for nothing.

    Raises:
      UsageError: both were given, or the credentials cannot encrypt.
    """
    insecure = validation.boolean("insecure", insecure)
    if insecure and credentials is not None:
        message = "give credentials=, or insecure=True, not both."
        raise UsageError(message)
    # which may be anything, where nobody checks types
    if not isinstance(cast("Any", credentials), Credentials | None):
        message = (
            f"credentials={credentials!r}: give a courier.Credentials. Those that were saved in a "
            "file come from courier.Credentials.load(path)."
        )
        raise UsageError(message)
    if credentials is not None and credentials != PUBLIC and not credentials.tls:
        message = (
            "credentials=: these have no certificate, so they cannot encrypt. Make them with "
            "courier.Credentials.create()."
        )
        raise UsageError(message)
    if credentials is not None and credentials.tls:
        _check_certificate(credentials)
    return PUBLIC if insecure else credentials


def _check_certificate(credentials: Credentials) -> None:
    """Refuse a certificate or a key that is none.

    Raises:
      UsageError: it is damaged, or they do not belong together.
    """
    import ssl  # takes a moment to import

    from launchpad_lite.courier import tls

    try:
        tls.server_context(credentials)
    except (ssl.SSLError, UnicodeDecodeError) as error:
        message = (
            "credentials=: their certificate or key is damaged, or they do not belong together "
            f"({error}). Copy the file again, or make new ones with courier.Credentials.create()."
        )
        raise UsageError(message) from error
