"""How a run begins, whether its launching process is inside of the cluster or a client of it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from launchpad_lite.launchers import terminals
from launchpad_lite.launchers.ray.cluster import Cluster
from launchpad_lite.launchers.ray.held import HeldByActor

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from launchpad_lite.launchers.ray.messages import Submission
    from launchpad_lite.launchers.ray.options import RayOptions
    from launchpad_lite.runtime.rundir import Rendezvous, RunDirectory


@contextlib.contextmanager
def joined(
    options: RayOptions,
    create: Callable[[], RunDirectory],
    *,
    table: str,
    runtime_env: Mapping[str, Any] | None = None,
) -> Generator[tuple[Cluster, RunDirectory]]:
    """Join the cluster and make the run's directory; undo both if the block fails.

    Args:
      options: the user's.
      create: makes the directory.
      table: the plan for people.
      runtime_env: see `Cluster.join`.

    Raises:
      LaunchpadError: the cluster cannot be joined.
    """
    cluster = Cluster.join(options, runtime_env)
    try:
        directory = create()
        try:
            directory.write_plan(table)
            yield cluster, directory
        except BaseException:
            directory.remove()
            raise
    except BaseException:
        cluster.leave()
        raise


@contextlib.contextmanager
def begun(cluster: Cluster, submission: Submission) -> Generator[tuple[HeldByActor, Rendezvous]]:
    """Have an actor hold a run, and wait until it has begun; end it if the block fails.

    Returns:
      The actor, and how to reach the controller.

    Raises:
      LaunchpadError: it cannot begin; nothing of it is left.
    """
    held = HeldByActor(cluster, submission)
    try:
        yield held, held.begin()
    except BaseException:
        held.end()
        raise


def shows_output(options: RayOptions) -> bool:
    """Whether the launching process's terminal shows what nodes print."""
    return options.show_output and options.terminal == terminals.CURRENT
