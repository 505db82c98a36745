"""Nodes on the machines of a SLURM cluster: submits a job, or uses the one that it is in."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import shlex
import sys
from typing import TYPE_CHECKING, ClassVar

from launchpad_lite.credentials import Credentials
from launchpad_lite.launchers import terminals
from launchpad_lite.launchers.base import Launcher, LaunchOptions
from launchpad_lite.launchers.following import first_status
from launchpad_lite.launchers.slurm import allocation, commands, inside, script
from launchpad_lite.launchers.slurm.following import FollowingJobs
from launchpad_lite.launchers.slurm.layout import groups_of, lay_out
from launchpad_lite.launchers.slurm.options import SlurmOptions
from launchpad_lite.launchers.slurm.placing import place
from launchpad_lite.launchers.slurm.submission import Submission
from launchpad_lite.owner import Owner
from launchpad_lite.planning import Capabilities
from launchpad_lite.runtime.rundir import RunDirectory, new_run_id

if TYPE_CHECKING:
    from launchpad_lite.launchers.slurm.allocation import Allocation
    from launchpad_lite.launchers.slurm.layout import Layout
    from launchpad_lite.planning import LaunchPlan
    from launchpad_lite.runtime.run import Run


class SlurmLauncher(Launcher):
    """Runs each node in a process on a machine of a SLURM cluster."""

    name: ClassVar[str] = "slurm"
    summary: ClassVar[str] = "each node a process on the machines of a SLURM cluster"

    def unavailable(self) -> str | None:
        """See the base class."""
        lacks = commands.missing()
        if not lacks:
            return None
        return (
            f"SLURM's {', '.join(lacks)} cannot be found: it works on the login nodes and machines "
            "of a cluster. Log in to one, or `module load slurm`."
        )

    def capabilities(self) -> Capabilities:
        """See the base class."""
        return Capabilities(launcher=self.name, in_process=False)

    def describe(self, plan: LaunchPlan, options: LaunchOptions) -> str:
        """See the base class: the plan, and the scripts, or the steps of an allocation."""
        slurm = _slurm(options)
        where = _place(plan, pathlib.Path("RUN_DIRECTORY"), "RUN")
        here = _allocation(slurm)
        layout = _lay_out(plan, slurm, here)
        if here is None:
            texts = script.scripts(layout, slurm, where)
        else:
            texts = [inside.describe(layout, slurm, here, where)]
        return "\n\n".join([str(plan), *texts, *_unheeded(plan, slurm, here)])

    def launch(self, plan: LaunchPlan, options: LaunchOptions) -> Run:
        """See the base class."""
        slurm = _slurm(options)
        terminals.check(slurm.terminal, slurm.tmux_session_name, attach=slurm.tmux_open_window)
        here = _allocation(slurm)
        layout = _lay_out(plan, slurm, here)
        for warning in _unheeded(plan, slurm, here):
            sys.stderr.write(f"{warning}\n")
        plan = dataclasses.replace(plan, config=dataclasses.replace(plan.config, pdb=False))
        directory = RunDirectory.create(new_run_id(plan.program))
        try:
            directory.write_plan(str(plan))
            submission = Submission(
                plan=plan,
                layout=layout,
                options=slurm,
                place=_place(plan, directory.path, directory.run_id),
                credentials=Credentials.create(),
            )
            submission.write(directory)
            if here is None:
                return _submit(directory, submission)
            return inside.launch(directory, submission, here)
        except BaseException:
            directory.remove()
            raise


def _slurm(options: LaunchOptions) -> SlurmOptions:
    return options if isinstance(options, SlurmOptions) else SlurmOptions.of_flags(options)


def _allocation(options: SlurmOptions) -> Allocation | None:
    return None if options.submit else allocation.find()


def _lay_out(plan: LaunchPlan, options: SlurmOptions, here: Allocation | None) -> Layout:
    if here is None:
        return lay_out(plan.workers, options, commands.partitions())
    inside.check(options, here)
    return place(plan.workers, here)


def _unheeded(plan: LaunchPlan, options: SlurmOptions, here: Allocation | None) -> list[str]:
    """Return warnings of what was asked for and is not done."""
    texts: list[str] = []
    if plan.config.pdb:
        texts.append("pdb: nodes are on other machines, which have no terminal: none is debugged")
    if not options.keep_directory:
        texts.append("keep_directory=False: machines share the run directory, so there is one")
    texts += _unheeded_resources(plan)
    if here is not None:
        texts += inside.unheeded(plan, options, here)
    return [f"warning: {text}" for text in texts]


def _unheeded_resources(plan: LaunchPlan) -> list[str]:
    """Return what groups asked for and do not get, for people."""
    texts: list[str] = []
    for label, units in groups_of(plan.workers).items():
        wants = units[0][0].resources
        if wants.custom:
            names = ", ".join(wants.custom)
            texts.append(f"{label}: {names}: SLURM is asked for CPUs, GPUs and memory only")
        if (wants.nodes or 1) > len(units):
            texts.append(
                f"{label}: Resources(nodes={wants.nodes}): it gets no more machines than it has "
                f"nodes: {len(units)}"
            )
    return texts


def _place(plan: LaunchPlan, path: pathlib.Path, run_id: str) -> script.Place:
    return script.Place(
        run_id=run_id,
        program=re.sub(r"[^A-Za-z0-9_.]+", "-", plan.program).strip("-.") or "run",
        directory=str(path),
        python=sys.executable,
        cwd=plan.source.cwd,
    )


def _submit(directory: RunDirectory, submission: Submission) -> Run:
    jobs: list[int] = []
    # Before there is a controller that writes it.
    directory.write_status(first_status(submission.plan, directory.run_id))
    try:
        texts = script.scripts(submission.layout, submission.options, submission.place)
        for number, text in enumerate(texts):
            directory.write_private(f"job-{number}.sh", text.encode())
            jobs.append(commands.submit(text))
        submission.write_jobs(directory, jobs)
        if submission.options.limit:
            sys.stderr.write(f"{directory.run_id}: {submission.options.limit}\n")
        words = ("squeue", "-h", "-j", str(jobs[0]), "-o", "%T")
        title = f"SLURM's job {jobs[0]}"
        forget = shlex.join(["rm", "-f", str(Submission.path(directory))])
        ends = ("sh", "-c", f"scancel {' '.join(map(str, jobs))} && {forget}")
        log = str(Submission.log(directory, jobs[0]))
        tells = (*words, "-t", "all")
        directory.write_owner(Owner.elsewhere(title, words, ends, tells=tells, log=log))
    except BaseException:
        if jobs:
            commands.cancel(jobs)
        raise
    return FollowingJobs(directory, submission, jobs).start()
