"""A run inside an allocation that the launching process is in: nothing is submitted."""

from __future__ import annotations

import os
import shlex
import socket
import threading
import time
from typing import TYPE_CHECKING

from launchpad_lite.errors import UsageError
from launchpad_lite.launchers.output import Output
from launchpad_lite.launchers.slurm import allocation as allocations
from launchpad_lite.launchers.slurm import commands, script
from launchpad_lite.launchers.slurm.network import address_of_name, address_towards
from launchpad_lite.launchers.slurm.options import SlurmOptions
from launchpad_lite.launchers.slurm.stepped import SteppedRun
from launchpad_lite.launchers.slurm.submission import Submission
from launchpad_lite.owner import Owner

if TYPE_CHECKING:
    from launchpad_lite.launchers.slurm.allocation import Allocation
    from launchpad_lite.launchers.slurm.layout import Layout
    from launchpad_lite.planning import LaunchPlan
    from launchpad_lite.runtime.run import Run
    from launchpad_lite.runtime.rundir import RunDirectory

_OF_THE_JOB = (
    *("partition", "account", "qos", "time", "constraint", "layout", "groups", "extra", "requeue"),
)
"""Options that say what job is submitted."""

_OTHERWISE = "lp.SlurmOptions(submit=True), or --slurm_submit, submits a job of its own"


def check(options: SlurmOptions, allocation: Allocation) -> None:
    """Refuse what cannot be inside of an allocation.

    Raises:
      UsageError: the run is to be left alone.
    """
    if options.detach:
        message = (
            f"detach: inside of {allocation.title} this process holds the run together until its "
            f"end. Leave detach out; {_OTHERWISE}."
        )
        raise UsageError(message)


def unheeded(plan: LaunchPlan, options: SlurmOptions, allocation: Allocation) -> list[str]:
    """Return what was asked for and is settled by the allocation, for people."""
    unset = SlurmOptions()
    names = [name for name in _OF_THE_JOB if getattr(options, name) != getattr(unset, name)]
    if any(worker.resources.exclusive for worker in plan.workers):
        names.append("Resources(exclusive=)")
    if not names:
        return []
    without = f"inside of {allocation.title} these have no effect: {', '.join(names)}"
    return [f"{without}; {_OTHERWISE}"]


def describe(
    layout: Layout, options: SlurmOptions, allocation: Allocation, where: script.Place
) -> str:
    """Return what a run inside of an allocation would start, for people."""
    head = f"# Inside of {allocation.title} nothing is submitted. These steps would be started:"
    return "\n".join([head, *map(shlex.join, script.inside(layout, options, where))])


def launch(directory: RunDirectory, submission: Submission, allocation: Allocation) -> Run:
    """Start a run inside of an allocation; its controller is in this process.

    Raises:
      LaunchpadError: it could not be started; nothing is left running.
    """
    asks = ("squeue", "-h", "-j", str(allocation.job), "-o", "%T")
    title = f"process {os.getpid()} on {socket.gethostname()}, inside of {allocation.title},"
    directory.write_owner(Owner.elsewhere(title, asks, ()))
    output = Output(submission.plan, submission.options, directory)

    def at_end() -> None:
        output.stop()
        Submission.remove(directory)

    stepped = SteppedRun(directory, submission, _own_address(allocation), at_end)
    run = stepped.start(shows_output=output.in_process)
    output.start()
    if allocation.ends is not None:
        notice_s = submission.options.notice_s
        threading.Thread(
            target=_watch_time,
            args=(stepped, allocation, notice_s),
            name="lp-slurm-time",
            daemon=True,
        ).start()
    return run


def _watch_time(run: SteppedRun, allocation: Allocation, notice_s: int) -> None:
    """Tell a run to end some time before its allocation does; that may be given more time."""
    ends = allocation.ends
    while ends is not None and not run.has_ended(max(0.0, ends - notice_s - time.time())):
        known, ends = ends, allocations.end_of(allocation)
        if ends == known:
            run.told_to_end(f"the time of {allocation.title} is over in {notice_s} s")
            return


def _own_address(allocation: Allocation) -> str:
    """Return the address of this machine, which need not be the allocation's."""
    here = os.environ.get("SLURMD_NODENAME")
    if here is not None:
        return address_of_name(commands.address_of(here))
    return address_towards(commands.address_of(allocation.parts[0].machine))
