"""Ray actors, in an interpreter of their own: one is the server, the others are its clients."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from benchmarks import report
from benchmarks.calls.peer import CallPeer, Session, receive
from benchmarks.rounds import ForeignPeer

if TYPE_CHECKING:
    from collections.abc import Generator

    from benchmarks.calls.service import Service
    from benchmarks.calls.workloads import Workload
    from benchmarks.window import Figures, Window

_END_S = 60.0
"""Ray's end takes seconds."""


class Ray(ForeignPeer, CallPeer):
    """Ray, driven by `ray_side.py`."""

    def __init__(self, name: str, python: str) -> None:
        """Name it, and take the path of the interpreter that has Ray and NumPy."""
        super().__init__(name, python, "ray", "ray", "--ray_python")

    @contextlib.contextmanager
    def start(self, service: Service, clients: int) -> Generator[Session]:
        """See the base class."""
        near, far = socket.socketpair()
        with far:
            process = subprocess.Popen(
                [self.python, "-m", "benchmarks.calls.peers.ray_side", str(far.fileno())],
                cwd=report.ROOT,
                env={**os.environ, "PYTHONPATH": str(report.ROOT)},
                stdout=subprocess.DEVNULL,
                pass_fds=(far.fileno(),),
            )
        try:
            with Connection(near.detach()) as line:  # its end is the other side's
                line.send((service, clients))
                receive(line)  # it is up
                yield _Session(line)
            process.wait(_END_S)
        finally:
            process.kill()
            process.wait()


class _Session(Session):
    def __init__(self, line: Connection) -> None:
        self._line = line

    def run(self, workload: Workload, window: Window, clients: int) -> list[Figures]:
        self._line.send((workload, window, clients))
        figures: list[Figures] = receive(self._line)
        return figures
