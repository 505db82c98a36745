"""Names of services, and their places where there is no run to name them."""

from __future__ import annotations

import abc
import contextlib
import contextvars
import os
import socket
from typing import TYPE_CHECKING, Protocol

from launchpad_lite import context
from launchpad_lite.errors import ContextError, ProgramError, Unavailable, UsageError
from launchpad_lite.frames import user_place

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

PORT_VARIABLE = "LP_PORT_"
"""What begins the environment variables that hold ports with a name."""


class Names(Protocol):
    """Whoever can say what an address is called in a run."""

    def name_of(self, address: Address) -> str:
        """Return the address's name in the run."""
        ...


class HasAddresses(Protocol):
    """A node, as the one that owns addresses."""

    @property
    def addresses(self) -> Sequence[Address]:
        """The addresses this node serves."""
        ...

    def allocate_address(self, address: Address) -> None:
        """Make this node the owner of `address`: it will serve it."""
        ...


class AbstractAddressBuilder(abc.ABC):
    """Says where a service is that belongs to no run."""

    @abc.abstractmethod
    def build(self) -> str:
        """Return `host:port`, the same each time."""


class SimpleLocalAddressBuilder(AbstractAddressBuilder):
    """A port of the loopback interface that nobody uses at the moment."""

    def __init__(self) -> None:
        """Choose a port; the service has to listen on it before somebody else does."""
        self._place = f"localhost:{_free_port()}"

    def build(self) -> str:
        """See the base class."""
        return self._place


class Address:
    """The place of a service in a program: a name, never a port.

    A node owns the addresses it serves. Which name an address has is decided when a plan is made,
    so that one program can be planned, and run, many times. Outside a run, an address that was
    bound has the place that its builder says.

    Attributes:
      name: the name inside a run, such as `producer/3`; None in the process that declared it.
      hint: what the address is for, when a node owns several.
    """

    def __init__(self, hint: str = "") -> None:
        """Make the address of a service that does not exist yet."""
        self.name: str | None = None
        self.hint = hint
        self._place = user_place()
        self._builder: AbstractAddressBuilder | None = None

    def assign(self, node: HasAddresses) -> None:
        """Make a node the owner of this address, as `node.allocate_address` does."""
        if self not in node.addresses:
            node.allocate_address(self)

    def bind(self, address_builder: AbstractAddressBuilder) -> None:
        """Say where the service is when its node runs outside a program."""
        self._builder = address_builder

    @property
    def is_bound(self) -> bool:
        """Whether it has a place outside a run."""
        return self._builder is not None

    def place(self) -> str:
        """Return where the service is outside a run, `host:port`.

        Raises:
          ContextError: it was not bound.
        """
        if self._builder is None:
            message = (
                f"{self!r} has no place here: it belongs to no run of this process, and is not "
                "bound. Launch the program; or, to run a node without one, as in a test, bind its "
                "addresses before: launchpad_lite.address.bind_addresses([node])."
            )
            raise ContextError(message)
        return self._builder.build()

    def __repr__(self) -> str:
        """Show the name, or where it was made while there is none."""
        if self.name is not None:
            return f"Address({self.name})"
        return f"Address({f'{self.hint}, ' if self.hint else ''}made at {self._place})"

    def resolve(self, timeout: float | None = None) -> str:
        """Return `host:port` of the service, for servers and clients that are not Courier's.

        In the node that owns the address this picks a free port, which the node is then expected
        to listen on; elsewhere it waits until the owner has done so. An address that was bound
        says its place at once where there is no run.

        Args:
          timeout: seconds to wait; None for no limit.

        Raises:
          DeadlineExceeded: the owner did not ask for its port in time.
          Unavailable: the owner has ended.
          ContextError: called outside a node, and it was not bound.
        """
        try:
            node = context.get_context()
        except ContextError:
            return self.place()
        name = node.scope.name_of(self)
        if self.is_bound and name == self.place():  # without a run, the one is the other
            return name
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
        names = current_names.get()
        if names is None and self._builder is not None:
            return _named, (self.place(), self.hint)
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


def bind_addresses(nodes: Iterable[HasAddresses]) -> None:
    """Give each node's addresses a free port of this machine, so that it can run without a program.

    Then `threading.Thread(target=node.run).start()` runs a node, and `handle.dereference()` gives a
    client of it.
    """
    for node in nodes:
        for address in node.addresses:
            address.bind(SimpleLocalAddressBuilder())


def get_port_from_address(address: str) -> int:
    """Return the port of `host:port`.

    Args:
      address: its port is a number, or a name `NAME`: then the environment variable
        `LP_PORT_NAME` holds the number.

    Raises:
      UsageError: there is no such variable, or no number in it.
    """
    port = address.rpartition(":")[2]
    given = port if port.isdecimal() else os.environ.get(f"{PORT_VARIABLE}{port}", "")
    if not given.isdecimal():
        message = f"{address!r} has no port: {port!r} is no number, nor is {PORT_VARIABLE}{port}."
        raise UsageError(message)
    return int(given)


def _free_place() -> str:
    return f"127.0.0.1:{_free_port()}"


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


current_names: contextvars.ContextVar[Names | None] = contextvars.ContextVar(
    "lp_names", default=None
)
"""Under which addresses are pickled; see `naming`, which is slower than to set it."""


@contextlib.contextmanager
def naming(names: Names | None) -> Generator[None]:
    """Pickle addresses inside this block under their names in a run."""
    token = current_names.set(names)
    try:
        yield
    finally:
        current_names.reset(token)
