"""A process of the benchmark, server or client, which does the jobs that come over a connection.

Ours and Reverb's interpreters run it: `python -m benchmarks.replay_cases.side PACKAGE FD`.
"""

from __future__ import annotations

import abc
import contextlib
import importlib
import sys
import traceback
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.replay_cases.api import Api


class Side:
    """What jobs work with.

    Attributes:
      api: the package that is measured.
      server: the one that this process serves, if it does.
    """

    def __init__(self, api: Api, line: Connection) -> None:
        """Take the package, and where jobs come from."""
        self.api = api
        self.server: Any = None
        self._line = line
        self._clients: dict[int, Any] = {}

    def client(self, port: int) -> Any:
        """Return this process's client of a server."""
        if port not in self._clients:
            self._clients[port] = self.api.client(port)
        return self._clients[port]

    def asked(self) -> bool:
        """Return whether the next job is waiting."""
        return self._line.poll()


class Job(abc.ABC):
    """Something to do; it is pickled."""

    @abc.abstractmethod
    def __call__(self, side: Side) -> Any:
        """Do it; what is returned is sent back."""


class Hello(Job):
    """Says that the process is up."""

    def __call__(self, side: Side) -> None:
        """See the base class."""


def main() -> None:
    """Do jobs until the connection is closed."""
    package, fd = sys.argv[1:]
    line = Connection(int(fd))
    side = Side(importlib.import_module(f"benchmarks.replay_cases.{package}").Package(), line)
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            job: Job = line.recv()
            try:
                line.send(job(side))
            except Exception as error:
                traceback.print_exc()
                line.send(RuntimeError(f"{type(error).__name__}: {error}"))


if __name__ == "__main__":
    from benchmarks.replay_cases import side as module

    module.main()  # not of `__main__`, which jobs do not know
