"""Starts a launching process, and looks at what becomes of it and of all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from launchpad_lite.runtime import rundir
from tests.faults import programs
from tests.helpers import STATE_VARIABLE

PATIENCE_S = 60.0
SOON_S = 10.0
"""What "within seconds" means on a machine that is busy."""

PROGRAMS = programs.__file__


def eventually(condition: Callable[[], bool], seconds: float = PATIENCE_S) -> bool:
    """Waits for something in another process; returns whether it came."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


class Bench:
    """One launching process, in a session of its own, like a terminal's foreground job."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._output = directory / "output"
        self._sockets: set[Path] = set()
        self.process: subprocess.Popen[bytes]

    def start(self, *arguments: str, terminal: int | None = None) -> None:
        """Runs Python with arguments.

        Args:
            arguments: Of the interpreter.
            terminal: The descriptor of a terminal that the process shall have; None for none.
        """
        environment = {
            **os.environ,
            programs.DIRECTORY: str(self._directory),
            "PYTHONFAULTHANDLER": "1",
        }
        command = [sys.executable, *arguments]
        if terminal is not None:  # os.login_tty makes the session and takes the terminal
            code = "import os, sys; os.login_tty(0); os.execv(sys.executable, sys.argv[1:])"
            command = [sys.executable, "-c", code, *command]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if terminal is None else terminal,
                stdout=output if terminal is None else terminal,
                stderr=subprocess.STDOUT if terminal is None else terminal,
                env=environment,
                start_new_session=terminal is None,
            )

    def launch(self, factory: str, launcher: str, *seconds: float) -> None:
        """Runs one of the programs; see `programs.main`."""
        self.start(PROGRAMS, factory, launcher, *map(str, seconds))

    def lp_launch(
        self, factory: str, launcher: str, *flags: str, terminal: int | None = None
    ) -> None:
        """Runs one of the programs with the command."""
        target = f"{PROGRAMS}:{factory}"
        command = ["-m", "launchpad_lite.cli.main", target, f"--launcher={launcher}", *flags]
        self.start(*command, terminal=terminal)

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    def note(self, text: str) -> None:
        """Writes a note for the nodes."""
        with (self._directory / "notes").open("a") as file:
            file.write(f"{text}\n")

    @property
    def notes(self) -> list[str]:
        with contextlib.suppress(OSError):
            return (self._directory / "notes").read_text().splitlines()
        return []

    def wait_for(self, text: str, count: int = 1) -> None:
        """Waits until so many notes have a text in them."""
        found = eventually(
            lambda: (
                sum(text in line for line in self.notes) >= count or self.process.poll() is not None
            )
        )
        assert found, f"{text!r} did not come:\n{self.notes}\n{self.output}"
        assert sum(text in line for line in self.notes) >= count, f"{self.notes}\n{self.output}"
        self._find_sockets()

    def wait_for_rendezvous(self) -> None:
        """Waits until the controller can be reached, which nodes that are threads need not."""
        assert eventually(self._find_sockets)

    def _find_sockets(self) -> bool:
        for run in rundir.list_runs():
            rendezvous = run.rendezvous()
            if rendezvous is not None and rendezvous.endpoint.startswith("unix:"):
                self._sockets.add(Path(rendezvous.endpoint.removeprefix("unix:")).parent)
        return bool(self._sockets)

    def wait_for_output(self, text: str) -> None:
        assert eventually(lambda: text in self.output or self.process.poll() is not None)
        assert text in self.output, self.output

    def pid(self, who: str) -> int:
        """The process that noted last that it, a node or a child of one, is up."""
        line = [line for line in self.notes if line.startswith(f"{who} is up")][-1]
        return int(line.rpartition(", ")[2])

    @property
    def agent(self) -> int:
        (agent,) = [
            child.pid
            for child in psutil.Process(self.process.pid).children()
            if "launchpad_lite.runtime.agent" in " ".join(child.cmdline())
        ]
        return agent

    def write(self, text: str) -> None:
        """Writes a line to the launching process's standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n".encode())
        self.process.stdin.flush()

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Sends a signal to the foreground job, as a terminal does."""
        os.killpg(self.process.pid, number)

    def kill(self, *pids: int) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def ended(self, seconds: float = PATIENCE_S) -> int:
        """Waits for the end of the launching process; returns its exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # shows the stacks of its threads
            self.process.wait()
            raise AssertionError(f"it goes on:\n{self.notes}\n{self.output}") from None

    def processes(self) -> list[psutil.Process]:
        """All that the launching process has started, however they have run away, and itself."""
        mine = os.environ[STATE_VARIABLE]
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            if process.pid != os.getpid():
                with contextlib.suppress(psutil.Error):
                    if (
                        process.environ().get(STATE_VARIABLE) == mine
                        and process.status() != psutil.STATUS_ZOMBIE
                    ):
                        found.append(process)
        return found

    def sockets_are_gone(self) -> bool:
        """Whether the directories of sockets that were seen while waiting are gone."""
        return not any(path.exists() for path in self._sockets)

    def nothing_is_left(self, seconds: float = SOON_S) -> bool:
        """Waits until no process is left; looks for files that should not be there."""
        self.process.wait(PATIENCE_S)
        if not eventually(lambda: not self.processes(), seconds):
            found = [f"{process}: {process.cmdline()}" for process in self.processes()]
            raise AssertionError(f"left: {found}\n{self.output}")
        assert eventually(self.sockets_are_gone, seconds), self._sockets
        for run in rundir.list_runs():
            assert run.rendezvous() is None
        return True


class Terminal:
    """A terminal and the person before it."""

    def __init__(self) -> None:
        self._person, self.line = os.openpty()
        self._screen = b""
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._person, 4096)
            except OSError:  # nobody holds the terminal any more
                return
            self._screen += data

    def wait_for(self, text: str, count: int = 1) -> None:
        """Waits until a text has been shown so many times."""
        shown = eventually(lambda: self._screen.decode(errors="replace").count(text) >= count)
        assert shown, f"{text!r} did not come:\n{self._screen.decode(errors='replace')}"

    def press(self, keys: bytes) -> None:
        os.write(self._person, keys)

    def screen(self) -> str:
        """All that was shown, once the terminal is free again."""
        self._thread.join(PATIENCE_S)
        return self._screen.decode()

    def close(self) -> None:
        self._thread.join(PATIENCE_S)
        os.close(self._person)
