"""The transports there are. A new one is a file beside this and a line here."""

from __future__ import annotations

import functools
import importlib
import select
from typing import TYPE_CHECKING, cast

from launchpad_lite.errors import Unavailable

if TYPE_CHECKING:
    from launchpad_lite.courier.transport import Transport

_MODULES = {
    "inproc": "launchpad_lite.courier.inproc",
    "unix": "launchpad_lite.courier.unix",
    "tcp": "launchpad_lite.courier.tcp",
    "grpc": "launchpad_lite.courier.grpc_transport",
}
"""Scheme to module, imported on first use: grpcio takes a tenth of a second."""

SCHEMES = frozenset(_MODULES)
"""The schemes that endpoints can have here."""


@functools.cache
def get(scheme: str) -> Transport:
    """Return the transport of an endpoint's scheme.

    Raises:
      Unavailable: there is none of that name here.
    """
    if scheme not in _MODULES:
        message = f"no transport for endpoints of scheme {scheme!r}"
        raise Unavailable(message, maybe_executed=False)
    return cast("Transport", importlib.import_module(_MODULES[scheme]).TRANSPORT)


def between_processes() -> str:
    """Return the cheapest scheme between processes of this host."""
    return "unix" if hasattr(select, "epoll") else "grpc"
