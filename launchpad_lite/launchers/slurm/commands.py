"""SLURM's own commands, and what their complaints mean."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from launchpad_lite.errors import LauncherUnavailableError, UsageError
from launchpad_lite.launchers.slurm.layout import Machine, Partition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NEEDED = ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "srun")

_ANSWER_S = 60.0  # SLURM's own patience with a controller that is away is about as long
_SETTING = re.compile(r"^(\w+)\s*= (\S*)", re.MULTILINE)
_COMPLAINT = re.compile(r"^s\w+: (?:error: )?", re.MULTILINE)


class SlurmError(LauncherUnavailableError):
    """SLURM did not do what it was told."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobState:
    """Where a job is.

    Attributes:
      state: SLURM's word for it, `PENDING` or `RUNNING`, say.
      reason: why it waits, or ended.
      exit_code: `code:signal`; empty where SLURM does not tell.
      start: when it started or is expected to, in seconds since 1970; None where SLURM does not
        tell.
      begun: whether it has had machines; True where SLURM does not tell.
    """

    state: str
    reason: str
    exit_code: str = ""
    start: float | None = None
    begun: bool = True

    @property
    def because(self) -> str:
        """The reason and the exit code, in brackets after a space; empty if SLURM tells neither."""
        code = self.exit_code.partition(":")[0]
        known = [self.reason] if self.reason not in ("", "None") else []
        known += [f"exit code {code}"] if code not in ("", "0") else []
        return f" ({', '.join(known)})" if known else ""


def missing() -> list[str]:
    """Return the commands that are not here."""
    return [name for name in NEEDED if shutil.which(name) is None]


def environment(*, in_job: bool) -> dict[str, str]:
    """Return the environment of a command without what SLURM has told this process of its job.

    SLURM's commands would take it for what is asked of them.

    Args:
      in_job: whether the command belongs to the job that this process is in.
    """
    kept = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT", *(("SLURM_JOB_ID",) if in_job else ()))
    return {
        name: value
        for name, value in os.environ.items()
        if name in kept or not name.startswith(("SLURM_", "SLURMD_", "SRUN_"))
    }


def run(*words: str, text: str = "", env: Mapping[str, str] | None = None) -> str:
    """Run a command; return what it prints.

    Args:
      *words: the command.
      text: its input.
      env: its environment; None for this process's.

    Raises:
      SlurmError: it failed, or did not end in time.
    """
    try:
        done = subprocess.run(
            words,
            input=text,
            env=env,
            capture_output=True,
            text=True,
            timeout=_ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"{words[0]}: {error}"
        raise SlurmError(message) from error
    if done.returncode:
        complaint = _COMPLAINT.sub("", done.stderr).strip() or f"it exited with {done.returncode}"
        message = f"{words[0]}: {complaint}"
        raise SlurmError(message)
    return done.stdout


def submit(script: str) -> int:
    """Give a job, the text of its script, to SLURM; return its number.

    Raises:
      UsageError: SLURM refuses it.
    """
    try:
        printed = run("sbatch", "--parsable", text=script, env=environment(in_job=False))
    except SlurmError as error:
        raise UsageError(_explain(str(error))) from None
    return int(printed.strip().partition(";")[0])


def _explain(complaint: str) -> str:
    hint = ""
    lowered = complaint.lower()
    if "invalid account" in lowered:
        hint = " Choose an account of yours: `sacctmgr show associations user=$USER` lists them."
    elif "node configuration is not available" in lowered or "more processors" in lowered:
        hint = " Ask for less with lp.Resources, or choose another partition: `sinfo` lists them."
    elif "time limit" in lowered:
        hint = " Ask for less with SlurmOptions(time=...); `sinfo` shows each partition's limit."
    return f"SLURM refuses the job: {complaint.rstrip('.')}.{hint}"


def partitions() -> dict[str, Partition]:
    """Return the partitions by name; `""` is the default one.

    Raises:
      SlurmError: SLURM cannot be asked.
    """
    found: dict[str, list[tuple[int, int, int]]] = {}
    default = ""
    for line in run("sinfo", "-h", "-N", "-o", "%P|%c|%m|%G").splitlines():
        name, cpus, memory, gres = line.split("|")
        if name.endswith("*"):
            default = name = name.removesuffix("*")
        kind = (int(cpus), int(memory.rstrip("+")), gpus_in(gres))
        found.setdefault(name, []).append(kind)
    settings = dict(_SETTING.findall(run("scontrol", "show", "config")))
    counts = "MEMORY" in settings.get("SelectTypeParameters", "").upper()
    own = [facts(line) for line in run("scontrol", "-o", "show", "partition").splitlines()]
    given = {each.get("PartitionName", ""): each for each in own}
    result: dict[str, Partition] = {}
    for name, kinds in found.items():
        result[name] = Partition(
            machines=tuple(
                Machine(cpus=cpus, memory_mb=memory, gpus=gpus, count=count)
                for (cpus, memory, gpus), count in collections.Counter(kinds).items()
            ),
            counts_memory=counts,
            **(_memory(given.get(name, {})) or _memory(settings)),
        )
    if default:
        result[""] = result[default]
    return result


def _memory(settings: Mapping[str, str]) -> dict[str, int]:
    """Return what a job gets that asks for no memory; nothing if that is not settled there."""
    names = {"mb_per_cpu": "DefMemPerCPU", "mb_per_node": "DefMemPerNode"}
    amounts = {each: settings.get(name, "") for each, name in names.items()}
    return {each: int(text) for each, text in amounts.items() if text.isdecimal() and int(text)}


def gpus_in(gres: str) -> int:
    """Return how many GPUs there are in SLURM's words for generic resources."""
    return sum(int(count) for count in re.findall(r"gpu(?::[^:,()]+)?:(\d+)", gres))


def names(machines: str) -> list[str]:
    """Return the machines that a list of SLURM's means: `node[1-3]` are three.

    Raises:
      SlurmError: it is none.
    """
    if re.fullmatch(r"[\w.-]+", machines):
        return [machines]
    return run("scontrol", "show", "hostnames", machines).split()


def states(jobs: Iterable[int]) -> dict[int, JobState]:
    """Return where jobs are that have not ended; one question for all.

    Raises:
      SlurmError: SLURM cannot be asked now.
    """
    wanted = ",".join(map(str, jobs))
    try:
        printed = run("squeue", "-h", "-t", "all", "-j", wanted, "-o", "%A|%T|%r|%S")
    except SlurmError as error:
        if "invalid job id" in str(error).lower():  # all of them have ended long ago
            return {}
        raise
    found: dict[int, JobState] = {}
    for line in printed.splitlines():
        number, state, reason, start = line.split("|", 3)
        found.setdefault(int(number), JobState(state=state, reason=reason, start=moment(start)))
    return found


def machines_of_step(jobs: Iterable[str], name: str) -> tuple[str, ...]:
    """Return the machines of a step, task by task; none if SLURM does not tell.

    Args:
      jobs: the numbers of its job, or of the components of that.
      name: the step's.
    """
    try:
        printed = run("squeue", "-h", "-s", "-j", ",".join(jobs), "-o", "%j|%N")
        for line in printed.splitlines():
            step, _, machines = line.partition("|")
            if step == name:
                return tuple(names(machines))
    except SlurmError:  # it is only for people
        pass
    return ()


def last_words(job: int) -> JobState | None:
    """Return how a job ended, as long as SLURM remembers."""
    try:
        said = job_facts(job)
    except SlurmError:
        return None
    return JobState(
        state=said.get("JobState", ""),
        reason=said.get("Reason", ""),
        exit_code=said.get("ExitCode", ""),
        begun=said.get("NodeList") not in ("", "(null)"),
    )


def job_facts(job: int) -> dict[str, str]:
    """Return what SLURM tells of a job, by SLURM's names.

    Raises:
      SlurmError: it knows no such job any more, or cannot be asked.
    """
    return facts(run("scontrol", "-o", "show", "job", str(job)))


def moment(text: str) -> float | None:
    """Return a time of SLURM's in seconds since 1970; None for `N/A`, `Unknown` and the like."""
    try:
        return dt.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def requeue(job: int) -> None:
    """Queue a job again, after its end: at once if it runs. One that is queued is no error.

    Raises:
      SlurmError: SLURM refuses it.
    """
    try:
        run("scontrol", "requeue", str(job))
    except SlurmError as error:
        if "job is pending execution" not in str(error).lower():  # somebody else was faster
            raise


def cancel(jobs: Iterable[int]) -> None:
    """End jobs; those that have ended are no error.

    Raises:
      SlurmError: SLURM cannot be told.
    """
    run("scancel", "--quiet", *map(str, jobs))


def cancel_waiting(jobs: Iterable[int]) -> None:
    """End those of some jobs that have not begun.

    Raises:
      SlurmError: SLURM cannot be told.
    """
    run("scancel", "--quiet", "--state=PENDING", *map(str, jobs))


def address_of(machine: str) -> str:
    """Return the address that SLURM reaches a machine by; its name if it tells none."""
    try:
        printed = run("scontrol", "-o", "show", "node", machine)
    except SlurmError:
        return machine
    return facts(printed).get("NodeAddr") or machine


def facts(printed: str) -> dict[str, str]:
    """Return the facts that scontrol prints, by name; of those of one name the last."""
    pairs = [word.partition("=") for word in printed.split() if "=" in word]
    return {name: value for name, _, value in pairs}
