"""What holds a run together, as the launching process sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection
    from concurrent import futures

    from launchpad_lite.errors import LaunchpadError
    from launchpad_lite.planning import LaunchPlan
    from launchpad_lite.runtime.measuring import RunMetrics
    from launchpad_lite.runtime.status import RunStatus


class HeldRun(Protocol):
    """The run's controller, or what follows one on another host. See `Controller`.

    Attributes:
      run_id: the run.
      plan: its plan.
      ended: set at its end.
      error: what it failed of.
      detached: the run goes on, and this process has let go of it; `ended` is set nevertheless.
      begun: there has been a controller; not so as long as a run only waits in a queue.
    """

    run_id: str
    plan: LaunchPlan
    ended: threading.Event
    error: LaunchpadError | None
    detached: bool
    begun: bool

    def request_stop(self, reason: str, *, immediately: bool = False) -> None:
        """Ask for the end of the run; never waits, and may be called from a signal handler."""
        ...

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end of the run; return whether it has ended."""
        ...

    def join_workers(
        self, names: Collection[str], timeout: float | None = None, *, first: bool = False
    ) -> bool:
        """Wait for the end of some workers, or of the run; return whether it has come."""
        ...

    def status(self) -> RunStatus:
        """Return where the run is."""
        ...

    def metrics(self) -> RunMetrics:
        """Ask all nodes what they have counted of their calls."""
        ...

    def leftovers(self, timeout: float) -> list[str]:
        """Return what is left of the workers; see `Backend.leftovers`."""
        ...

    def instance(self, label: str, index: int) -> futures.Future[Any]:
        """Return the object that a node makes; see `Backend.instance`."""
        ...
