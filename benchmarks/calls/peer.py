"""The interface of what is measured: ours, the peers and the floors."""

from __future__ import annotations

import abc
import contextlib
import multiprocessing
import tempfile
from typing import TYPE_CHECKING, Any

from benchmarks.calls.workloads import Ask, Target, Workload
from benchmarks.rounds import Peer
from benchmarks.window import Figures, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from multiprocessing.connection import Connection

    from benchmarks.calls.service import Service

_LEAD_S = 0.3
_LEAD_PER_CLIENT_S = 0.01
"""How long clients warm up, and what they need to be told and to connect."""

_LIMIT_S = 120.0
"""Nothing takes longer, unless it hangs."""


class Session(abc.ABC):
    """A server that is up, and its clients, each in a process of its own.

    Attributes:
      batched: whether `act` is called in batches, and `mean_batch` tells of them.
    """

    batched: bool = False

    @abc.abstractmethod
    def run(self, workload: Workload, window: Window, clients: int) -> list[Figures]:
        """Run a workload in the first so many clients at the same time."""

    def measure(
        self,
        workload: Workload,
        seconds: float = 0.0,
        clients: int = 1,
        *,
        lead_s: float = _LEAD_S,
    ) -> list[Figures]:
        """Run a workload in the first so many clients, in a window of so many seconds."""
        lead = lead_s + _LEAD_PER_CLIENT_S * clients
        return self.run(workload, Window.after(lead, seconds), clients)

    def ask(self, method: str) -> float:
        """Return what a method of the server returns."""
        return self.measure(Ask(method))[0]["value"]


class CallPeer(Peer):
    """A way to call another process."""

    @abc.abstractmethod
    def start(self, service: Service, clients: int) -> contextlib.AbstractContextManager[Session]:
        """Start a server and its clients; at the end of the block they are gone."""


def receive(pipe: Connection) -> Any:
    """Return what comes out of a pipe, or raise it.

    Raises:
      TimeoutError: nothing comes.
    """
    if not pipe.poll(_LIMIT_S):
        message = f"no answer within {_LIMIT_S:g} s"
        raise TimeoutError(message)
    found = pipe.recv()
    if isinstance(found, Exception):
        raise found
    return found


class SpawnedPeer(CallPeer):
    """A peer that only says how to serve and how to connect; `multiprocessing` does the rest."""

    @abc.abstractmethod
    def serve(self, service: Service, place: str, ready: Callable[[Any], None]) -> None:
        """Serve until the process is ended.

        Args:
          service: what is served.
          place: a directory for a socket.
          ready: takes the address, once clients can connect.
        """

    @abc.abstractmethod
    def connect(self, address: Any) -> Target:
        """Connect, in a client's process."""

    @contextlib.contextmanager
    def start(self, service: Service, clients: int) -> Generator[Session]:
        """See the base class."""
        with contextlib.ExitStack() as stack:
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix="lp-bench-"))
            server = _spawn(stack, _serve, self, service, place)
            address = receive(server)
            yield _SpawnedSession(
                [_spawn(stack, _work, self, address) for _ in range(clients)],
            )


class _SpawnedSession(Session):
    def __init__(self, pipes: list[Connection]) -> None:
        self._pipes = pipes
        for pipe in pipes:
            receive(pipe)  # it has connected

    def run(self, workload: Workload, window: Window, clients: int) -> list[Figures]:
        for pipe in self._pipes[:clients]:
            pipe.send((workload, window))
        return [receive(pipe) for pipe in self._pipes[:clients]]


def _spawn(stack: contextlib.ExitStack, target: Callable[..., None], *arguments: Any) -> Connection:
    """Start a process with a pipe, which is ended when the stack is left.

    It is forked from a process that has imported this module, and NumPy with it, as ours are.
    """
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([__name__])
    near, far = server.Pipe()
    process = server.Process(target=target, args=(far, *arguments), daemon=True)
    process.start()
    far.close()

    def end() -> None:
        process.terminate()
        process.join()
        process.close()
        near.close()

    stack.callback(end)
    return near


def _serve(pipe: Connection, peer: SpawnedPeer, service: Service, place: str) -> None:
    peer.serve(service, place, pipe.send)


def _work(pipe: Connection, peer: SpawnedPeer, address: Any) -> None:
    target = peer.connect(address)
    pipe.send(None)
    while True:
        workload, window = pipe.recv()
        try:
            pipe.send(workload(target, window))
        except Exception as error:
            pipe.send(error)
