"""The login node of a cluster, where programs are launched."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.slurm.lab import Lab

PROGRAM = Path(__file__).parent / "programs.py"
PATIENCE_S = 90.0
SECRETS = ("submission.pickle", "rendezvous.json")


@dataclasses.dataclass
class Launched:
    """A program that was launched on the login node, and is not waited for yet."""

    process: subprocess.Popen[str]
    output: Path
    state: Path
    lab: Lab

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

    def job(self) -> int:
        (job,) = self.lab.queue()
        return job

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Wait for the end; return the exit code. No job is left in the queue."""
        code = self.process.wait(PATIENCE_S)
        self.lab.until(lambda: not self.lab.queue(), "jobs are left in the queue")
        return code


class Login:
    """A login node of the cluster, with a home directory that all nodes share."""

    def __init__(self, lab: Lab, home: Path) -> None:
        self.lab = lab
        self.home = home
        self.env = {"XDG_STATE_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
        self.launched: list[Launched] = []

    def launch(self, *arguments: str) -> Launched:
        """Launch `programs.py`."""
        return self.start(sys.executable, str(PROGRAM), *arguments)

    def start(self, *command: str) -> Launched:
        output = self.home / f"output-{len(self.launched)}"
        with output.open("wb") as file:
            process = subprocess.Popen(
                self.lab.words(*command),
                env={**self.lab.env, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self.launched.append(Launched(process, output, self.home, self.lab))
        return self.launched[-1]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever its exit code."""
        return self.lab.run(*command, check=False, env=self.env)

    def lp_launch(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-P", "-m", "lp_launch", *arguments)

    def close(self) -> None:
        for each in self.launched:
            if each.process.poll() is None:
                each.process.kill()
                each.process.wait()

    def leftovers(self) -> list[str]:
        """Return what runs have left: processes on any node, and files with secrets."""
        runs = self.home / "launchpad_lite/runs"
        left = [str(path) for name in SECRETS for path in runs.glob(f"*/{name}")]
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("XDG_STATE_HOME") == str(self.home):
                    left.append(f"process {process.pid}: {' '.join(process.cmdline())}")
        return left

    @staticmethod
    def processes(text: str) -> list[psutil.Process]:
        """Return the processes on any node whose command line has a text."""
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if text in " ".join(process.info["cmdline"] or ())
        ]
