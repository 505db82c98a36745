"""Nodes on the machines of a SLURM cluster: submits a job, and follows it."""

from __future__ import annotations

import pathlib
import re
import sys
from typing import TYPE_CHECKING, ClassVar

from launchpad_lite import context
from launchpad_lite.credentials import Credentials
from launchpad_lite.launchers.base import Launcher, LaunchOptions
from launchpad_lite.launchers.slurm import commands, script
from launchpad_lite.launchers.slurm.following import Following
from launchpad_lite.launchers.slurm.layout import lay_out
from launchpad_lite.launchers.slurm.options import SlurmOptions
from launchpad_lite.launchers.slurm.submission import Submission
from launchpad_lite.owner import Owner
from launchpad_lite.planning import Capabilities
from launchpad_lite.runtime.directory import Directory
from launchpad_lite.runtime.logs import LogViewer, standard_output
from launchpad_lite.runtime.run import Run
from launchpad_lite.runtime.rundir import RunDirectory, new_run_id
from launchpad_lite.runtime.scope import RunScope
from launchpad_lite.runtime.signals import signals
from launchpad_lite.stop_token import StopToken

if TYPE_CHECKING:
    from launchpad_lite.launchers.slurm.layout import Layout
    from launchpad_lite.planning import LaunchPlan


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
        """See the base class: the plan, and the scripts."""
        slurm = _slurm(options)
        place = _place(plan, pathlib.Path("RUN_DIRECTORY"), "RUN")
        texts = script.scripts(_lay_out(plan, slurm), slurm, place)
        return "\n\n".join([str(plan), *texts])

    def launch(self, plan: LaunchPlan, options: LaunchOptions) -> Run:
        """See the base class."""
        slurm = _slurm(options)
        layout = _lay_out(plan, slurm)
        directory = RunDirectory.create(new_run_id(plan.program))
        try:
            return _submit(plan, slurm, layout, directory)
        except BaseException:
            directory.remove()
            raise


def _slurm(options: LaunchOptions) -> SlurmOptions:
    return options if isinstance(options, SlurmOptions) else SlurmOptions.of_flags(options)


def _lay_out(plan: LaunchPlan, options: SlurmOptions) -> Layout:
    return lay_out(plan.workers, options, commands.machines())


def _place(plan: LaunchPlan, path: pathlib.Path, run_id: str) -> script.Place:
    return script.Place(
        run_id=run_id,
        program=re.sub(r"[^A-Za-z0-9_.]+", "-", plan.program).strip("-.") or "run",
        directory=str(path),
        python=sys.executable,
        cwd=plan.source.cwd,
    )


def _submit(
    plan: LaunchPlan, options: SlurmOptions, layout: Layout, directory: RunDirectory
) -> Run:
    directory.write_plan(str(plan))
    place = _place(plan, directory.path, directory.run_id)
    credentials = Credentials.create()
    submission = Submission(
        plan=plan, layout=layout, options=options, place=place, credentials=credentials
    )
    submission.write(directory)
    jobs: list[int] = []
    try:
        for number, text in enumerate(script.scripts(layout, options, place)):
            directory.write_private(f"job-{number}.sh", text.encode())
            jobs.append(commands.submit(text))
        words = ("squeue", "-h", "-j", str(jobs[0]), "-o", "%T")
        title = f"SLURM's job {jobs[0]}"
        directory.write_owner(Owner.elsewhere(title, words, ("scancel", *map(str, jobs))))
    except BaseException:
        if jobs:
            commands.cancel(jobs)
        raise
    return _follow(plan, options, directory, credentials, jobs)


def _follow(
    plan: LaunchPlan,
    options: SlurmOptions,
    directory: RunDirectory,
    credentials: Credentials,
    jobs: list[int],
) -> Run:
    logs = {worker.name: directory.log(worker.name) for worker in plan.workers}
    viewer = LogViewer(logs, standard_output(), color=options.color)
    stop = StopToken()

    def at_end() -> None:
        viewer.stop()
        context.remove_run(scope)
        stop.close(reason="the run has ended")

    services = Directory()
    held = Following(plan, directory, jobs, services, at_end)
    scope = RunScope(
        run_id=directory.run_id,
        stop=stop,
        config=plan.config,
        credentials=credentials,
        schemes=(),
        socket_dir=None,
        incarnation=0,
        directory=services,
        follow=held.follow,
        control=held,
        names=plan.name_of,
    )
    if options.show_output and not options.detach:
        viewer.start()
    context.add_run(scope)
    signals.add(held)
    held.start()
    return Run(held, scope, directory.path, waited_for=not options.detach)
