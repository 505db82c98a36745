"""Names of services."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Protocol

from launchpad_lite import context
from launchpad_lite.errors import ProgramError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


class Names(Protocol):
    """Whoever can say what an address is called in a run."""

    def name_of(self, address: Address) -> str:
        """Return the address's name in the run."""
        ...


class Address:
    """The place of a service in a program: a name, never a port.

    A node owns the addresses it serves. Which name an address has is decided when a plan is made,
    so that one program can be planned, and run, many times.

    Attributes:
      name: the name inside a run, such as `producer/3`; None in the process that declared it.
      hint: what the address is for, when a node owns several.
    """

    def __init__(self, hint: str = "") -> None:
        """Make the address of a service that does not exist yet."""
        self.name: str | None = None
        self.hint = hint

    def __repr__(self) -> str:
        """Show the name, if there is one."""
        return f"Address({self.name or self.hint or 'unnamed'})"

    def resolve(self, timeout: float | None = None) -> str:
        """Return `host:port` of the service, for servers and clients that are not Courier's.

        In the node that owns the address this picks a free port, which the node is then expected
        to listen on; elsewhere it waits until the owner has done so.

        Args:
          timeout: seconds to wait; None for no limit.

        Raises:
          DeadlineExceeded: the owner did not ask for its port in time.
          Unavailable: the owner has ended.
          ContextError: called outside a node.
        """
        node = context.get_context()
        name = node.scope.name_of(self)
        if name.partition("#")[0] == node.name:
            place = node.scope.shared(("port", name), _free_place)
            node.scope.publish(name, (f"tcp:{place}",))
            return place
        record = node.scope.resolve(name, timeout)
        for endpoint in record.endpoints:
            scheme, _, place = endpoint.partition(":")
            if scheme in ("tcp", "grpc"):
                return place
        message = f"{name} listens on no port, only at {', '.join(record.endpoints)}"
        raise Unavailable(message, maybe_executed=False)

    def __copy__(self) -> Address:
        """Return itself: the copy of a handle is a handle of the same service."""
        return self

    def __deepcopy__(self, memo: object) -> Address:
        """Return itself, as `__copy__` does: `dataclasses.asdict` copies handles."""
        return self

    def __reduce__(self) -> tuple[Callable[[str, str], Address], tuple[str, str]]:
        """Pickle as the name that the address has in the run at hand."""
        if self.name is not None:
            return _named, (self.name, self.hint)
        names: Names | None = getattr(_local, "names", None)
        if names is None:
            message = (
                f"{self!r} has no name outside a run, so it cannot be pickled here. Handles travel "
                "inside the arguments of nodes and of calls."
            )
            raise ProgramError(message)
        return _named, (names.name_of(self), self.hint)


def _named(name: str, hint: str) -> Address:
    address = Address(hint)
    address.name = name
    return address


def _free_place() -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{sock.getsockname()[1]}"


_local = threading.local()


@contextlib.contextmanager
def naming(names: Names | None) -> Generator[None]:
    """Pickle addresses inside this block under their names in a run."""
    before = getattr(_local, "names", None)
    _local.names = names
    try:
        yield
    finally:
        _local.names = before
