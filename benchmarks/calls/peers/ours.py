"""Courier nodes of the process launcher: one is the server, the others are its clients."""

from __future__ import annotations

import contextlib
import dataclasses
import queue
from concurrent import futures
from typing import TYPE_CHECKING, Any

import launchpad_lite as lp
from benchmarks.calls.peer import CallPeer, Session
from benchmarks.calls.service import Served
from benchmarks.calls.workloads import FuturesTarget, Workload
from benchmarks.window import Figures, Window
from launchpad_lite.launchers.base import LaunchOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from benchmarks.calls.service import Array, Service

_Job = tuple[Workload, Window, futures.Future[Figures]]

BATCH_SIZE = 32


class Ours(CallPeer):
    """Courier, as a program gets it, or with settings of the run.

    Attributes:
      settings: fields of `lp.RunConfig` that differ from their defaults.
      batched: whether the service's `act` is called in batches.
    """

    def __init__(
        self, name: str, settings: Mapping[str, Any] | None = None, *, batched: bool = False
    ) -> None:
        """Name it, with its settings."""
        super().__init__(name)
        self.settings = dict(settings or {})
        self.batched = batched

    def missing(self) -> str | None:
        """See the base class."""
        known = {field.name for field in dataclasses.fields(lp.RunConfig)}
        unknown = sorted(self.settings.keys() - known)
        return f"lp.RunConfig has no {', '.join(unknown)}" if unknown else None

    def version(self) -> str:
        """See the base class."""
        return lp.__version__

    @contextlib.contextmanager
    def start(self, service: Service, clients: int) -> Generator[Session]:
        """See the base class."""
        program = lp.Program("rpc")
        server: lp.CourierNode[Any]
        if self.batched:
            server = lp.CourierNode(Batched, service)
        else:
            server = lp.CourierNode(service.cls, *service.args)
        if service.threads is not None:
            server.options(thread_pool_size=service.threads)
        handle = program.add_node(server, label="server")
        with program.group("client"):
            drivers = [program.add_node(lp.CourierNode(Driver, handle)) for _ in range(clients)]
        config, options = lp.RunConfig(**self.settings), LaunchOptions(show_output=False)
        with lp.launch(program, launcher="process", config=config, options=options) as run:
            yield _Session([run.client(driver) for driver in drivers], batched=self.batched)
        left = run.leftovers(1.0)
        assert not left, left


class Driver:
    """A node that is a client of the server."""

    def __init__(self, server: Any) -> None:
        """Take the server's client."""
        self._target = _Target(server)
        self._asked: queue.SimpleQueue[_Job] = queue.SimpleQueue()

    def run(self) -> None:
        """Do what is asked for, in the main thread, as most nodes do."""
        while True:
            workload, window, future = self._asked.get()
            try:
                future.set_result(workload(self._target, window))
            except Exception as error:
                future.set_exception(error)

    def up(self) -> None:
        """Answer, which a node does once it is up."""

    def measure(self, workload: Workload, window: Window) -> Figures:
        """Run a workload."""
        future: futures.Future[Figures] = futures.Future()
        self._asked.put((workload, window, future))
        return future.result()


class Batched(Served):
    """Serves a service's `act` in batches."""

    def __init__(self, service: Service) -> None:
        """Make what is served."""
        self._served = service.make()
        self._calls = self._batches = 0

    @lp.batched_handler(BATCH_SIZE)
    def act(self, observation: Array) -> Array:
        """Pass on a batch."""
        self._calls += len(observation)
        self._batches += 1
        result: Array = self._served.act(observation)
        return result

    def mean_batch(self, _: None) -> float:
        """Return the calls in a batch so far."""
        return self._calls / self._batches


class _Session(Session):
    def __init__(self, drivers: list[Driver], *, batched: bool) -> None:
        self._drivers = drivers
        self.batched = batched
        for call in [lp.submit(driver.up) for driver in drivers]:
            call.result()
        self.ask("pid")  # the server is up as well

    def run(self, workload: Workload, window: Window, clients: int) -> list[Figures]:
        calls = [lp.submit(driver.measure, workload, window) for driver in self._drivers[:clients]]
        return [call.result() for call in calls]


class _Target(FuturesTarget):
    def __init__(self, client: Any) -> None:
        self._client = client

    def caller(self, method: str) -> Callable[[Any], Any]:
        client = self._client

        def call(
            argument: Any,
        ) -> Any:  # looks the method up, as users do
            return getattr(client, method)(argument)

        return call

    def starter(self, method: str) -> Callable[[Any], Any]:
        client = self._client
        return lambda argument: lp.submit(getattr(client, method), argument)

    def wait(self, call: Any) -> Any:
        return call.result()
