"""What a controller and an agent say to each other, over one stream socket.

The agent must fork safely, so it can have no threads, channels or servers: these are plain frames,
a length and a MessagePack message.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

_LENGTH = struct.Struct("<Q")


class StartWorker(msgspec.Struct, frozen=True, tag="start"):
    """Start a worker.

    Attributes:
      name: of the worker.
      log: the file that takes its output.
      env: what its environment has beyond the agent's.
      cold: start a new interpreter instead of forking.
      interpreter: that interpreter, if it is another one than the agent's.
      boot: the pickled `WorkerBoot`.
    """

    name: str
    log: str
    env: dict[str, str]
    cold: bool
    boot: bytes
    interpreter: str | None = None


class SignalWorker(msgspec.Struct, frozen=True, tag="signal"):
    """Send a signal to a worker; SIGKILL goes to all of its descendants too.

    Attributes:
      name: of the worker.
      number: of the signal.
      seconds: what a SIGTERM leaves to stop handlers and `save`.
    """

    name: str
    number: int
    seconds: float = 0.0


class Leavings(msgspec.Struct, frozen=True, tag="leavings"):
    """Remove these files and directories at the end; of several such messages the last one counts.

    A controller that is killed removes nothing, so its agent does.

    Attributes:
      paths: what is the agent's alone.
      shared: what is the controller's, and stays as long as that lives.
      endpoint: where the controller listens; empty if nothing is shared.
    """

    paths: list[str]
    shared: list[str] = []
    endpoint: str = ""


class WorkerStarted(msgspec.Struct, frozen=True, tag="started"):
    """A worker's process exists."""

    name: str
    pid: int


class WorkerExited(msgspec.Struct, frozen=True, tag="exited"):
    """A worker's process is gone, and its descendants with it.

    Attributes:
      name: of the worker.
      status: its exit status; negative for the signal that ended it.
      report: the pickled `Failure | None` that it left; empty when it left none.
    """

    name: str
    status: int
    report: bytes


class StartFailed(msgspec.Struct, frozen=True, tag="start_failed"):
    """A worker's process could not be made."""

    name: str
    reason: str


SECONDS = struct.Struct("<d")
"""What an agent writes to a worker to end it: the seconds that are left."""

ToAgent = StartWorker | SignalWorker | Leavings
FromAgent = WorkerStarted | WorkerExited | StartFailed


# To make a decoder takes longer than to use it, so each is made once.
decode_to_agent = msgspec.msgpack.Decoder(ToAgent).decode
decode_from_agent = msgspec.msgpack.Decoder(FromAgent).decode


def encode(message: ToAgent | FromAgent) -> bytes:
    """Return a message as a frame."""
    body = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(body)) + body


class Reader:
    """Puts frames together from what a socket delivers."""

    def __init__(self, sock: socket.socket) -> None:
        """Read from a socket, blocking or not."""
        self._sock = sock
        self._data = bytearray()

    def frames(self) -> Iterator[bytes]:
        """Receive once; yield the frames that are complete.

        Raises:
          EOFError: the peer hung up.
          OSError: the socket broke.
        """
        received = self._sock.recv(2**20)
        if not received:
            raise EOFError
        self._data += received
        while len(self._data) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._data)
            end = _LENGTH.size + length
            if len(self._data) < end:
                return
            frame = bytes(memoryview(self._data)[_LENGTH.size : end])
            del self._data[:end]
            yield frame
