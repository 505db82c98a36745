"""Pyro5: proxies, with its fastest serializer, which takes no arrays."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from typing import TYPE_CHECKING, Any

from benchmarks.calls.peer import SpawnedPeer
from benchmarks.calls.workloads import Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.calls.service import Service


def _api() -> Any:  # typed Any: it ships no types
    api: Any = importlib.import_module("Pyro5.api")
    api.config.SERIALIZER = "marshal"
    return api


class Pyro5(SpawnedPeer):
    """A daemon with its pool of threads, and a proxy for each thread of a client."""

    def missing(self) -> str | None:
        """See the base class."""
        return None if importlib.util.find_spec("Pyro5") else "Pyro5 is not installed"

    def version(self) -> str:
        """See the base class."""
        return importlib.metadata.version("Pyro5")

    def serve(self, service: Service, place: str, ready: Callable[[Any], None]) -> None:
        """See the base class."""
        api = _api()
        api.expose(service.cls)
        daemon = api.Daemon(host="127.0.0.1")
        ready(str(daemon.register(service.make())))
        daemon.requestLoop()

    def connect(self, address: Any) -> Target:
        """See the base class."""
        return _Target(address)


class _Target(Target):
    def __init__(self, address: str) -> None:
        self._address = address
        self._api = _api()

    def caller(self, method: str) -> Callable[[Any], Any]:
        proxy = self._api.Proxy(self._address)  # belongs to the thread that asks

        def call(argument: Any) -> Any:
            return getattr(proxy, method)(argument)

        return call
