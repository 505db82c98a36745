"""A server in a process that can be killed; what it has run is kept in a file."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from launchpad_lite import courier
from launchpad_lite.config import ServerConfig
from tests.unit.courier_bench import Run

ROOT = Path(__file__).resolve().parents[2]
RUN_NAME = "server/0"


class Killable:
    """The server, as the test sees it.

    Its methods: `echo(value)`; `work(key)` notes the key in the file and returns it; `hold()` tells
    the test that it runs, and never returns; `count()` yields numbers without end; `whoami()`
    returns its process number.
    """

    def __init__(self, how: str, place: str, ran: Path, name: str = RUN_NAME) -> None:
        """Start it.

        Args:
          how: a scheme, for a server of a run; `name` or `port`, for one that is used alone.
          place: the socket directory; or the name or port.
          ran: the file that takes the keys.
          name: a server's in its run.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.killable", how, place, str(ran), name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        self.endpoints = self._line().split()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the server died"
        return line

    def wait_for_holds(self, count: int) -> None:
        """Wait until so many calls of `hold` have begun."""
        for _ in range(count):
            assert self._line() == "holding\n"

    def pause(self) -> None:
        """Let it do nothing, as a debugger does; return when all its threads stand still."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def go_on(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill it; safe to do twice."""
        self._process.kill()
        self._process.communicate()


def _main(how: str, place: str, ran: str, name: str) -> None:
    keys = os.open(ran, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def work(key: str, _: bytes = b"") -> str:
        os.write(keys, f"{key}\n".encode())
        return key

    def hold() -> None:
        sys.stdout.write("holding\n")
        sys.stdout.flush()
        threading.Event().wait()

    if how == "name":
        server = courier.Server(place)
    elif how == "port":
        server = courier.Server(port=int(place))
    else:
        run = Run(place, how)
        server = courier.Server.in_run(name, run, None, ServerConfig(thread_pool_size=4))
    methods: list[Any] = [work, hold]
    for method in methods:
        server.Bind(method.__name__, method)
    server.Bind("count", itertools.count)
    server.Bind("echo", lambda value: value)
    server.Bind("whoami", os.getpid)
    server.Start()
    sys.stdout.write(f"{' '.join(server.endpoints)}\n")
    sys.stdout.flush()
    sys.stdin.read()  # until the test ends
    os._exit(0)


if __name__ == "__main__":
    _main(*sys.argv[1:])
