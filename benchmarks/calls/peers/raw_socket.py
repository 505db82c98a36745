"""The floor of small calls: pickle over a blocking Unix socket, one thread on each side."""

from __future__ import annotations

import pathlib
import pickle
import socket
import struct
from typing import TYPE_CHECKING, Any

from benchmarks.calls.peer import SpawnedPeer
from benchmarks.calls.workloads import Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.calls.service import Service

_LENGTH = struct.Struct("<Q")


class RawSocket(SpawnedPeer):
    """A ping-pong of pickles behind their length: what any protocol in Python costs at least."""

    def serve(self, service: Service, place: str, ready: Callable[[Any], None]) -> None:
        """See the base class."""
        served = service.make()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            path = str(pathlib.Path(place) / "socket")
            listener.bind(path)
            listener.listen()
            ready(path)
            line, _ = listener.accept()
            while True:
                method, argument = _receive(line)
                _send(line, getattr(served, method)(argument))

    def connect(self, address: Any) -> Target:
        """See the base class."""
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        line.connect(address)
        return _Target(line)


class _Target(Target):
    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def caller(self, method: str) -> Callable[[Any], Any]:
        line = self._line

        def call(argument: Any) -> Any:
            _send(line, (method, argument))
            return _receive(line)

        return call


def _send(line: socket.socket, value: Any) -> None:
    content = pickle.dumps(value, 5)
    line.sendall(_LENGTH.pack(len(content)) + content)


def _receive(line: socket.socket) -> Any:
    (length,) = _LENGTH.unpack(_exactly(line, _LENGTH.size))
    return pickle.loads(_exactly(line, length))


def _exactly(line: socket.socket, length: int) -> bytes | bytearray:
    first = line.recv(length)
    if len(first) == length:
        return first
    if not first:
        raise SystemExit  # the client has ended
    content = bytearray(length)
    content[: len(first)] = first
    view, done = memoryview(content), len(first)
    while done < length:
        done += line.recv_into(view[done:])
    return content
