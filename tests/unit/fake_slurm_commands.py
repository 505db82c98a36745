"""What stands for SLURM's commands on a machine without it; a job's tasks all run here.

    python -IS fake_slurm_commands.py DIRECTORY NAME ARGUMENTS...

Needs nothing but the standard library. What it knows of jobs is in the directory: see `FakeSlurm`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

_KILL_WAIT_S = 2.0
_ENDED = ("COMPLETED", "FAILED", "CANCELLED")


def fail(text: str) -> NoReturn:
    sys.stderr.write(f"{text}\n")
    sys.exit(1)


class Job:
    """A job, as files."""

    def __init__(self, directory: Path, number: str) -> None:
        self.number = number
        self.path = directory / "jobs" / number

    @property
    def state(self) -> tuple[str, str]:
        """Its state and the reason."""
        state, reason = (self.path / "state").read_text().split("|")
        return state, reason

    def become(self, state: str, reason: str = "None") -> None:
        new = self.path / f"state.{os.getpid()}"
        new.write_text(f"{state}|{reason}")
        new.rename(self.path / "state")

    def option(self, name: str) -> str:
        """What its script says first for an option."""
        script = (self.path / "script").read_text()
        found = re.search(rf"^#SBATCH --{name}=(.*)$", script, re.MULTILINE)
        return found[1].strip("'") if found else ""


def sbatch(directory: Path, *_: str) -> None:
    """Takes a job; it waits as long as there is a file `full`."""
    script = sys.stdin.read()
    taken = len(list((directory / "jobs").iterdir()))
    with contextlib.suppress(FileNotFoundError):
        limit, complaint = (directory / "refusal").read_text().split("|")
        if taken >= int(limit):
            fail(f"sbatch: error: {complaint}")
    number = str(1 + taken)
    job = Job(directory, number)
    job.path.mkdir()
    (job.path / "script").write_text(script)
    (job.path / "env").write_text(json.dumps(dict(os.environ)))
    if (directory / "full").exists():
        job.become("PENDING", "Resources")
    else:
        start(directory, number)
    sys.stdout.write(f"{number}\n")


def start(directory: Path, number: str) -> None:
    """Starts a job in a session of its own, which nobody waits for."""
    job = Job(directory, number)
    job.become("RUNNING")
    (job.path / "begun").touch()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):  # the caller reads ours to their end
                os.dup2(nowhere, stream)
            run(job)
        os._exit(0)
    os.wait()


def run(job: Job) -> NoReturn:
    """Runs a job's script, as SLURM's daemon on the first machine does."""
    (job.path / "session").write_text(str(os.getsid(0)))
    signal.signal(signal.SIGTERM, lambda *_: None)  # which the whole session gets
    environ = json.loads((job.path / "env").read_text())
    environ |= {"SLURM_JOB_ID": job.number, "SLURMD_NODENAME": "node0"}
    with Path(job.option("output").replace("%j", job.number)).open("ab") as log:
        code = subprocess.run(
            ["bash", str(job.path / "script")],
            env=environ,
            cwd=job.option("chdir"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
        ).returncode
    (job.path / "session").unlink()
    if job.state[0] not in ("CANCELLED", "PENDING"):
        job.become("FAILED" if code else "COMPLETED", "NonZeroExitCode" if code else "None")
    if code < 0:  # it was killed, and has left tasks
        os.killpg(0, signal.SIGTERM)
        time.sleep(_KILL_WAIT_S)
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def srun(directory: Path, *words: str) -> None:
    """Runs a task for each machine, and exits as the worst of them."""
    pairs = [word[2:].partition("=") for word in words if word.startswith("--")]
    options = {name: value for name, _, value in pairs}
    command = words[next(i for i, word in enumerate(words) if not word.startswith("--")) :]
    signal.signal(signal.SIGTERM, lambda *_: None)
    job, count = Job(directory, os.environ["SLURM_JOB_ID"]), int(options["ntasks"])
    machines = ",".join(f"node{task}" for task in range(count))
    with (job.path / "steps").open("a") as steps:
        steps.write(f"{options['job-name']}|{machines}\n")
    trouble = _trouble(directory, options["job-name"])
    if trouble.get("step"):
        fail(f"srun: error: {trouble['step']}")
    tasks: list[subprocess.Popen[bytes]] = []
    for task in range(count):
        if trouble.get("task") == str(task):
            sys.stderr.write(f"srun: error: task {task} launch failed: {trouble['how']}\n")
            continue
        environ = os.environ | {"SLURM_PROCID": str(task), "SLURMD_NODENAME": f"node{task}"}
        with Path(options["output"].replace("%t", str(task))).open("ab") as log:
            tasks.append(subprocess.Popen(command, env=environ, stdout=log, stderr=log))
    sys.exit(max(abs(task.wait()) for task in tasks))


def _trouble(directory: Path, step: str) -> dict[str, str]:
    """What is wrong with the tasks of a step; nothing for most."""
    with contextlib.suppress(FileNotFoundError):
        found: dict[str, str] = json.loads((directory / f"trouble-{step}").read_text())
        return found
    return {}


def squeue(directory: Path, *words: str) -> None:
    if "-s" in words:
        print(Path(directory, "jobs", words[words.index("-j") + 1], "steps").read_text())
        return
    shown = words[words.index("-o") + 1]
    for number in words[words.index("-j") + 1].split(","):
        job = Job(directory, number)
        if not job.path.exists():
            fail("slurm_load_jobs error: Invalid job id specified")
        state, reason = job.state
        if "all" in words or state not in _ENDED:
            told = {"%A": number, "%T": state, "%r": reason, "%S": "N/A"}
            line = shown
            for field, value in told.items():
                line = line.replace(field, value)
            print(line)


def scancel(directory: Path, *words: str) -> None:
    """Ends jobs; those that run hear SIGTERM."""
    spared = (*_ENDED, "RUNNING") if "--state=PENDING" in words else _ENDED
    for number in (word for word in words if not word.startswith("-")):
        job = Job(directory, number)
        if job.state[0] not in spared:
            job.become("CANCELLED")
            _terminate(job)


def _terminate(job: Job) -> None:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        os.killpg(int((job.path / "session").read_text()), signal.SIGTERM)


def scontrol(directory: Path, *words: str) -> None:
    what = [word for word in words if not word.startswith("-")]
    if what[:2] == ["show", "job"]:
        job = Job(directory, what[2])
        state, reason = job.state
        machines = "NodeList=node0" if (job.path / "begun").exists() else "NodeList="
        print(
            f"JobId={what[2]} JobState={state} Reason={reason} Restarts=0 ExitCode=0:0 {machines}"
        )
    elif what[:2] == ["show", "node"]:
        print(f"NodeName={what[2]} NodeAddr=127.0.0.1")
    elif what[:2] == ["show", "hostnames"]:
        print("\n".join(what[2].split(",")))
    elif what == ["show", "config"]:
        print("SelectTypeParameters = CR_CORE")
    elif what == ["show", "partition"]:
        print("PartitionName=main")
    elif what[0] == "requeue":
        job = Job(directory, what[1])
        if job.state[0] == "PENDING":
            fail(f"Job is pending execution for job {what[1]}")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the job itself may have started this
        job.become("PENDING", "BeginTime")
        _terminate(job)
    else:
        fail(f"scontrol: error: {words}")


def sinfo(_: Path, *words: str) -> None:
    print("\n".join(["main*|8|8192|(null)"] * 3))


def main() -> None:
    directory, name, arguments = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    with (directory / "calls").open("a") as calls:
        calls.write(f"{' '.join([name, *arguments])}\n")
    commands = (sbatch, squeue, scancel, scontrol, sinfo, srun, start)
    {command.__name__: command for command in commands}[name](directory, *arguments)


if __name__ == "__main__":
    main()
