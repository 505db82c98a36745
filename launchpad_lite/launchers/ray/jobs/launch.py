"""Launching a program in a cluster that this machine is no node of: as a job of Ray."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import pathlib
import shlex
import sys
import urllib.parse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from launchpad_lite.errors import LauncherUnavailableError, Unavailable, UsageError
from launchpad_lite.launchers import terminals
from launchpad_lite.launchers.following import first_status
from launchpad_lite.launchers.ray.jobs import letters
from launchpad_lite.launchers.ray.jobs.api import Dashboard
from launchpad_lite.launchers.ray.jobs.following import FollowingJob
from launchpad_lite.launchers.ray.jobs.letters import Program
from launchpad_lite.owner import Owner
from launchpad_lite.runtime.rundir import RunDirectory, new_run_id

if TYPE_CHECKING:
    from launchpad_lite.launchers.ray.options import RayOptions
    from launchpad_lite.planning import LaunchPlan
    from launchpad_lite.runtime.run import Run

_MAIN = "launchpad_lite.launchers.ray.jobs.main"
_WORKING_DIR = "working_dir"
_VARIABLES = "env_vars"
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
    program = _program(plan, options)
    runtime_env = _runtime_env(plan, options)
    data = letters.pack(program)
    dashboard = Dashboard(address)
    run_id = new_run_id(plan.program)
    directory = RunDirectory.create(run_id)
    may_run = False
    try:
        directory.write_plan(program.table)
        directory.write_status(first_status(plan, run_id))
        dashboard.put(letters.program_name(run_id), data)
        may_run = True
        dashboard.submit(run_id, f"exec {_entry_point(run_id)}", runtime_env)
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
    program = _program(plan, options)
    runtime_env = _runtime_env(plan, options)
    source = program.plan.source
    facts = {
        "job": f"{_entry_point('RUN')}, submitted to {address}",
        "directory": f"{runtime_env[_WORKING_DIR]}, of which the machines get a copy",
        "program": source.main_file or "none: it is in importable modules",
        "path": ", ".join(source.sys_path) or "nothing beside the machines' own",
        "variables": ", ".join(runtime_env[_VARIABLES]),
    }
    return "\n".join(f"{name:<10} {value}" for name, value in facts.items())


def _entry_point(run_id: str) -> str:
    return shlex.join(["python", "-m", _MAIN, run_id])


def _owner(run_id: str, address: str) -> Owner:
    return Owner.elsewhere(f"job {run_id} of the Ray cluster at {address}", dashboard=address)


def _program(plan: LaunchPlan, options: RayOptions) -> Program:
    checkpoints = plan.config.checkpoint_dir
    if checkpoints is not None and not pathlib.Path(checkpoints).is_absolute():
        message = (
            f"checkpoint_dir={checkpoints!r} would be below a copy of this directory on each of "
            "the cluster's machines: use an absolute path, to a place that they share."
        )
        raise UsageError(message)
    return Program(
        plan=dataclasses.replace(
            plan.portable().below(_root(options)),
            config=dataclasses.replace(plan.config, pdb=False),
        ),
        table=str(plan),
        options=dataclasses.replace(
            options,
            address=None,
            detach=False,  # the job is the run's launching process
            runtime_env={_VARIABLES: options.runtime_env.get(_VARIABLES, {})},
            show_output=True,
            terminal=terminals.CURRENT,
            color="never",
            tmux_session_name=None,
            tmux_open_window=False,
            keep_directory=True,
        ),
        is_watched=not options.detach,
    )


def _root(options: RayOptions) -> pathlib.Path:
    """Return the directory of which the cluster's machines get a copy."""
    given = options.runtime_env.get(_WORKING_DIR)
    if given is None or urllib.parse.urlsplit(str(given)).scheme or pathlib.Path(given).is_file():
        return pathlib.Path.cwd()  # an archive is taken to hold what is here
    return pathlib.Path(given)


def _runtime_env(plan: LaunchPlan, options: RayOptions) -> dict[str, Any]:
    """Return the job's: what its actors have of it, they inherit."""
    for group, own in options.groups.items():
        for name in (_WORKING_DIR, "py_modules"):
            _check_urls(group, name, own.runtime_env.get(name))
    ending = math.ceil(plan.config.notice_s + plan.config.grace_s + _ENDING_S)
    variables: object = options.runtime_env.get(_VARIABLES, {})
    if isinstance(variables, Mapping):  # or Ray refuses it
        variables = {_STOP_WAIT: str(ending), **cast("Mapping[str, str]", variables)}
    return {
        _WORKING_DIR: str(_root(options)),
        **options.runtime_env,
        _VARIABLES: variables,
    }


def _check_urls(group: str, name: str, value: object) -> None:
    """Refuse directories of this machine in a group's environment: only the job's are shipped."""
    given = cast("list[object]", value) if isinstance(value, list) else [value]
    for each in given:
        if each is not None and not urllib.parse.urlsplit(str(each)).scheme:
            message = (
                f"group {group!r}: runtime_env[{name!r}]={each!r} is on this machine, which is "
                "none of the cluster's: give it for all groups, in RayOptions(runtime_env=), or a "
                "URL."
            )
            raise UsageError(message)
