"""The allocation that the launching process is in (`salloc`, a batch script, an `srun --pty`)."""

from __future__ import annotations

import dataclasses
import os
import re
from typing import TYPE_CHECKING

from launchpad_lite.errors import UsageError
from launchpad_lite.launchers.slurm import commands
from launchpad_lite.launchers.slurm.layout import MB_PER_GB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SPECIAL_STEPS = 0xFFFFFFF0  # from here on: the batch script, the shell of salloc
_OF_MACHINE = re.compile(r"\bNodes=(\S+) CPU_IDs=(\S+) Mem=(\d+) GRES=(\S*)")
_OTHERWISE = "To submit a job of its own, use lp.SlurmOptions(submit=True) or --slurm_submit."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """What an allocation has of one machine.

    Attributes:
      machine: its name.
      cpus: how many.
      memory_mb: in 2^20 bytes; 0 where SLURM does not count memory.
      gpus: how many.
    """

    machine: str
    cpus: int
    memory_mb: int
    gpus: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Allocation:
    """Machines that this user has already.

    Attributes:
      job: its number.
      parts: machine by machine.
      ends: when its time is over, in seconds since 1970; None for never.
      in_step: whether this process is in one of its steps, which holds what the allocation has.
    """

    job: int
    parts: tuple[Part, ...]
    ends: float | None
    in_step: bool

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"SLURM's job {self.job}"

    def __str__(self) -> str:
        """Return what it has, for people."""
        has = (
            f"{part.machine} with {part.cpus} CPUs, {part.gpus} GPUs"
            + (f" and {part.memory_mb / MB_PER_GB:.1f} GB" if part.memory_mb else "")
            for part in self.parts
        )
        return f"{self.title} has {'; '.join(has)}"


def find(environ: Mapping[str, str] = os.environ) -> Allocation | None:
    """Return the allocation that this process is in; None if it is in none.

    Raises:
      UsageError: it is over, or heterogeneous.
      SlurmError: SLURM cannot be asked.
    """
    number = environ.get("SLURM_JOB_ID", "")
    if not number.isdecimal():
        return None
    job = int(number)
    try:
        printed = commands.run("scontrol", "-o", "-d", "show", "job", number)
    except commands.SlurmError as error:
        if "invalid job id" in str(error).lower():
            raise _over(job, "SLURM knows no such job") from None
        raise
    facts = commands.facts(printed)
    if facts.get("JobState") not in ("RUNNING", "COMPLETING"):
        raise _over(job, f"that job is {facts.get('JobState', 'UNKNOWN').lower()}")
    if "HetJobId" in facts:
        message = (
            f"this process is inside of SLURM's job {job}, which is heterogeneous; only one of "
            f"machines that are alike can be used from inside. {_OTHERWISE}"
        )
        raise UsageError(message)
    step = environ.get("SLURM_STEP_ID", "")
    return Allocation(
        job=job,
        parts=tuple(_parts(printed)),
        ends=commands.moment(facts.get("EndTime", "")),
        in_step=step.isdecimal() and int(step) < _SPECIAL_STEPS,
    )


def end_of(allocation: Allocation) -> float | None:
    """Return when the time of an allocation is over, which may have changed; None for never."""
    try:
        printed = commands.run("scontrol", "-o", "show", "job", str(allocation.job))
    except commands.SlurmError:
        return allocation.ends
    return commands.moment(commands.facts(printed).get("EndTime", ""))


def _over(job: int, why: str) -> UsageError:
    message = (
        f"SLURM_JOB_ID={job} says that this process is inside of an allocation, but {why}. "
        f"Unset SLURM_JOB_ID, or get a new allocation. {_OTHERWISE}"
    )
    return UsageError(message)


def _parts(printed: str) -> Iterator[Part]:
    for machines, ids, memory, gres in _OF_MACHINE.findall(printed):
        for machine in commands.names(machines):
            yield Part(
                machine=machine,
                cpus=sum(map(_count, ids.split(","))),
                memory_mb=int(memory),
                gpus=commands.gpus_in(gres),
            )


def _count(span: str) -> int:
    first, _, last = span.partition("-")
    return int(last or first) - int(first) + 1
