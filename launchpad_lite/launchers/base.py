"""What a launcher is."""

from __future__ import annotations

import abc
import dataclasses
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from launchpad_lite.planning import Capabilities, LaunchPlan
    from launchpad_lite.runtime.run import Run


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaunchOptions:
    """What a launcher is told beside the plan.

    Attributes:
      show_output: show the nodes' output on this process's standard output.
      keep_directory: keep a run directory, so that other terminals find the run.
    """

    show_output: bool = True
    keep_directory: bool = True


class Launcher(abc.ABC):
    """Brings up the workers of a plan.

    Third parties register theirs under the entry-point group `launchpad_lite.launchers`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    """One line for `lp-launch list`."""

    @abc.abstractmethod
    def unavailable(self) -> str | None:
        """Return why the launcher cannot be used here and what to do about it; None if it can."""

    @abc.abstractmethod
    def capabilities(self) -> Capabilities:
        """Return what the plan must know."""

    @abc.abstractmethod
    def launch(self, plan: LaunchPlan, options: LaunchOptions) -> Run:
        """Bring up the workers.

        Raises:
          LaunchpadError: they could not be brought up; none is left running.
        """
