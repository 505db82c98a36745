"""By which addresses machines of a cluster reach each other."""

from __future__ import annotations

import socket

_ANY_PORT = 9  # nothing is sent


def address_towards(host: str, port: int = _ANY_PORT) -> str:
    """Return the address of this machine that another one sees.

    Args:
      host: the other's address, or name.
      port: of it.

    Raises:
      OSError: there is no way to it.
    """
    family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect(place)
        address: str = sock.getsockname()[0]
        return address
