"""A cluster without SLURM: its commands are stand-ins, and run jobs on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import psutil

from launchpad_lite.launchers.slurm import commands

_SCRIPT = Path(__file__).with_name("fake_slurm_commands.py")
_PATIENCE_S = 60.0
_LOOK_S = 0.02


class FakeSlurm:
    """Three machines of 8 CPUs, in a partition `main`.

    Attributes:
      path: what the environment's PATH is to be.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "jobs").mkdir()
        (directory / "bin").mkdir()
        for name in commands.NEEDED:
            command = directory / "bin" / name
            words = f"{sys.executable} -IS {_SCRIPT} {directory} {name}"
            command.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
            command.chmod(0o755)
        self.path = f"{directory / 'bin'}:{os.environ['PATH']}"

    def refuse(self, complaint: str, after: int = 0) -> None:
        """Takes no more jobs than so many from now on."""
        (self._directory / "refusal").write_text(f"{after}|{complaint}")

    def refuse_step(self, group: str, complaint: str) -> None:
        """Starts no step for a group from now on."""
        (self._directory / f"trouble-{group}").write_text(json.dumps({"step": complaint}))

    def refuse_task(self, group: str, task: int, how: str) -> None:
        """Starts all tasks of a group but one from now on."""
        trouble = {"task": str(task), "how": how}
        (self._directory / f"trouble-{group}").write_text(json.dumps(trouble))

    def fill(self) -> None:
        """Lets jobs wait from now on, until they are started."""
        (self._directory / "full").touch()

    def start(self, job: int) -> None:
        """Starts a job that waits, when nothing of it runs any more."""
        self._await(lambda: not (self._directory / "jobs" / str(job) / "session").exists(), job)
        words = [sys.executable, "-IS", str(_SCRIPT), str(self._directory), "start", str(job)]
        subprocess.run(words, check=True)

    def tell(self, job: int, part: Literal["batch", "task"]) -> None:
        """Sends SIGTERM to a job's script, as before the time limit, or to its tasks."""
        for process in self._find(job, part):
            process.terminate()

    def kill(self, job: int, part: Literal["batch", "task"]) -> None:
        """Kills a job's script, or its tasks."""
        for process in self._find(job, part):
            process.kill()

    def _find(self, job: int, part: str) -> list[psutil.Process]:
        session = int((self._directory / "jobs" / str(job) / "session").read_text())
        found = [
            process
            for process in psutil.process_iter(["cmdline"])
            if f"launchpad_lite.launchers.slurm.{part}" in (process.info["cmdline"] or ())
            and os.getsid(process.pid) == session
        ]
        assert found
        return found

    def calls(self, name: str) -> list[str]:
        """Returns the arguments that a command was given, call by call."""
        try:
            lines = (self._directory / "calls").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [line.partition(" ")[2] for line in lines if line.split()[0] == name]

    def run(self, name: str, *arguments: str) -> None:
        """Runs a command."""
        subprocess.run([str(self._directory / "bin" / name), *arguments], check=True)

    def states(self) -> list[str]:
        """Returns the states of all jobs."""
        found = sorted((self._directory / "jobs").iterdir(), key=lambda path: int(path.name))
        return [(path / "state").read_text().partition("|")[0] for path in found]

    def await_states(self, *states: str) -> None:
        """Waits until all jobs are in these states: a job ends a moment after its run."""
        self._await(lambda: self.states() == list(states), states)

    def _await(self, condition: Callable[[], bool], what: object) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"{what}, not {self.states()}"
            time.sleep(_LOOK_S)
