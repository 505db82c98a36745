"""A replay server and its clients, each in a process of its own."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import launchpad_lite as lp
from benchmarks import report
from benchmarks.calls.peer import receive
from benchmarks.comparison import OURS
from benchmarks.replay_cases.side import Hello, Job
from benchmarks.replay_cases.workloads import Counted, Serve
from benchmarks.rounds import ForeignPeer, Peer

if TYPE_CHECKING:
    from collections.abc import Generator

    from benchmarks.replay_cases.api import TableSpec
    from benchmarks.replay_cases.workloads import Count

REVERB = "dm-reverb"

_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
"""TensorFlow looks for a GPU otherwise, and talks."""


class Line:
    """A process that does jobs.

    Attributes:
      pid: of the process.
    """

    def __init__(self, stack: contextlib.ExitStack, python: str, module: str) -> None:
        """Start it; it is ended when the stack is left.

        Args:
          stack: see above.
          python: its interpreter.
          module: see `ReplayPeer`.
        """
        near, far = socket.socketpair()
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="lp-bench-"))
        self._log = pathlib.Path(place, "stderr")
        with far, self._log.open("wb") as log:
            process = subprocess.Popen(
                [python, "-m", "benchmarks.replay_cases.side", module, str(far.fileno())],
                cwd=report.ROOT,
                env={**os.environ, **_QUIET, "PYTHONPATH": str(report.ROOT)},
                stdout=subprocess.DEVNULL,
                stderr=log,
                pass_fds=(far.fileno(),),
            )
        self.pid = process.pid
        self._line = stack.enter_context(Connection(near.detach()))
        stack.callback(process.wait)
        stack.callback(process.kill)

    def begin(self, job: Job) -> None:
        """Send a job."""
        self._line.send(job)

    def failed(self) -> bool:
        """Return whether a job that has no end has ended."""
        return self._line.poll()

    def result(self) -> Any:
        """Return the result of the job that was sent first.

        Raises:
          RuntimeError: the job failed, or the process ended.
        """
        try:
            return receive(self._line)
        except EOFError:
            last = self._log.read_text(encoding="utf-8").splitlines()[-1:]
            message = f"the process ended: {' '.join(last)}"
            raise RuntimeError(message) from None

    def do(self, job: Job) -> Any:
        """Send a job, and return its result."""
        self.begin(job)
        return self.result()


class Session:
    """A server that is up, and its clients.

    Attributes:
      server: its process.
      clients: theirs.
      port: of the server.
    """

    def __init__(self, server: Line, clients: list[Line], port: int) -> None:
        """Take them."""
        self.server = server
        self.clients = clients
        self.port = port

    def do(self, job: Job) -> Any:
        """Have the first client do a job."""
        return self.clients[0].do(job)

    def count(self, table: str) -> Count:
        """Return what the limiter of a table has counted."""
        found: Count = self.server.do(Counted(table))
        return found


class ReplayPeer(Peer):
    """A replay buffer.

    Attributes:
      python: the interpreter that has it.
      module: the one of `replay_cases` that has its `Package`.
    """

    python = sys.executable
    module: str

    @contextlib.contextmanager
    def processes(self, count: int) -> Generator[list[Line]]:
        """Start processes that have imported what they measure; at the end they are gone."""
        with contextlib.ExitStack() as stack:
            lines = [Line(stack, self.python, self.module) for _ in range(count)]
            for line in lines:
                line.begin(Hello())
            for line in lines:
                line.result()
            yield lines

    @contextlib.contextmanager
    def start(
        self, *tables: TableSpec, clients: int = 1, place: str | None = None
    ) -> Generator[Session]:
        """Start a server and its clients; at the end of the block they are gone.

        Args:
          tables: what is served.
          clients: how many processes there are beside the server's.
          place: the directory of the server's checkpoints, if any are made.
        """
        with self.processes(1 + clients) as (server, *others):
            yield Session(server, others, server.do(Serve(list(tables), place)))


class Ours(ReplayPeer):
    """The one of this project."""

    module = "ours"

    def version(self) -> str:
        """See the base class."""
        return lp.__version__


class Reverb(ForeignPeer, ReplayPeer):
    """google-deepmind/reverb, in an interpreter that has it."""

    module = "reverb"

    def __init__(self, name: str, python: str) -> None:
        """Name it, and take the interpreter's path."""
        super().__init__(name, python, "dm-reverb", "reverb", "--reverb_python")


def all_peers(reverb_python: str) -> list[ReplayPeer]:
    """Return all that can be measured; see `ReplayPeer.missing`.

    Args:
      reverb_python: the interpreter that has Reverb.
    """
    return [Ours(OURS), Reverb(REVERB, reverb_python)]
