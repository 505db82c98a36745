"""Runs of a Ray cluster that this process has joined, whatever machine has their directories."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from launchpad_lite.cli import views
from launchpad_lite.cli.seen import SeenRun
from launchpad_lite.errors import Stopped, Unavailable
from launchpad_lite.runtime import log_reader
from launchpad_lite.runtime.control import RunViewer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launchpad_lite.launchers.ray.finding import FoundRun
    from launchpad_lite.runtime.logs import LinePrinter
    from launchpad_lite.runtime.status import RunStatus

_ACTOR = "an actor of Ray"


class ClusterRun(SeenRun):
    """A run, seen through the actor that holds it together.

    Implements `Holder`, too.

    Attributes:
      title: what holds it together.
    """

    title = _ACTOR

    def __init__(self, found: FoundRun) -> None:
        """Take a run that was found."""
        self._found = found
        self._place = ""

    @property
    def run_id(self) -> str:
        return self._found.run_id

    @property
    def place(self) -> str:
        with contextlib.suppress(Stopped, Unavailable):
            self._place = self._place or self._found.directory()
        return self._place or "the run directory, on the machine that has launched it"

    @property
    def job(self) -> str:
        return _ACTOR

    def holder(self) -> ClusterRun:
        return self

    def is_alive(self) -> bool:
        return self._found.is_alive()

    def viewer(self) -> RunViewer | None:
        with contextlib.suppress(Stopped, Unavailable):
            rendezvous = self._found.rendezvous()
            return RunViewer(rendezvous.endpoint, rendezvous.credentials)
        return None

    def status(self) -> RunStatus | None:
        with contextlib.suppress(Stopped, Unavailable):
            return self._found.status()
        return None

    def cancel(self, *, silent: bool, immediately: bool) -> str:
        waits = False
        try:
            self._found.status()
        except Stopped:
            waits = True
        except Unavailable:
            silent = True
        if not (waits or silent):
            return ""
        try:
            self._found.stop("lp-launch stop", immediately=immediately)
        except Unavailable:
            return ""
        why = "it had not begun" if waits else "its controller does not answer here"
        return f"{_ACTOR} was told to stop it; {why}"

    def has_logs(self, names: Sequence[str]) -> bool:
        return True

    def show_logs(self, names: Sequence[str], printer: LinePrinter, *, follow: bool) -> None:
        show = self._follow if follow else self._show
        try:
            show(names, printer)
        except (Stopped, Unavailable):
            if not (follow and self._found.has_left()):
                raise views.lost(self) from None
            printer.finish()
            text = f"{self.run_id} has ended; what its nodes printed last may be missing here"
            sys.stderr.write(f"lp-launch: {text}. It is in {self.place}\n")
        else:
            printer.finish()

    def _show(self, names: Sequence[str], printer: LinePrinter) -> None:
        """Show what there is now; nodes go on to print meanwhile."""
        seen = dict.fromkeys(names, 0)
        while names:
            news = self._take(seen, names, printer, patiently=False)
            most = log_reader.share(len(news))
            names = [name for name, data in news.items() if len(data) >= most]

    def _follow(self, names: Sequence[str], printer: LinePrinter) -> None:
        seen = dict.fromkeys(names, 0)
        ended = False
        while not ended:
            ended = self._found.is_over()
            while self._take(seen, names, printer, patiently=not ended):
                pass

    def _take(
        self, seen: dict[str, int], names: Sequence[str], printer: LinePrinter, *, patiently: bool
    ) -> dict[str, bytes]:
        news = self._found.logs(seen, names, patiently=patiently)
        for name, data in news.items():
            printer.take(name, data)
            seen[name] += len(data)
        return news
