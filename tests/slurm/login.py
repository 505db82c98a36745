"""The login node of a cluster, where programs are launched."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import psutil

from tests.machines import launched
from tests.slurm.lab import Lab

PROGRAM = Path(__file__).parent / "programs.py"
SECRETS = ("submission.pickle", "rendezvous.json")


@dataclasses.dataclass
class Launched(launched.Launched):
    """A program that was launched on the login node."""

    lab: Lab

    def job(self) -> int:
        (job,) = self.lab.queue()
        return job

    def end(self) -> int:
        """Wait for the end; return the exit code. No job is left in the queue."""
        code = super().end()
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
        process = launched.start(self.lab.words(*command), {**self.lab.env, **self.env}, output)
        self.launched.append(Launched(process, output, self.home, self.lab))
        return self.launched[-1]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever its exit code."""
        return self.lab.run(*command, check=False, env=self.env)

    def lp_launch(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-P", "-m", "lp_launch", *arguments)

    def close(self) -> None:
        for each in self.launched:
            each.close()

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
