"""Nodes for several machines: workers, and one that talks to them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import launchpad_lite as lp

FLOATS = 1_000_000


class Worker:
    def where(self) -> tuple[str, str | None]:
        return socket.gethostname(), os.environ.get("CUDA_VISIBLE_DEVICES")

    def twice(self, array: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return 2 * array

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def leave_something(self) -> int:
        """Leave a process that has left everything: its parent, its session, its group."""
        code = (
            "import os, time\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n"
        )
        child = subprocess.Popen([sys.executable, "-c", f"{code}time.sleep(600)"])
        return child.wait()


class Main:
    def __init__(self, workers: list[Worker], mode: str) -> None:
        self._workers = workers
        self._mode = mode
        self._saved = 0

    def save(self, path: str) -> None:
        Path(path).write_text(f"{self._saved + 1}")

    def restore(self, path: str) -> None:
        self._saved = int(Path(path).read_text())

    def run(self) -> None:
        places = [call.result() for call in [lp.submit(each.where) for each in self._workers]]
        print("machines:", sorted(places))
        print("ways:", sorted({_way(each) for each in self._workers}))
        if self._mode == "raise":
            raise ValueError("on purpose")
        if self._mode == "die":
            self._workers[-1].die()
        if self._mode == "leave":
            print("left:", [each.leave_something() for each in self._workers])
        if self._mode == "arrays":
            array = np.arange(FLOATS, dtype=np.float64)
            calls = [lp.submit(each.twice, array) for each in self._workers]
            print("twice:", all(np.array_equal(call.result(), 2 * array) for call in calls))
        self._end()

    def _end(self) -> None:
        if self._mode == "call":
            print("calling", flush=True)
            while not lp.stop_event().is_set():
                for call in [lp.submit(each.where) for each in self._workers]:
                    call.result()
            return
        if self._mode in ("wait", "restored"):
            print("waiting, restored", self._saved, flush=True)
            if not (self._mode == "restored" and self._saved):
                lp.wait_for_stop()
                left = lp.seconds_left()
                print("told to stop:", left is not None and left > 0, flush=True)
                return
        if self._mode != "leave alone":
            lp.stop()


def _way(client: Any) -> str:
    """What carries the calls to a worker: `TlsStream` or `UnixStream`."""
    client.where()
    (connection, *_) = client._peer.connected()._open  # noqa: SLF001 - nothing else tells
    return type(connection._stream).__name__  # noqa: SLF001 - the same
