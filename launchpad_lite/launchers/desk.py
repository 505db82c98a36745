"""Answers other terminals for a controller that only the launching process has a way to."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from typing import TYPE_CHECKING

from launchpad_lite.courier import socket_dir
from launchpad_lite.errors import Unavailable, describe_os_error
from launchpad_lite.runtime import control
from launchpad_lite.runtime.watchers import Watchers

if TYPE_CHECKING:
    from launchpad_lite.runtime.held import HeldRun
    from launchpad_lite.runtime.measuring import RunMetrics
    from launchpad_lite.runtime.rundir import RunDirectory
    from launchpad_lite.runtime.scope import RunScope
    from launchpad_lite.runtime.status import RunStatus
    from launchpad_lite.runtime.subscription import Subscription

_log = logging.getLogger(__name__)

_STOP_S = 1.0


class Desk:
    """Serves what a `RunViewer` asks, on a socket that the run's directory tells of."""

    def __init__(self, run: HeldRun, scope: RunScope, directory: RunDirectory) -> None:
        """Prepare; `open` begins.

        Args:
          run: the run, as this process follows it.
          scope: of the launching code.
          directory: the run's on this machine.
        """
        self._run = run
        self._scope = scope
        self._directory = directory
        self._watchers = Watchers()
        self._opened = contextlib.ExitStack()

    def open(self) -> None:
        """Begin to serve; a run can do without that where it cannot be."""
        methods = (
            self.status,
            self.metrics,
            self.request_stop,
            self.services,
            self.watch,
            self.attach,
            self.follow,
        )
        try:
            with contextlib.ExitStack() as opened:
                sockets = socket_dir.make()
                opened.callback(socket_dir.remove, sockets)
                here = dataclasses.replace(self._scope, schemes=("unix",), socket_dir=sockets)
                server = control.serve_methods(methods, here)
                opened.callback(server.Stop, grace=_STOP_S)
                self._directory.write_rendezvous(server.endpoints[0], self._scope.credentials)
                self._opened = opened.pop_all()
        except OSError as error:
            _log.warning(
                "%s: other terminals cannot reach it: %s",
                self._run.run_id,
                describe_os_error(error),
            )

    def tell(self, status: RunStatus) -> None:
        """Pass on where the run is."""
        self._watchers.tell(status)

    def close(self) -> None:
        """Take it that the run has ended."""
        self._watchers.end()
        with self._opened:
            self._directory.remove_rendezvous()

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

    def attach(self, worker: str) -> None:
        """Refuse to tell where nodes are.

        Raises:
          Unavailable: always.
        """
        message = (
            f"{worker} has no way to the nodes of {self._run.run_id}, which are in a cluster that "
            "this machine is outside of. Call them in a node of the program, in the cluster with "
            "lp.connect, or with run.client() in the process that has launched it."
        )
        raise Unavailable(message, maybe_executed=False)

    def follow(self, worker: str, name: str) -> None:
        """Refuse as `attach` does.

        Raises:
          Unavailable: always.
        """
        del name
        self.attach(worker)
