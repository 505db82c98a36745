"""A run that another process holds together, in whatever way it is seen."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launchpad_lite.launchers.ray.jobs.viewer import JobViewer
    from launchpad_lite.runtime.control import RunViewer
    from launchpad_lite.runtime.logs import LinePrinter
    from launchpad_lite.runtime.status import RunStatus


class Holder(Protocol):
    """What holds a run together."""

    @property
    def title(self) -> str:
        """What it is, for people."""
        ...

    def is_alive(self) -> bool:
        """Whether it is still there."""
        ...


class SeenRun(abc.ABC):
    """The run."""

    @property
    @abc.abstractmethod
    def run_id(self) -> str:
        """Its name."""

    @property
    @abc.abstractmethod
    def place(self) -> str:
        """Where its directory is, for people."""

    @property
    @abc.abstractmethod
    def job(self) -> str:
        """What holds it together if that is no process of its own, for people; empty if it is."""

    @abc.abstractmethod
    def holder(self) -> Holder | None:
        """Return what holds it together; None once it has ended in order."""

    @abc.abstractmethod
    def viewer(self) -> RunViewer | JobViewer | None:
        """Return a line to what tells where it is; None if there is none."""

    @abc.abstractmethod
    def status(self) -> RunStatus | None:
        """Return where it is, as far as is known without asking there; None if it is not."""

    @abc.abstractmethod
    def cancel(self, *, silent: bool, immediately: bool) -> str:
        """End it in another way if it has no controller here that could.

        Args:
          silent: whether it has one, which does not answer.
          immediately: whether it gets no notice and no grace.

        Returns:
          What was done; empty if nothing was.

        Raises:
          ControllerLost: that which has to end it does not hear.
        """

    @abc.abstractmethod
    def has_logs(self, names: Sequence[str]) -> bool:
        """Return whether nodes may have logs."""

    @abc.abstractmethod
    def show_logs(self, names: Sequence[str], printer: LinePrinter, *, follow: bool) -> None:
        """Show nodes' logs.

        Args:
          names: the nodes.
          printer: what they are given to.
          follow: go on until the run ends.

        Raises:
          ControllerLost: the run's process is gone.
        """

    def is_alive(self) -> bool:
        """Return whether what holds it together is still there."""
        holder = self.holder()
        return holder is not None and holder.is_alive()

    def fate(self) -> str:
        """Return what has become of what held it together, for people; empty if unknown."""
        return ""

    def refresh(self) -> None:  # noqa: B027 - for most runs there is nothing to do
        """Bring here what is elsewhere, and takes long to be had: of some runs, nodes and logs."""
