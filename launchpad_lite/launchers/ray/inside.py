"""The beginning of a run, seen from a process in its cluster."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from launchpad_lite.credentials import Credentials
from launchpad_lite.launchers.ray import beginning
from launchpad_lite.launchers.ray.following import FollowingActor, FollowingDetached
from launchpad_lite.launchers.ray.messages import Submission

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.launchers.following import Following
    from launchpad_lite.launchers.ray.options import RayOptions
    from launchpad_lite.planning import LaunchPlan
    from launchpad_lite.runtime.rundir import RunDirectory
    from launchpad_lite.runtime.status import RunStatus


def begin(
    plan: LaunchPlan,
    options: RayOptions,
    create: Callable[[], RunDirectory],
    *,
    table: str,
    heard: Callable[[RunStatus], object] | None = None,
) -> Following:
    """Join the cluster, and begin a run in it; what is returned is to be started.

    Args:
      plan: the plan.
      options: the user's.
      create: makes the run's directory.
      table: the plan for people.
      heard: is told where the run is, each time that it changes.

    Raises:
      LaunchpadError: it cannot begin; nothing is left.
    """
    with beginning.joined(options, create, table=table) as (cluster, directory):
        submission = Submission(
            run_id=directory.run_id,
            plan=plan.portable(),
            table=table,
            options=options,
            directory=str(directory.path),
            credentials=Credentials.create(),
            local=cluster.local,
            shows_output=beginning.shows_output(options),
            path=sys.path,
            environment={
                name: value for name, value in os.environ.items() if not name.startswith("RAY_")
            },
        )
        with beginning.begun(cluster, submission) as (held, rendezvous):
            if options.detach:
                cluster.leave()
                return FollowingDetached(plan, submission, directory, rendezvous)
            return FollowingActor(plan, submission, directory, held, rendezvous, heard=heard)
