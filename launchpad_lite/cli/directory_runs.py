"""Runs whose directories this machine has: its own, and those of a shared file system."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from launchpad_lite.cli import views
from launchpad_lite.cli.seen import SeenRun
from launchpad_lite.runtime.control import RunViewer
from launchpad_lite.runtime.logs import LogViewer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launchpad_lite.launchers.ray.jobs.viewer import JobViewer
    from launchpad_lite.owner import Owner
    from launchpad_lite.runtime.logs import LinePrinter
    from launchpad_lite.runtime.rundir import RunDirectory
    from launchpad_lite.runtime.status import RunStatus


@dataclasses.dataclass(frozen=True)
class DirectoryRun(SeenRun):
    """A run, seen through its directory.

    Attributes:
      directory: the directory.
    """

    directory: RunDirectory

    @property
    def run_id(self) -> str:
        return self.directory.run_id

    @property
    def place(self) -> str:
        return str(self.directory.path)

    @property
    def job(self) -> str:
        owner = self.holder()
        return owner.job if owner is not None else ""

    def holder(self) -> Owner | None:
        return self.directory.owner()

    def fate(self) -> str:
        owner = self.holder()
        return owner.fate() if owner is not None else ""

    def viewer(self) -> RunViewer | JobViewer | None:
        rendezvous = self.directory.rendezvous()
        if rendezvous is None or not rendezvous.owner.is_alive():
            return None
        return RunViewer(rendezvous.endpoint, rendezvous.credentials)

    def status(self) -> RunStatus | None:
        return self.directory.status()

    def cancel(self, *, silent: bool, immediately: bool) -> str:
        waits = self.directory.rendezvous() is None  # in a queue
        owner = self.holder()
        if not (waits or silent) or owner is None or not owner.is_alive() or not owner.end():
            return ""
        status = self.status()
        if waits and status is not None:
            reason = "lp-launch stop, while it waited"
            ended = dataclasses.replace(status, phase=views.ENDED, reason=reason)
            self.directory.write_status(ended)
            self.directory.write_outcome(None)  # there is no controller that would
        why = "it had not begun" if waits else "its controller does not answer here"
        return f"{owner.title} is cancelled; {why}"

    def has_logs(self, names: Sequence[str]) -> bool:
        return any(self.directory.log(name).exists() for name in names)

    def show_logs(self, names: Sequence[str], printer: LinePrinter, *, follow: bool) -> None:
        viewer = LogViewer({name: self.directory.log(name) for name in names}, printer)
        viewer.start()
        try:
            if follow:
                self._await_end()
        finally:
            viewer.stop()

    def _await_end(self) -> None:
        if views.look(self).has_ended:
            return
        for _ in views.watch(self, views.connect(self)):
            pass
