"""The steps of a job: `srun` processes of its batch script, or of whoever is inside of it."""

from __future__ import annotations

import collections
import os
import pathlib
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from launchpad_lite.launchers.slurm import commands, script
from launchpad_lite.launchers.slurm.ended_tasks import ended_tasks
from launchpad_lite.runtime.rundir import tail

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from launchpad_lite.launchers.slurm.layout import Layout, Step
    from launchpad_lite.launchers.slurm.options import SlurmOptions
    from launchpad_lite.launchers.slurm.script import Place

END_S = 15.0
"""Seconds that steps have to end after their agents were hung up on."""

_TERM_S = 5.0
_TAIL_LINES = 10
_SRUN_LINES = 5
_NO_LOG = "could not connect IO"
"""What SLURM says, among others, if the directory of a task's log is not there."""


class Steps:
    """The steps of the first job; those of others are started by their own scripts."""

    def __init__(self, layout: Layout, place: Place, options: SlurmOptions) -> None:
        """Prepare."""
        self._layout = layout
        self._place = place
        self._options = options
        self._running: list[tuple[Step, subprocess.Popen[str]]] = []

    def start(self, gone: Callable[[Iterable[str], str], object]) -> None:
        """Start the steps.

        Args:
          gone: is told of each step that has ended: its agents, and why.
        """
        inside = self._layout.name == "inside"
        for step, words in self._commands():
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env=commands.environment(in_job=True),
                start_new_session=inside,  # or a terminal's Ctrl-C would be srun's too
            )
            self._running.append((step, process))
            threading.Thread(
                target=self._watch, args=(step, process, gone), name="lp-step", daemon=True
            ).start()

    def _commands(self) -> Iterator[tuple[Step, list[str]]]:
        if self._layout.name == "inside":
            yield from zip(
                self._layout.steps,
                script.inside(self._layout, self._options, self._place),
                strict=True,
            )
            return
        job = self._layout.jobs[0]
        for index, component in enumerate(job):
            for step in component.steps:
                memory = script.memory_of(step, os.environ)
                het = index if len(job) > 1 else None
                yield (
                    step,
                    script.command(step, self._place, self._options, het, memory_mb=memory),
                )

    def _watch(
        self,
        step: Step,
        process: subprocess.Popen[str],
        gone: Callable[[Iterable[str], str], object],
    ) -> None:
        machines = step.machines
        last = collections.deque[str](maxlen=_SRUN_LINES)
        with process:
            for line in process.stderr or ():
                sys.stderr.write(line)
                last.append(f"\n  {line.rstrip()}")
                if (ended := ended_tasks(line)) is None:
                    continue
                tasks = ended.tasks or range(step.ask.nodes)
                where = ended.machines
                if not where:
                    machines = machines or commands.machines_of_step(step.group)
                    where = ",".join(machines[task] for task in tasks if task < len(machines))
                said = self._said(step, tasks)
                if _NO_LOG in ended.how:
                    log = script.log_of(step, self._place, tasks[0])
                    said = f"\n  Its log is {log}. {script.SHARE}"
                place = f" on {where}" if where else ""
                agents = [step.agents[task] for task in tasks]
                gone(agents, f"its task of SLURM{place}: {ended.how}{said}")
            code = process.wait()
        said = "".join(last) + self._said(step, range(step.ask.nodes))
        said = said or f"\n  What SLURM and its tasks have said is in {self._place.directory}/slurm"
        gone(step.agents, f"its step of SLURM has ended (srun exited with {code}){said}")

    def _said(self, step: Step, tasks: Iterable[int]) -> str:
        """Return what tasks have said last, and what that means."""
        logs = [pathlib.Path(script.log_of(step, self._place, task)) for task in tasks]
        lines = [line for log in logs for line in tail(log).splitlines()]
        if any(f"{self._place.python}: No such file" in line for line in lines):
            lines.append(script.LAUNCH_WITH)
        return "".join(f"\n  {line}" for line in lines[-_TAIL_LINES:])

    def end(self, gone: Collection[str]) -> None:
        """Wait for the end of all steps, of all together for so long; end what does not end.

        Args:
          gone: agents whose machines are gone: srun would wait for them.
        """
        deadline = time.monotonic() + END_S
        for step, process in self._running:
            lost = any(agent in gone for agent in step.agents)
            if not _has_ended(process, time.monotonic() if lost else deadline):
                sys.stderr.write(f"srun {process.pid} of {step.group} has not ended; ending it\n")
                process.terminate()
        deadline = time.monotonic() + _TERM_S
        for _, process in self._running:
            if not _has_ended(process, deadline):
                process.kill()
                process.wait()


def _has_ended(process: subprocess.Popen[str], deadline: float) -> bool:
    """Wait until a time for the end of a process; return whether it has come."""
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True
