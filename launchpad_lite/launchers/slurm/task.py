"""A task of a step: the agent of one group on one machine, and what passes its words on."""

from __future__ import annotations

import os
import pathlib
import socket
import sys
import time

from launchpad_lite.endpoint import split_host
from launchpad_lite.errors import (
    ExitCode,
    LauncherUnavailableError,
    LaunchpadError,
    UsageError,
    brief,
)
from launchpad_lite.launchers.slurm.network import address_towards
from launchpad_lite.runtime import children, relay
from launchpad_lite.runtime.rundir import Rendezvous, RunDirectory

_WAIT_S = 60.0  # for what another machine has written to appear on a shared file system
_ASK_S = 5.0  # each task may ask SLURM whether there is still something to wait for


def main() -> None:
    """Run the agent of a group.

    The arguments are the run directory, the group, and how many of its tasks are in other steps.
    """
    from launchpad_lite.launchers.slurm.submission import Submission

    children.die_with_parent()  # or what SLURM does not know of any more would live on
    _, where, group, *more = sys.argv
    directory, first = RunDirectory(pathlib.Path(where)), int(more[0]) if more else 0
    try:
        submission = Submission.read(directory)
        process, sock = relay.fork_agent(submission.plan.preload)
        rendezvous = _await_controller(directory, waits_in_queue=len(submission.layout.jobs) > 1)
        from launchpad_lite.courier import socket_dir
        from launchpad_lite.launchers.gpus import visible
        from launchpad_lite.launchers.slurm.layout import agent_name
        from launchpad_lite.runtime.fleet import Place

        sockets = socket_dir.make()
        try:
            place = Place(
                host=os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
                address=address_towards(*split_host(rendezvous.endpoint.partition(":")[2])),
                socket_dir=sockets,
                gpus=visible(),
            )
            agent = agent_name(group, first + int(os.environ.get("SLURM_PROCID", "0")))
            job = "the job"
            if len(submission.layout.jobs) > 1:
                job = f"job {os.environ['SLURM_JOB_ID']}, of group {group},"
            told = f"SLURM told {job} to end (SIGTERM)"
            in_order = relay.pass_on(
                agent,
                sock,
                place,
                rendezvous.endpoint,
                rendezvous.credentials,
                told_to_end=told,
            )
        finally:
            sock.close()
            os.waitpid(process, 0)
            socket_dir.remove(pathlib.Path(sockets))
        if not in_order:
            from launchpad_lite.launchers.slurm import orphaned

            orphaned.settle(directory, submission, group, rendezvous)
    except LaunchpadError as error:
        sys.stderr.write(f"{brief(error)}\n")
        sys.exit(error.exit_code)
    sys.exit(ExitCode.OK)


def _await_controller(directory: RunDirectory, *, waits_in_queue: bool) -> Rendezvous:
    """Return how to reach the controller, which may be starting on another machine.

    Args:
      directory: the run's.
      waits_in_queue: whether its job may wait for long after this one has begun. Where both are
        queued again, there may still be word of one that was lost with its machine.

    Raises:
      UsageError: it has not come up.
      LauncherUnavailableError: its job runs, but it cannot be reached.
    """
    from launchpad_lite.launchers.slurm.waiting import answers, pauses

    patience = max(_WAIT_S, _ASK_S * int(os.environ.get("SLURM_NTASKS", "1")))
    begun = time.monotonic()
    deadline = begun + patience
    looks = pauses()
    ran = False  # at the last deadline: a job that has just begun has not written where it is
    while (rendezvous := directory.rendezvous()) is None or (
        waits_in_queue and not answers(rendezvous)
    ):
        now = time.monotonic()
        if now > deadline:
            owner = directory.owner() if waits_in_queue else None
            if owner is None or not owner.is_alive():
                waited = f"{now - begun:.0f} s"
                message = f"no controller has written to {directory.path} within {waited}"
                raise UsageError(message)
            if rendezvous is None or not _runs(directory):
                ran = False
            elif ran:
                raise _unreached(directory, rendezvous)
            else:
                ran = True
            deadline += patience
            continue
        time.sleep(next(looks))
    return rendezvous


def _runs(directory: RunDirectory) -> bool:
    """Whether SLURM runs the controller's job, as far as it can be asked."""
    from launchpad_lite.launchers.slurm import commands
    from launchpad_lite.launchers.slurm.submission import Submission

    jobs = Submission.jobs(directory)[:1]
    try:
        return any(state.state == "RUNNING" for state in commands.states(jobs).values())
    except commands.SlurmError:
        return False


def _unreached(directory: RunDirectory, rendezvous: Rendezvous) -> LauncherUnavailableError:
    where = rendezvous.endpoint.partition(":")[2]
    message = (
        f"the job of {directory.run_id}'s controller runs, but {socket.gethostname()} cannot reach "
        f"it at {where}: look for a firewall between these machines. They need TCP to one another."
    )
    return LauncherUnavailableError(message)


if __name__ == "__main__":
    main()
