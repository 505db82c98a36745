"""The half of `ray.py` that runs in the interpreter that has Ray."""

from __future__ import annotations

import contextlib
import importlib
import sys
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from benchmarks.calls.workloads import FuturesTarget, Workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.window import Figures, Window

ray: Any = importlib.import_module("ray")  # typed Any: most who check this have no Ray


class _Target(FuturesTarget):
    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def caller(self, method: str) -> Callable[[Any], Any]:
        actor = self._actor
        return lambda argument: ray.get(getattr(actor, method).remote(argument))

    def starter(self, method: str) -> Callable[[Any], Any]:
        actor = self._actor
        return lambda argument: getattr(actor, method).remote(argument)

    def wait(self, call: Any) -> Any:
        return ray.get(call)


class Driver:
    """An actor that is a client of the server."""

    def __init__(self, server: Any) -> None:
        """Take the server's handle."""
        self._target = _Target(server)

    def measure(self, workload: Workload, window: Window) -> Figures:
        """Run a workload."""
        return workload(self._target, window)


def main() -> None:
    """Start what the benchmark asks for over a connection, and measure until it is closed."""
    line = Connection(int(sys.argv[1]))
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        with contextlib.suppress(EOFError):
            _measure(line)
    finally:
        ray.shutdown()


def _measure(line: Connection) -> None:
    service, clients = line.recv()
    options = {} if service.threads is None else {"max_concurrency": service.threads}
    server = ray.remote(service.cls).options(num_cpus=0, **options).remote(*service.args)
    driver = ray.remote(Driver).options(num_cpus=0)
    drivers = [driver.remote(server) for _ in range(clients)]
    ray.get([actor.__ray_ready__.remote() for actor in (server, *drivers)])
    line.send(None)
    while True:
        workload, window, count = line.recv()
        try:
            found = ray.get([each.measure.remote(workload, window) for each in drivers[:count]])
            line.send(found)
        except Exception as error:
            line.send(RuntimeError(str(error)))  # Ray's own can be read where Ray is


if __name__ == "__main__":
    main()
