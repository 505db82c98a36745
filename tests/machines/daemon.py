"""A process that belongs to a lab: in the foreground, and gone at the latest when its parent is."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

MACHINE = Path(__file__).with_name("machine.py")

_SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Daemon:
    """A process of its own session, with a log and a plain environment.

    The kernel kills it when the thread that made it ends, so it does not outlive a pytest that was
    killed: make it in a thread that stays.
    """

    def __init__(self, *command: str, log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env={"PATH": _SEARCH_PATH, "LANG": "C.UTF-8"},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process; for a compute node, the one that waits for its process 1."""
        return self._process.pid

    def is_running(self) -> bool:
        """Tells whether it still runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Kills it and waits until it is gone."""
        self._process.kill()
        self._wait()

    def _wait(self) -> None:
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


class Machine(Daemon):
    """A login node or a compute node; see machine.py.

    Args:
      name: Its host name.
      log: Where the output of its command goes.
      command: What a login node becomes, or what a compute node runs.
      mounts: What it sees elsewhere than this machine does, by where it sees it.
      own_network: Whether it has a network of its own.
      is_node: Whether it is a compute node, with processes and shared memory of its own.
    """

    def __init__(
        self,
        name: str,
        log: Path,
        *command: str,
        mounts: Mapping[str, str],
        own_network: bool = True,
        is_node: bool = True,
    ) -> None:
        unshare = ["unshare", "--uts", "--mount"]
        if own_network:
            unshare.append("--net")
        if is_node:
            unshare += ["--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
        kind = "node" if is_node else "login"
        seen = ",".join(f"{source}:{target}" for target, source in mounts.items())
        words = [sys.executable, "-I", str(MACHINE), kind, name, seen, *command]
        super().__init__(*unshare, *words, log=log)
        self.name = name
        self._is_node = is_node

    def await_namespaces(self) -> None:
        """Waits until its namespaces are made.

        Raises:
          RuntimeError: It ended instead.
        """
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise RuntimeError(f"{self.name} did not come up: {self.log.read_text()[-2000:]}")

    def go(self) -> None:
        """Tells it that its network is wired."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    @property
    def first(self) -> psutil.Process:
        """The process whose namespaces are the machine's.

        Raises:
          psutil.NoSuchProcess: The machine is off.
        """
        process = psutil.Process(self.pid)
        if not self._is_node:
            return process
        children = process.children()
        if not children:
            raise psutil.NoSuchProcess(self.pid, self.name)
        return children[0]

    def child(self, name: str) -> psutil.Process | None:
        """Returns the process of that name that process 1 started, or None."""
        found = [child for child in self.first.children() if child.name() == name]
        return found[0] if found else None

    def processes(self, name: str) -> set[psutil.Process]:
        """Returns the processes that are the node itself: those of its start, and that child."""
        child = self.child(name)
        return {psutil.Process(self.pid), self.first} | ({child} if child else set())

    def start_again(self) -> None:
        """Starts the command of a compute node once more."""
        self.first.send_signal(signal.SIGUSR1)

    def kill(self) -> None:
        """Kills all that runs on it and waits until it is gone.

        A compute node dies by its process 1; the one that waits for it ends after all the rest.
        """
        if self._is_node:
            with contextlib.suppress(psutil.NoSuchProcess):
                self.first.kill()
                self._wait()
                return
        super().kill()
