"""Runs that a job of a Ray cluster holds, launched from this machine, which is outside of it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from typing import TYPE_CHECKING

from launchpad_lite.cli.directory_runs import DirectoryRun
from launchpad_lite.errors import CallError

if TYPE_CHECKING:
    from launchpad_lite.launchers.ray.jobs.viewer import JobViewer


@dataclasses.dataclass(frozen=True)
class JobRun(DirectoryRun):
    """A run whose directory says what the cluster's dashboard has told of it.

    Attributes:
      dashboard: its URL.
    """

    dashboard: str

    def viewer(self) -> JobViewer | None:
        return None if self.holder() is None else self._viewer

    @functools.cached_property
    def _viewer(self) -> JobViewer:
        from launchpad_lite.launchers.ray.jobs import viewer  # takes a moment, and few need it

        return viewer.JobViewer(self.directory, self.dashboard)

    def is_alive(self) -> bool:
        viewer = self.viewer()
        return viewer is not None and viewer.is_alive()

    def cancel(self, *, silent: bool, immediately: bool) -> str:
        return ""

    def refresh(self) -> None:
        viewer = self.viewer()
        if viewer is not None:
            with contextlib.suppress(CallError):  # then what is known must do
                viewer.update()
