"""A program on a machine, while it runs."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

PATIENCE_S = 90.0


@dataclasses.dataclass
class Launched:
    """A program that was launched, and is not waited for yet.

    Attributes:
      process: What entered its machine; it is the program itself, or waits for it.
      output: The file that its output goes to.
      state: The state directory that it was given.
    """

    process: subprocess.Popen[str]
    output: Path
    state: Path

    @property
    def run(self) -> Path:
        """The run directory."""
        (found,) = (self.state / "launchpad_lite/runs").iterdir()
        return found

    def text(self) -> str:
        return self.output.read_text()

    def await_text(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, f"no {text!r} in: {self.text()}"
            time.sleep(0.05)

    def interrupt(self) -> None:
        self.send(signal.SIGINT)

    def send(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        process = psutil.Process(self.process.pid)
        if process.name() == "nsenter":  # which waits for what it started on the machine
            (process,) = process.children() or [process]
        process.send_signal(number)

    def end(self) -> int:
        """Wait for the end; return the exit code."""
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """Kill it if it has not ended."""
        if self.process.poll() is None:
            self.send(signal.SIGKILL)
            self.process.wait()


def start(command: Sequence[str], env: Mapping[str, str], output: Path) -> subprocess.Popen[str]:
    """Start a command that reads nothing; both of its outputs go to one file."""
    with output.open("wb") as file:
        return subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
        )
