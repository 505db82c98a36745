"""What the launching process and the actor that holds the run together say to each other."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from launchpad_lite.runtime.status import RunStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launchpad_lite.credentials import Credentials
    from launchpad_lite.errors import LaunchpadError
    from launchpad_lite.launchers.ray.options import RayOptions
    from launchpad_lite.planning import LaunchPlan
    from launchpad_lite.runtime.rundir import Rendezvous


CONTROLLER = "controller"
"""What the actor of each run is called, behind the run's name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Submission:
    """A program, and what its launching process knows that the cluster does not.

    Attributes:
      run_id: the run's name.
      plan: the plan.
      table: the plan for people.
      options: the user's.
      directory: the path of the run's directory; None where the controller has to make one, for
        the launching process is outside of the cluster.
      credentials: what the run's servers and clients prove to each other.
      local: whether the cluster was started for this program.
      shows_output: whether the launching process shows the nodes' output.
      path: where modules are, beyond what the machines' own Python knows.
      environment: the launching process's.
    """

    run_id: str
    plan: LaunchPlan
    table: str
    options: RayOptions
    directory: str | None
    credentials: Credentials
    local: bool
    shows_output: bool
    path: Sequence[str]
    environment: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Told:
    """Something for people, which a run beside its launching process would log there."""

    logger: str
    level: int
    text: str


@dataclasses.dataclass(frozen=True)
class Begun:
    """There is room, and a controller."""

    rendezvous: Rendezvous


@dataclasses.dataclass(frozen=True)
class Over:
    """The run has ended, or could not be started; with what it has failed of."""

    error: LaunchpadError | None


News = Told | Begun | RunStatus | Over
"""What there is to hear of a run: `Begun`, statuses, `Over`; and between them what is told."""
