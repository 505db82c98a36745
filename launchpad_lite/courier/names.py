"""Names of servers that are used alone, on one host and by one user.

A private directory holds a file for each name: where the server listens, and whose process it is.
What a process left that died is overlooked, and removed when somebody looks closer.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from typing import TYPE_CHECKING

import msgspec

from launchpad_lite.courier import auth, transports
from launchpad_lite.endpoint import host_id
from launchpad_lite.errors import Unavailable, UsageError
from launchpad_lite.owner import Owner

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Generator, Sequence

_MAX_BYTES = 200  # a file's name may have 255


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    endpoint: str
    owner: Owner


def is_name(address: str) -> bool:
    """Return whether an address is a name: all others have a port, or a scheme."""
    return ":" not in address


def check(name: str) -> str:
    """Return a name that a server may have.

    Raises:
      UsageError: it may not have this one.
    """
    long = len(os.fsencode(name)) > _MAX_BYTES
    if not name or long or name.startswith(".") or any(each in name for each in "/:\0"):
        message = (
            f"{name!r} cannot be the name of a server: give 1 to {_MAX_BYTES} characters, without "
            "'/' and ':', and no '.' at the beginning. An address is host:port."
        )
        raise UsageError(message)
    return name


class Claim:
    """One server's name."""

    def __init__(self, name: str) -> None:
        """Choose a name; nobody sees it before `take`.

        Raises:
          UsageError: it cannot be a name.
        """
        self._name = check(name)
        self._entry: _Entry | None = None

    def take(self, endpoints: Sequence[str]) -> None:
        """Let clients find the server.

        Args:
          endpoints: where it listens; the first is what they get.

        Raises:
          UsageError: another server has the name, and its process lives.
        """
        entry = _Entry(endpoint=endpoints[0], owner=Owner.this_process())
        with _locked() as directory:
            _tidy(directory)
            path = directory / self._name
            other = _read(path)
            if other is not None:
                message = (
                    f"a server named {self._name!r} is up already, in process {other.owner.pid}, "
                    f"at {other.endpoint}. Stop it, or give this one another name."
                )
                raise UsageError(message)
            new = directory / f".{self._name}.new"
            new.write_bytes(msgspec.json.encode(entry))
            new.replace(path)
        self._entry = entry

    def give_back(self) -> None:
        """Let another server have the name."""
        with _locked() as directory:
            path = directory / self._name
            if self._entry is not None and _read(path) == self._entry:
                path.unlink()
        self._entry = None


def endpoint_of(address: str) -> str:
    """Return where a server that is used alone listens, as an endpoint.

    Args:
      address: `host:port`, which is gRPC's; an endpoint `scheme:place`; or the server's name.

    Raises:
      Unavailable: there is no server of this name.
    """
    if is_name(address):
        entry = _read(_directory() / address)
        if entry is None:
            message = (
                f"no server named {address!r} is up here: failed to connect to all addresses, "
                "it has none"
            )
            raise Unavailable(message, maybe_executed=False)
        return entry.endpoint
    scheme, _, place = address.partition(":")
    if scheme in transports.SCHEMES:
        return address
    return f"grpc:127.0.0.1:{place}" if scheme == "localhost" else f"grpc:{address}"


def _directory() -> pathlib.Path:
    # hosts and containers may share the user's files, but neither sockets nor process numbers
    host = hashlib.sha256(f"{host_id()}/{_process_namespace()}".encode()).hexdigest()[:16]
    return auth.state_dir() / "names" / host


def _process_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - it is no path
    except OSError:
        return ""


@contextlib.contextmanager
def _locked() -> Generator[pathlib.Path]:
    directory = _directory()
    for path in (directory.parent, directory):
        path.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield directory
    finally:
        os.close(descriptor)


def _read(path: pathlib.Path) -> _Entry | None:
    """Return what a file says; None when there is none, or its process is gone."""
    try:
        entry = msgspec.json.decode(path.read_bytes(), type=_Entry)
    except (OSError, msgspec.DecodeError):
        return None
    return entry if entry.owner.is_alive() else None


def _tidy(directory: pathlib.Path) -> None:
    for path in directory.iterdir():
        if _read(path) is None:
            path.unlink()
