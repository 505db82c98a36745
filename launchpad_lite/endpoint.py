"""Where a service listens at the moment."""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import pathlib
import socket
import uuid


@dataclasses.dataclass(frozen=True, slots=True)
class EndpointRecord:
    """Where one incarnation of a service can be reached.

    Attributes:
      run_id: the run it belongs to.
      name: the service's name, such as `producer/3`.
      incarnation: 0 for the first start of its worker, one more for each restart.
      host_id: whose local endpoints these are, see `host_id()`.
      endpoints: `scheme:place`, the cheapest first.
    """

    run_id: str
    name: str
    incarnation: int
    host_id: str
    endpoints: tuple[str, ...]


LOOPBACK = "127.0.0.1"
"""The address under which a host reaches itself, and nobody else reaches it."""


def is_loopback(host: str) -> bool:
    """Return whether a host is this one under an address that nobody else reaches."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def join_host(host: str, port: int) -> str:
    """Return `host:port`, or `[host]:port` where the host is an address with colons."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def published(host: str) -> str:
    """Return what to tell peers of the host that a server listens on: its name for "any"."""
    return socket.gethostname() if host in ("", "0.0.0.0", "::") else host  # noqa: S104


def split_host(place: str) -> tuple[str, int]:
    """Return the host and the port of what `join_host` returns.

    Raises:
      ValueError: it is something else.
    """
    host, separator, port = place.rpartition(":")
    if not separator or not port.isdecimal() or int(port) >= 2**16:
        message = f"{place!r} is not host:port"
        raise ValueError(message)
    return host.removeprefix("[").removesuffix("]"), int(port)


@functools.cache
def host_id() -> str:
    """Return what two processes share exactly when local sockets work between them.

    The boot id alone is not enough: two network namespaces of one machine share it, and a Unix
    socket would be taken between them where a network was meant.
    """
    try:
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = pathlib.Path("/proc/self/ns/net").readlink()
    except OSError:
        return f"{uuid.getnode():x}"
    return f"{boot}/{namespace}"
