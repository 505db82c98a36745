"""The steps of a job: `srun` processes of its batch script, or of whoever is inside of it."""

from __future__ import annotations

import collections
import os
import re
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from launchpad_lite.launchers.slurm import commands, script
from launchpad_lite.launchers.slurm.ended_tasks import ended_tasks
from launchpad_lite.launchers.slurm.lost_tasks import last_said, lost_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from launchpad_lite.launchers.slurm.layout import Layout, Step
    from launchpad_lite.launchers.slurm.options import SlurmOptions
    from launchpad_lite.launchers.slurm.script import Place

END_S = 15.0
"""Seconds that steps have to end after their agents were hung up on."""

_TERM_S = 5.0
_SRUN_LINES = 5
_JOB = re.compile(r"SLURM_JOB_ID(_HET_GROUP_\d+)?")


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
        last = collections.deque[str](maxlen=_SRUN_LINES)
        with process:
            for line in process.stderr or ():
                sys.stderr.write(line)
                last.append(f"\n  {line.rstrip()}")
                if (ended := ended_tasks(line)) is not None:
                    gone(*lost_tasks(step, self._place, ended, _own_jobs()))
            code = process.wait()
        said = "".join(last) + last_said(step, self._place, range(step.ask.nodes))
        said = said or f"\n  What SLURM and its tasks have said is in {self._place.directory}/slurm"
        gone(step.agents, f"its step of SLURM has ended (srun exited with {code}){said}")

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


def _own_jobs() -> set[str]:
    """Return the number of this process's job, and those of its components."""
    return {number for name, number in os.environ.items() if _JOB.fullmatch(name)}


def _has_ended(process: subprocess.Popen[str], deadline: float) -> bool:
    """Wait until a time for the end of a process; return whether it has come."""
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True
