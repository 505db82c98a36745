"""The nodes' output on the launching machine, from their log files on the shared file system."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from launchpad_lite.launchers import terminals
from launchpad_lite.runtime.logs import LinePrinter, LogViewer, standard_output

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Mapping

    from launchpad_lite.launchers.base import LaunchOptions
    from launchpad_lite.planning import LaunchPlan
    from launchpad_lite.runtime.logs import Busy
    from launchpad_lite.runtime.rundir import RunDirectory

_INTERVAL_S = 0.5
"""Seconds between two looks at all log files; each asks the file system's server."""


class Output:
    """Shows what the nodes print, where the options say."""

    def __init__(
        self,
        plan: LaunchPlan,
        options: LaunchOptions,
        directory: RunDirectory,
        busy: Busy | None = None,
        more: Mapping[str, pathlib.Path] | None = None,
    ) -> None:
        """Prepare; `start` begins.

        Args:
          plan: the plan.
          options: what is shown, and where.
          directory: the run's.
          busy: while it has the terminal, nothing is shown.
          more: further files that are shown like nodes' logs, by name; by this process in any case.
        """
        self._begun = False
        self._options = options
        self._directory = directory
        self._logs = {worker.name: directory.log(worker.name) for worker in plan.workers}
        self._shown = (self._logs if self.in_process else {}) | dict(more or {})
        self._viewer = LogViewer(
            self._shown,
            LinePrinter(
                self._shown,
                standard_output() if self.in_process else sys.stderr,
                color=options.color,
            ),
            busy=busy,
            interval_s=_INTERVAL_S,
        )

    @property
    def in_process(self) -> bool:
        """Whether the nodes' is shown by this process."""
        return self._options.show_output and self._options.terminal == terminals.CURRENT

    def start(self) -> None:
        """Begin to show it."""
        self._begun = True
        options = self._options
        if self._shown:
            self._viewer.start()
        if not self.in_process and options.show_output and options.terminal != terminals.FILES:
            terminals.open_windows(
                options.terminal,
                self._logs,
                self._directory.owner_file,
                options.tmux_session_name or self._directory.run_id,
                attach=options.tmux_open_window,
            )

    def stop(self) -> None:
        """Show what is left; all of it, if it has not begun."""
        if self._shown:
            if not self._begun:
                self._viewer.start()
            self._viewer.stop()
