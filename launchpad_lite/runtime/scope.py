"""How one node, or the launching process, reaches the services of a run."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from launchpad_lite.endpoint import LOOPBACK, EndpointRecord, host_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.config import RunConfig
    from launchpad_lite.credentials import Credentials
    from launchpad_lite.runtime.directory import Directory
    from launchpad_lite.scope import HasName
    from launchpad_lite.stop_token import StopToken


S = TypeVar("S")


class Control(Protocol):
    """The controller, as a worker sees it: directly in one process, through Courier otherwise."""

    def publish(self, record: EndpointRecord) -> None:
        """Say where a service of the worker listens."""
        ...

    def retire(self, name: str, reason: str) -> None:
        """Say that a service of the worker will not come back."""
        ...

    def run_ended(self, worker: str) -> None:
        """Say that the worker has done what it runs, and only serves from now on."""
        ...

    def note(self, worker: str, incarnation: int, text: str) -> None:
        """Say what holds the worker up, without waiting; empty when nothing does."""
        ...

    def request_stop(self, reason: str) -> None:
        """Ask for the end of the run."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunScope:
    """Implements `scope.Scope`; see there.

    Attributes:
      incarnation: of the worker, for what it publishes.
      directory: the directory to look names up in.
      follow: makes sure that the directory hears of a name.
      control: the controller.
      names: says what an address is called.
      debugger: lets the user look at a node that has failed; None for no debugger.
      on_run_end: takes what a node inside another one tells `run_ended`; None for the controller.
    """

    run_id: str
    stop: StopToken
    config: RunConfig
    credentials: Credentials
    schemes: tuple[str, ...]
    socket_dir: str | None
    incarnation: int
    directory: Directory
    follow: Callable[[str], object]
    control: Control
    names: Callable[[HasName], str]
    host: str = LOOPBACK
    debugger: Callable[[str, BaseException, StopToken], object] | None = None
    on_run_end: Callable[[str], object] | None = None
    _shared: dict[Hashable, Any] = dataclasses.field(default_factory=dict[Hashable, Any])
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def shared(self, key: Hashable, make: Callable[[], S]) -> S:
        """Return the one object of this scope under `key`, made when it is first asked for."""
        with self._lock:
            if key not in self._shared:
                self._shared[key] = make()
            return cast("S", self._shared[key])

    def name_of(self, address: HasName) -> str:
        """Return what an address is called in the run."""
        return self.names(address)

    def resolve(self, name: str, timeout: float | None) -> EndpointRecord:
        """Return where a service listens, waiting until it does."""
        self.stop.check()
        self.follow(name)
        return self.directory.resolve(name, timeout, self.stop)

    def await_change(self, record: EndpointRecord, timeout: float) -> None:
        """Wait until a record that does not work is replaced, or for `timeout` seconds."""
        self.directory.await_change(record, timeout, self.stop)

    def watch(
        self, name: str, callback: Callable[[EndpointRecord], object]
    ) -> Callable[[], object]:
        """Call a quick function with each new record of a service; return what ends that."""
        return self.directory.watch(name, callback)

    def publish(self, name: str, endpoints: tuple[str, ...]) -> EndpointRecord:
        """Say where a service of this node listens."""
        record = EndpointRecord(
            run_id=self.run_id,
            name=name,
            incarnation=self.incarnation,
            host_id=host_id(),
            endpoints=endpoints,
        )
        self.control.publish(record)
        return record

    def retire(self, name: str, reason: str) -> None:
        """Say that a service of this node will not come back, though the node goes on."""
        self.control.retire(name, reason)

    def run_ended(self, node: str) -> None:
        """Say that this node has done what it runs, and only serves from now on."""
        (self.on_run_end or self.control.run_ended)(node)

    def note(self, node: str, text: str) -> None:
        """Say what holds this node up, for people; empty when nothing does."""
        self.control.note(node, self.incarnation, text)

    def inner(self, stop: StopToken, on_run_end: Callable[[str], object]) -> RunScope:
        """Return the scope of a node inside this one; see `scope.Scope.inner`."""
        # clients that are shared in a scope end with its stop token
        return dataclasses.replace(
            self, stop=stop, on_run_end=on_run_end, _shared={}, _lock=threading.Lock()
        )

    def request_stop(self, reason: str) -> None:
        """Ask for the end of the run."""
        self.stop.attentive = self.stop.requested = True
        self.control.request_stop(reason)
