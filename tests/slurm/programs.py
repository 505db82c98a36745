"""A program that tests launch: workers on several machines, and one node that talks to them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from absl import app, flags

import launchpad_lite as lp

_WORKERS = flags.DEFINE_integer("workers", 3, "How many workers.")
_NODES = flags.DEFINE_integer("nodes", None, "On how many machines.")
_CPUS = flags.DEFINE_float("cpus", 1.0, "CPUs of each worker.")
_GPUS = flags.DEFINE_integer("gpus", None, "GPUs of each worker.")
_MODE = flags.DEFINE_string("mode", "stop", "What the main node does at last.")
_OPTIONS = flags.DEFINE_multi_string("option", [], "Of SlurmOptions: name=value, in Python.")


class Worker:
    def where(self) -> tuple[str, str | None]:
        return socket.gethostname(), os.environ.get("CUDA_VISIBLE_DEVICES")

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
        lp.stop()


def _way(client: Any) -> str:
    """What carries the calls to a worker: `TlsStream` or `UnixStream`."""
    client.where()
    (connection, *_) = client._peer.connected()._open  # noqa: SLF001 - nothing else tells
    return type(connection._stream).__name__  # noqa: SLF001 - the same


def make_program() -> lp.Program:
    program = lp.Program("spread")
    with program.group("worker"):
        workers = [program.add_node(lp.CourierNode(Worker)) for _ in range(_WORKERS.value)]
    program.add_node(lp.CourierNode(Main, workers, _MODE.value), label="main")
    return program


def main(_: Any) -> None:
    options = dict(option.split("=", 1) for option in _OPTIONS.value)
    run = lp.launch(
        make_program(),
        launcher="slurm",
        resources={"worker": lp.Resources(cpus=_CPUS.value, nodes=_NODES.value, gpus=_GPUS.value)},
        options=lp.SlurmOptions(**{name: eval(value) for name, value in options.items()}),
    )
    if "detach" in options:
        return
    run.wait()
    print("left in the queue:", run.leftovers(10.0))


if __name__ == "__main__":
    app.run(main)
