"""`multiprocessing.connection`: a Unix socket, and a server's thread for each connection."""

from __future__ import annotations

import contextlib
import pathlib
import threading
from multiprocessing.connection import Client, Connection, Listener
from typing import TYPE_CHECKING, Any

from benchmarks.calls.peer import SpawnedPeer
from benchmarks.calls.workloads import Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.calls.service import Service


class MpConnection(SpawnedPeer):
    """A connection for each thread of a client, since two calls cannot share one."""

    def serve(self, service: Service, place: str, ready: Callable[[Any], None]) -> None:
        """See the base class."""
        served = service.make()
        listener = Listener(str(pathlib.Path(place) / "socket"), family="AF_UNIX", backlog=64)
        ready(listener.address)
        while True:
            connection = listener.accept()
            threading.Thread(target=_answer, args=(connection, served), daemon=True).start()

    def connect(self, address: Any) -> Target:
        """See the base class."""
        return _Target(address)


def _answer(connection: Connection, served: Any) -> None:
    with contextlib.suppress(EOFError, ConnectionResetError):
        while True:
            method, argument = connection.recv()
            connection.send(getattr(served, method)(argument))


class _Target(Target):
    def __init__(self, address: str) -> None:
        self._address = address
        self._of_thread = threading.local()

    def _connection(self) -> Connection:
        if not hasattr(self._of_thread, "connection"):
            self._of_thread.connection = Client(self._address)
        connection: Connection = self._of_thread.connection
        return connection

    def caller(self, method: str) -> Callable[[Any], Any]:
        connection = self._connection()

        def call(argument: Any) -> Any:
            connection.send((method, argument))
            return connection.recv()

        return call
