"""Answers other terminals for a controller that only the launching process has a way to."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from launchpad_lite.courier import socket_dir
from launchpad_lite.errors import Unavailable
from launchpad_lite.runtime import control
from launchpad_lite.runtime.watchers import Watchers

if TYPE_CHECKING:
    from launchpad_lite.runtime.held import HeldRun
    from launchpad_lite.runtime.measuring import RunMetrics
    from launchpad_lite.runtime.rundir import RunDirectory
    from launchpad_lite.runtime.scope import RunScope
    from launchpad_lite.runtime.status import RunStatus
    from launchpad_lite.runtime.subscription import Subscription

_STOP_S = 1.0


class Desk:
    """Serves what a `RunViewer` asks, on a socket that the run's directory tells of."""

    def __init__(self, run: HeldRun, scope: RunScope, directory: RunDirectory) -> None:
        """Open it.

        Args:
          run: the run, as this process follows it.
          scope: of the launching code.
          directory: the run's on this machine.
        """
        self._run = run
        self._directory = directory
        self._watchers = Watchers()
        self._sockets = socket_dir.make()
        here = dataclasses.replace(scope, schemes=("unix",), socket_dir=self._sockets)
        methods = (
            self.status,
            self.metrics,
            self.request_stop,
            self.services,
            self.watch,
            self.follow,
        )
        self._server = control.serve_methods(methods, here)
        directory.write_rendezvous(self._server.endpoints[0], scope.credentials)

    def tell(self, status: RunStatus) -> None:
        """Pass on where the run is."""
        self._watchers.tell(status)

    def close(self) -> None:
        """Take it that the run has ended."""
        self._watchers.end()
        self._server.Stop(grace=_STOP_S)
        self._directory.remove_rendezvous()
        socket_dir.remove(self._sockets)

    # --- what other terminals ask; see `RunViewer` ---

    def status(self) -> RunStatus:
        """Return where the run is."""
        return self._run.status()

    def metrics(self) -> RunMetrics:
        """Return what its nodes have counted of their calls."""
        return self._run.metrics()

    def request_stop(self, reason: str, *, immediately: bool = False) -> None:
        """Ask for its end."""
        self._run.request_stop(reason, immediately=immediately)

    def services(self) -> list[str]:
        """Return the names under which something can be called in it."""
        return sorted(self._run.plan.services)

    def watch(self) -> Subscription:
        """Return the stream of its status."""
        return self._watchers.watch(self._run.status)

    def follow(self, worker: str, name: str) -> None:
        """Refuse to tell where a node is.

        Raises:
          Unavailable: always.
        """
        message = (
            f"{worker} has no way to {name} of {self._run.run_id}, which is in a cluster that this "
            "machine is outside of. Call it in a node of the program, in the cluster with "
            "lp.connect, or with run.client() in the process that has launched it."
        )
        raise Unavailable(message, maybe_executed=False)
