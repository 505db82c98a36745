"""What a launcher is."""

from __future__ import annotations

import abc
import dataclasses
from typing import TYPE_CHECKING, ClassVar

from launchpad_lite import validation
from launchpad_lite.errors import UsageError, nearest
from launchpad_lite.launchers.terminals import CURRENT, TERMINALS
from launchpad_lite.runtime.logs import COLORS

if TYPE_CHECKING:
    from launchpad_lite.planning import Capabilities, LaunchPlan
    from launchpad_lite.runtime.run import Run


_RULES = {
    "show_output": validation.boolean,
    "keep_directory": validation.boolean,
    "tmux_session_name": validation.optional(validation.text),
    "tmux_open_window": validation.boolean,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaunchOptions:
    """What a launcher is told beside the plan.

    Attributes:
      show_output: show the nodes' output on this process's standard output.
      keep_directory: keep a run directory, so that other terminals find the run.
      terminal: where nodes that are processes show their output: `current_terminal`,
        `output_to_files`, `tmux_session`, `xterm` or `gnome-terminal`.
      color: whether their names are coloured on this process's output: `auto` (on a terminal),
        `always` or `never`.
      tmux_session_name: of a new session; None for the run's name.
      tmux_open_window: open the session in the tmux that this process is in.
    """

    show_output: bool = True
    keep_directory: bool = True
    terminal: str = CURRENT
    color: str = COLORS[0]
    tmux_session_name: str | None = None
    tmux_open_window: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
          UsageError: there is no such terminal or choice of colour.
        """
        for field, known in (("terminal", TERMINALS), ("color", COLORS)):
            given = getattr(self, field)
            if given not in known:
                message = f"unknown {field} {given!r}{nearest(str(given), known)}"
                raise UsageError(message)
        with validation.within("LaunchOptions"):
            validation.validate(self, _RULES)


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

    def describe(self, plan: LaunchPlan, options: LaunchOptions) -> str:
        """Return what would be started, for people: a dry run."""
        del options
        return str(plan)

    @abc.abstractmethod
    def launch(self, plan: LaunchPlan, options: LaunchOptions) -> Run:
        """Bring up the workers.

        Raises:
          LaunchpadError: they could not be brought up; none is left running.
        """
