"""Launching a program in a cluster that this machine is no node of: as a job of Ray."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import shlex
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from launchpad_lite.errors import LauncherUnavailableError, Unavailable
from launchpad_lite.launchers import terminals
from launchpad_lite.launchers.following import first_status
from launchpad_lite.launchers.ray import packing
from launchpad_lite.launchers.ray.jobs import letters
from launchpad_lite.launchers.ray.jobs.api import Dashboard
from launchpad_lite.launchers.ray.jobs.following import FollowingJob
from launchpad_lite.launchers.ray.jobs.letters import Program
from launchpad_lite.launchers.ray.shipment import VARIABLES, Shipment, ship
from launchpad_lite.owner import Owner
from launchpad_lite.runtime.rundir import RunDirectory, new_run_id

if TYPE_CHECKING:
    from launchpad_lite.launchers.ray.options import RayOptions
    from launchpad_lite.planning import LaunchPlan
    from launchpad_lite.runtime.run import Run

_MAIN = "launchpad_lite.launchers.ray.jobs.main"
_STOP_WAIT = "RAY_JOB_STOP_WAIT_TIME_S"
_ENDING_S = 20.0  # beyond notice and grace


def launch(plan: LaunchPlan, options: RayOptions, address: str) -> Run:
    """Submit a job that runs a program, and follow it.

    Args:
      plan: the plan.
      options: the user's.
      address: the URL of the cluster's dashboard.

    Raises:
      LaunchpadError: it cannot be submitted; nothing is left.
    """
    shipment = _ship(plan, options)
    program = _program(plan, shipment, options)
    data = packing.pack(program)
    dashboard = Dashboard(address)
    run_id = new_run_id(plan.program)
    directory = RunDirectory.create(run_id)
    may_run = False
    try:
        directory.write_plan(program.table)
        directory.write_status(first_status(plan, run_id))
        dashboard.put(letters.program_name(run_id), data)
        may_run = True
        dashboard.submit(run_id, f"exec {_entry_point(run_id)}", shipment.runtime_env)
        directory.write_owner(_owner(run_id, dashboard.address))  # there is none to ask before
    except BaseException as error:
        directory.remove()
        with contextlib.suppress(Unavailable):
            if may_run:
                dashboard.end(run_id)
            dashboard.let_go(letters.program_name(run_id))
        if isinstance(error, Unavailable):
            raise LauncherUnavailableError(str(error)) from error
        raise
    if options.detach:
        sys.stderr.write(
            f"{run_id}: submitted as a job of the Ray cluster at {dashboard.address}, where it "
            f"goes on without this process: lp-launch status {run_id}; `ray job logs --address "
            f"{dashboard.address} {run_id}`\n"
        )
    try:
        return FollowingJob(plan, options, directory, dashboard).start()
    except BaseException:
        with contextlib.suppress(Unavailable):
            dashboard.end(run_id)
        raise


def describe(plan: LaunchPlan, options: RayOptions, address: str) -> str:
    """Return what would be submitted, for people.

    Raises:
      UsageError: it cannot be.
    """
    return _ship(plan, options).describe("job", f"{_entry_point('RUN')}, submitted to {address}")


def _entry_point(run_id: str) -> str:
    return shlex.join(["python", "-m", _MAIN, run_id])


def _owner(run_id: str, address: str) -> Owner:
    return Owner.elsewhere(f"job {run_id} of the Ray cluster at {address}", dashboard=address)


def _program(plan: LaunchPlan, shipment: Shipment, options: RayOptions) -> Program:
    return Program(
        plan=shipment.plan,
        table=str(plan),
        options=dataclasses.replace(
            shipment.options,
            detach=False,  # the job is the run's launching process
            show_output=True,
            terminal=terminals.CURRENT,
            color="never",
            tmux_session_name=None,
            tmux_open_window=False,
            keep_directory=True,
        ),
        is_watched=not options.detach,
    )


def _ship(plan: LaunchPlan, options: RayOptions) -> Shipment:
    """Return what the job is sent: what its actors have of its environment, they inherit."""
    shipment = ship(plan, options)
    ending = math.ceil(plan.config.notice_s + plan.config.grace_s + _ENDING_S)
    variables: object = shipment.runtime_env.get(VARIABLES, {})
    if isinstance(variables, Mapping):  # or Ray refuses it
        variables = {_STOP_WAIT: str(ending), **cast("Mapping[str, str]", variables)}
    runtime_env = {**shipment.runtime_env, VARIABLES: variables}
    return dataclasses.replace(shipment, runtime_env=runtime_env)
