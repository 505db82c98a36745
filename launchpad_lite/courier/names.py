"""Names and ports of servers that are used alone, on one host and by one user.

Private directories hold a file for each name, and for each port: where the server listens, and
whose process it is. What a process left that died is overlooked, and removed when somebody looks
closer.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from typing import TYPE_CHECKING, cast

import msgspec

from launchpad_lite import validation
from launchpad_lite.courier import auth, socket_dir, transports
from launchpad_lite.endpoint import LOOPBACK, host_id
from launchpad_lite.errors import Unavailable, UsageError, nearest
from launchpad_lite.owner import Owner

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Generator, Sequence

_MAX_BYTES = 200  # a file's name may have 255


_LOCAL = ("localhost", LOOPBACK)


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    endpoints: tuple[str, ...]
    owner: Owner


def is_name(address: str) -> bool:
    """Return whether an address is a name: all others have a port, or a scheme."""
    return ":" not in address


def check(name: str) -> str:
    """Return a name that a server may have.

    Raises:
      UsageError: it may not have this one.
    """
    if not isinstance(cast("object", name), str):  # where nobody checks types
        validation.refuse("name", name, "a string")
    long = len(os.fsencode(name)) > _MAX_BYTES
    if not name or long or name.startswith(".") or any(each in name for each in "/:\0"):
        message = (
            f"{name!r} cannot be the name of a server: give 1 to {_MAX_BYTES} characters, without "
            "'/' and ':', and no '.' at the beginning. An address is host:port."
        )
        raise UsageError(message)
    return name


def check_address(address: object) -> None:
    """Refuse what is neither a name, nor `host:port`, nor an endpoint.

    Raises:
      UsageError: it is none of these.
    """
    if not isinstance(address, str):
        message = f"{address!r} is no address: give a server's name, or 'host:port'."
        raise UsageError(message)
    if is_name(address):
        check(address)
        return
    host, _, port = address.rpartition(":")
    if host.partition(":")[0] in transports.SCHEMES:
        return
    if not port.isdecimal() or int(port) >= 2**16:
        problem = f"{port!r} is no port"
    elif not host:
        problem = "it has no host"
    elif "/" in host:
        problem = "it has no '/'"
    else:
        return
    message = f"{address!r} is no address: {problem}. Give 'host:port', such as 'localhost:50123'."
    raise UsageError(message)


class Claim:
    """One server's name, if it has one, and its port."""

    def __init__(self, name: str | None) -> None:
        """Choose a name; nobody sees it before `take`.

        Raises:
          UsageError: it cannot be a name.
        """
        self._name = None if name is None else check(name)
        self._files: list[pathlib.Path] = []
        self._entry: _Entry | None = None

    def take(self, endpoints: Sequence[str]) -> None:
        """Let clients find the server.

        Args:
          endpoints: where it listens, the cheapest first.

        Raises:
          UsageError: another server has the name, and its process lives.
        """
        self._entry = _Entry(endpoints=tuple(endpoints), owner=Owner.this_process())
        if self._name is not None:
            with _locked("names") as directory:
                _tidy(directory)
                other = _read(directory / self._name)
                if other is not None:
                    message = (
                        f"a server named {self._name!r} is up already, in process "
                        f"{other.owner.pid}, at {' and '.join(other.endpoints)}. Stop it, or give "
                        "this one another name."
                    )
                    raise UsageError(message)
                self._write(directory / self._name)
        for endpoint in endpoints:
            scheme, _, place = endpoint.partition(":")
            if scheme == "grpc":
                with _locked("ports") as directory:
                    _tidy(directory)
                    self._write(directory / place.rpartition(":")[2])

    def _write(self, path: pathlib.Path) -> None:
        new = path.with_name(f".{path.name}.new")
        new.write_bytes(msgspec.json.encode(self._entry))
        new.replace(path)
        self._files.append(path)

    def give_back(self) -> None:
        """Let another server have the name."""
        for path in self._files:
            with _locked(path.parent.parent.name):
                if _read(path) == self._entry:
                    path.unlink()
        self._files.clear()


def endpoints_of(address: str, scheme: str = "grpc") -> tuple[str, ...]:
    """Return where a server that is used alone listens, as endpoints, the cheapest first.

    Args:
      address: `host:port`; an endpoint `scheme:place`; or the server's name.
      scheme: what listens at `host:port`.

    Raises:
      Unavailable: there is no server of this name.
    """
    if is_name(address):
        entry = _read(_directory("names") / address)
        if entry is None:
            message = (
                f"no server named {address!r} is up here{nearest(address, _up())} A name is known "
                "to one user on one machine, from the server's Start() to its end; from elsewhere, "
                "call it at 'host:port'."
            )
            raise Unavailable(message, maybe_executed=False)
        return entry.endpoints
    host, _, place = address.partition(":")
    if host in transports.SCHEMES:
        return (address,)
    if host in ("localhost", "0.0.0.0"):  # noqa: S104 - to connect to it
        address = f"{LOOPBACK}:{place}"
    endpoint = f"{scheme}:{address}"
    if host in _LOCAL and place.isdecimal():  # a server of ours may listen elsewhere too
        entry = _read(_directory("ports") / place)
        if entry is not None and endpoint in entry.endpoints:
            return entry.endpoints
    return (endpoint,)


def _up() -> list[str]:
    """Return the names of the servers that are up."""
    directory = _directory("names")
    found = directory.iterdir() if directory.is_dir() else ()
    return [path.name for path in found if not path.name.startswith(".") and _read(path)]


def _directory(kind: str) -> pathlib.Path:
    # hosts and containers may share the user's files, but neither sockets nor process numbers
    host = hashlib.sha256(f"{host_id()}/{_process_namespace()}".encode()).hexdigest()[:16]
    return auth.state_dir() / kind / host


def _process_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - it is no path
    except OSError:
        return ""


@contextlib.contextmanager
def _locked(kind: str) -> Generator[pathlib.Path]:
    directory = _directory(kind)
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
    entry = _decode(path)
    return entry if entry is not None and entry.owner.is_alive() else None


def _decode(path: pathlib.Path) -> _Entry | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Entry)
    except (OSError, msgspec.MsgspecError):
        return None


def _tidy(directory: pathlib.Path) -> None:
    """Remove what processes have left that are gone."""
    for path in directory.iterdir():
        entry = _decode(path)
        if entry is None or not entry.owner.is_alive():
            path.unlink()
            for endpoint in entry.endpoints if entry is not None else ():
                scheme, _, place = endpoint.partition(":")
                if scheme == "unix":
                    socket_dir.remove(os.path.dirname(place))  # noqa: PTH120 - it is a string
