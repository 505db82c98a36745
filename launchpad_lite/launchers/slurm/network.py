"""By which addresses machines of a cluster reach each other."""

from __future__ import annotations

import socket

from launchpad_lite.errors import UsageError

_ANY_PORT = 9  # nothing is sent


def address_towards(host: str, port: int = _ANY_PORT) -> str:
    """Return the address of this machine that another one sees.

    Args:
      host: the other's address, or name.
      port: of it.

    Raises:
      UsageError: there is no way to it.
    """
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect(place)
            address: str = sock.getsockname()[0]
            return address
    except OSError as error:
        raise _no_way(host, error) from error


def address_of_name(name: str) -> str:
    """Return the address of a machine of the cluster.

    Raises:
      UsageError: its name cannot be resolved here.
    """
    try:
        return socket.gethostbyname(name)
    except OSError as error:
        raise _no_way(name, error) from error


def _no_way(host: str, error: OSError) -> UsageError:
    return UsageError(
        f"{socket.gethostname()} has no way to {host}: {error}. Machines of the cluster must "
        "resolve each other's names, as SLURM knows them (`scontrol show nodes`: NodeAddr)."
    )
