"""A place from which the services of one run can be reached: what a node, and a client, need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from launchpad_lite.config import RunConfig
    from launchpad_lite.credentials import Credentials
    from launchpad_lite.endpoint import EndpointRecord
    from launchpad_lite.stop_token import StopToken

S = TypeVar("S")


class HasName(Protocol):
    """An address: has a name once it is part of a run."""

    name: str | None


class Scope(Protocol):
    """A place from which the services of one run can be reached."""

    @property
    def run_id(self) -> str:
        """The run."""
        ...

    @property
    def stop(self) -> StopToken:
        """Ends the calls that are made from here."""
        ...

    @property
    def config(self) -> RunConfig:
        """The run's settings."""
        ...

    @property
    def credentials(self) -> Credentials:
        """What the run's servers and clients prove to each other."""
        ...

    @property
    def schemes(self) -> tuple[str, ...]:
        """The transports that servers listen on, the cheapest first."""
        ...

    @property
    def host(self) -> str:
        """Where servers listen that listen on TCP, and peers reach them."""
        ...

    @property
    def socket_dir(self) -> str | None:
        """A private directory for sockets, with a short path; None where there is none."""
        ...

    @property
    def debugger(self) -> Callable[[str, BaseException, StopToken], object] | None:
        """Takes a node's name, what it failed with, and its stop token; None for no debugger."""
        ...

    def name_of(self, address: HasName) -> str:
        """Return what an address is called in the run."""
        ...

    def resolve(self, name: str, timeout: float | None) -> EndpointRecord:
        """Return where a service listens, waiting until it does.

        Args:
          name: the service.
          timeout: seconds; None for no limit.

        Raises:
          Unavailable: the service has ended, or there is none of this name.
          DeadlineExceeded: it did not come up in time.
          Stopped: the run has stopped.
        """
        ...

    def await_change(self, record: EndpointRecord, timeout: float) -> None:
        """Wait until a record that does not work is replaced, or for `timeout` seconds."""
        ...

    def watch(
        self, name: str, callback: Callable[[EndpointRecord], object]
    ) -> Callable[[], object]:
        """Call a quick function with each new record of a service; return what ends that."""
        ...

    def publish(self, name: str, endpoints: tuple[str, ...]) -> EndpointRecord:
        """Say where a service of this node listens."""
        ...

    def retire(self, name: str, reason: str) -> None:
        """Say that a service of this node will not come back, though the node goes on."""
        ...

    def run_ended(self, node: str) -> None:
        """Say that this node has done what it runs, and only serves from now on."""
        ...

    def note(self, node: str, text: str) -> None:
        """Say what holds this node up, for people who look at the run; empty when nothing does."""
        ...

    def request_stop(self, reason: str) -> None:
        """Ask for the end of the run."""
        ...

    def inner(self, stop: StopToken, on_run_end: Callable[[str], object]) -> Scope:
        """Return the scope of a node inside this one.

        Args:
          stop: its stop token.
          on_run_end: takes what it tells `run_ended`.
        """
        ...

    def shared(self, key: Hashable, make: Callable[[], S]) -> S:
        """Return the one object of this scope under `key`, made when it is first asked for."""
        ...
