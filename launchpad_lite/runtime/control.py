"""The controller over Courier: what workers in other processes, and other terminals, talk to."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from launchpad_lite.config import ClientConfig, ServerConfig
from launchpad_lite.courier import metering
from launchpad_lite.courier.client import client_at
from launchpad_lite.courier.server import Server
from launchpad_lite.courier.typed import stream
from launchpad_lite.endpoint import EndpointRecord
from launchpad_lite.errors import CallError, Stopped
from launchpad_lite.runtime.directory import Directory, EndedRecord
from launchpad_lite.runtime.measuring import MetricsWanted, RunMetrics
from launchpad_lite.runtime.status import Notice, RunStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from launchpad_lite.credentials import Credentials
    from launchpad_lite.runtime.controller import Controller
    from launchpad_lite.scope import Scope

NAME = "controller"
"""The controller's name as a service."""

_THREADS = 8
_MAX_STREAMS = 2**20  # one for each worker
_VIEWER_TIMEOUT_S = 10.0


def serve(controller: Controller, scope: Scope, more: Iterable[Callable[..., Any]] = ()) -> Server:
    """Serve a controller to other processes.

    Args:
      controller: the controller.
      scope: of the launching process, with the transports to serve on.
      more: methods that a launcher adds, by their names.
    """

    def services() -> list[str]:
        return sorted(controller.plan.services)

    methods: tuple[Callable[..., Any], ...] = (
        controller.publish,
        controller.followers.follow,
        controller.retire,
        controller.run_ended,
        controller.note,
        controller.request_stop,
        controller.status,
        controller.metrics,
        services,
        controller.measuring.report,
        controller.followers.attach,
        controller.watch,
        *more,
    )
    return serve_methods(methods, scope)


def serve_methods(methods: Iterable[Callable[..., Any]], scope: Scope) -> Server:
    """Serve what answers for a controller, by the methods' names.

    Args:
      methods: those of `RunViewer` at least.
      scope: of the launching process, with the transports to serve on.
    """
    config = ServerConfig(thread_pool_size=_THREADS, max_streams=_MAX_STREAMS)
    server = Server.in_run(NAME, scope, None, config, internal=True)
    for method in methods:
        server.Bind(method.__name__, method)
    server.Start()
    return server


class RemoteControl:
    """A worker's line to the controller: one stream for what it must know, and calls."""

    def __init__(
        self,
        endpoint: str,
        credentials: Credentials,
        run_id: str,
        worker: str,
        directory: Directory | None = None,
        *,
        waits: bool = True,
    ) -> None:
        """Name the controller's endpoint; connect in `attach`.

        Args:
          endpoint: where the controller listens.
          credentials: of the run.
          run_id: the run.
          worker: who listens.
          directory: is told what the controller says of services; None for a new one.
          waits: whether calls wait for a controller that is not there: an agent ends a worker whose
            controller is gone.
        """
        self._run_id = run_id
        config = ClientConfig(wait_for_ready=waits)
        self._client: Any = client_at(endpoint, credentials, config, internal=True)
        self._worker = worker
        self._lock = threading.Lock()
        self._followed: set[str] = set()
        self.directory = directory or Directory()

    def attach(self, on_notice: Callable[[Notice], object]) -> None:
        """Begin to hear from the controller; a controller that is gone is the agent's business.

        Args:
          on_notice: is told when the run stops, or the worker's host leaves.
        """
        news_of_the_run = stream(self._client.attach, self._worker)

        def listen() -> None:
            with contextlib.suppress(CallError, Stopped):  # the end of the run
                hear()

        def hear() -> None:
            for news in news_of_the_run:
                if isinstance(news, EndpointRecord):
                    self.directory.publish(news)
                elif isinstance(news, EndedRecord):
                    self.directory.end(news)
                elif isinstance(news, MetricsWanted):
                    told = metering.metrics(self._run_id)
                    self._client.futures.report(news.question, self._worker, told)
                elif isinstance(news, Notice):
                    # handlers may take their time, and the directory must not wait for them
                    threading.Thread(
                        target=on_notice,
                        args=(news,),
                        name="lp-notice",
                        daemon=True,
                    ).start()

        threading.Thread(target=listen, name="lp-control", daemon=True).start()

    def publish(self, record: EndpointRecord) -> None:
        """Say where a service of the worker listens."""
        self.directory.publish(record)
        self._client.publish(record)

    def retire(self, name: str, reason: str) -> None:
        """Say that a service of the worker will not come back."""
        self._client.retire(name, reason)

    def run_ended(self, worker: str) -> None:
        """Say that the worker has done what it runs, and only serves from now on."""
        self._client.run_ended(worker)

    def note(self, worker: str, incarnation: int, text: str) -> None:
        """Say what holds the worker up, without waiting; empty when nothing does."""
        self._client.futures.note(worker, incarnation, text)

    def request_stop(self, reason: str) -> None:
        """Ask for the end of the run."""
        self._client.request_stop(reason)

    def follow(self, name: str) -> None:
        """Make sure that the directory hears of a service."""
        with self._lock:
            known = name in self._followed
            self._followed.add(name)
        if not known:
            try:
                news = self._client.follow(self._worker, name)
            except BaseException:
                with self._lock:
                    self._followed.discard(name)
                raise
            if news is not None:
                self.directory.learn(news)


class RunViewer:
    """A run, as another terminal sees it."""

    def __init__(self, endpoint: str, credentials: Credentials) -> None:
        """Name the controller's endpoint."""

        def client(timeout: float | None) -> Any:
            config = ClientConfig(call_timeout=timeout, wait_for_ready=False)
            return client_at(endpoint, credentials, config, internal=True)

        self._client = client(_VIEWER_TIMEOUT_S)
        self._patient = client(None)

    def status(self) -> RunStatus:
        """Return where the run is.

        Raises:
          CallError: the controller cannot be reached.
        """
        status: RunStatus = self._client.status()
        return status

    def metrics(self) -> RunMetrics:
        """Return what the run's nodes have counted of their calls.

        Raises:
          CallError: the controller cannot be reached.
        """
        metrics: RunMetrics = self._client.metrics()
        return metrics

    def services(self) -> list[str]:
        """Return the names under which something can be called in the run.

        Raises:
          CallError: the controller cannot be reached.
        """
        services: list[str] = self._client.services()
        return services

    def stop(self, reason: str, *, immediately: bool = False) -> None:
        """Ask for the end of the run.

        Raises:
          CallError: the controller cannot be reached.
        """
        self._client.request_stop(reason, immediately=immediately)

    def changes(self) -> Iterator[RunStatus]:
        """Yield the status now, at each phase, and at the end of each worker.

        Raises:
          CallError: the controller cannot be reached.
        """
        self.status()  # one that does not answer is not waited for
        yield from stream(self._patient.watch)  # a run may be as it is for days
