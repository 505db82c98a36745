"""Runs whose directories this machine has: its own, and those of a shared file system."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from launchpad_lite.cli import views
from launchpad_lite.cli.seen import SeenRun
from launchpad_lite.errors import ControllerLost
from launchpad_lite.owner import Owner
from launchpad_lite.runtime.logs import LogViewer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launchpad_lite.cli.views import View
    from launchpad_lite.runtime.logs import LinePrinter
    from launchpad_lite.runtime.rundir import Rendezvous, RunDirectory
    from launchpad_lite.runtime.status import RunStatus

_ASK_S = 5.0  # an answer is remembered as long
_SILENT_S = 60.0


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

    def rendezvous(self) -> Rendezvous | None:
        rendezvous = self.directory.rendezvous()
        return rendezvous if rendezvous is not None and rendezvous.owner.is_alive() else None

    def status(self) -> RunStatus | None:
        return self.directory.status()

    def cancel(self, *, silent: bool, immediately: bool) -> str:
        if views.tells(self):
            return self._end(immediately=immediately)
        waits = self.directory.rendezvous() is None  # in a queue
        owner = self.holder()
        if not (waits or silent) or owner is None or not owner.end():
            return ""
        status = self.status()
        if waits and status is not None:
            reason = "lp-launch stop, while it waited"
            ended = dataclasses.replace(status, phase=views.ENDED, reason=reason)
            self.directory.write_status(ended)
        why = "it had not begun" if waits else "its controller does not answer here"
        return f"{owner.title} is cancelled; {why}"

    def _end(self, *, immediately: bool) -> str:
        """Have what holds it end it in order, and wait for that."""
        owner = self.holder()
        if owner is not None and not owner.end(immediately=immediately):
            message = f"{self.run_id}: {owner.title} cannot be told to end"
            raise ControllerLost(message)
        last = self._await_told_end(Owner.ask)
        return (last.status.error if last.status is not None else "") or last.phase

    def refresh(self) -> bool:
        owner = self.holder()
        if owner is not None and owner.tells:
            return owner.update() is not False
        return self.is_alive()

    def has_logs(self, names: Sequence[str]) -> bool:
        return any(self.directory.log(name).exists() for name in names)

    def show_logs(self, names: Sequence[str], printer: LinePrinter, *, follow: bool) -> None:
        if views.tells(self):
            self.refresh()
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
        if views.tells(self):
            self._await_told_end(Owner.update)
            return
        for _ in views.watch(self, views.connect(self)):
            pass

    def _await_told_end(self, ask: Callable[[Owner], bool | None]) -> View:
        """Wait for the end of a run of which only asking tells.

        Args:
          ask: what is asked meanwhile.

        Raises:
          ControllerLost: what holds it does not answer any more, or has not told its end.
        """
        heard = time.monotonic()
        while (owner := self.holder()) is not None:
            there = ask(owner)
            if there is False:
                there = owner.update()
            if there is False:
                break
            if there is not None:
                heard = time.monotonic()
            elif time.monotonic() - heard > _SILENT_S:
                message = (
                    f"{self.run_id}: {owner.title} has not answered for {_SILENT_S:g} s; whether "
                    f"the run has ended is not known. Look again: lp-launch status {self.run_id}"
                )
                raise ControllerLost(message)
            time.sleep(_ASK_S)
        view = views.look(self)
        if view.phase == views.LOST:
            raise views.lost(self)
        return view
