"""The launching process's line to a controller in another process, for the clients it makes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from launchpad_lite.errors import CallError, Stopped, Unavailable
from launchpad_lite.runtime.control import RemoteControl, RunViewer
from launchpad_lite.runtime.directory import Directory

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.endpoint import EndpointRecord
    from launchpad_lite.runtime.rundir import Rendezvous
    from launchpad_lite.runtime.status import Notice


def _ignore_notice(notice: Notice) -> None:
    """The launching process hears of the end of the run by its status."""


class Reach:
    """Implements `scope.Control`; connects when it is first needed.

    Attributes:
      services: where the services are that were followed.
    """

    def __init__(
        self, run_id: str, request_stop: Callable[[str], object], who: str = "(launcher)"
    ) -> None:
        """Begin without a controller.

        Args:
          run_id: the run.
          request_stop: asks for its end, also before it can be reached.
          who: the name of this process for the controller, which has one line to each.
        """
        self._request_stop = request_stop
        self.services = Directory()
        self._run_id = run_id
        self._who = who
        self._changed = threading.Condition()
        self._closed = False
        self._refusal: str | None = None
        self._rendezvous: Rendezvous | None = None
        self._remote: RemoteControl | None = None

    def found(self, rendezvous: Rendezvous) -> None:
        """Note how to reach the controller."""
        with self._changed:
            self._rendezvous = rendezvous
            self._changed.notify_all()

    def lost(self) -> None:
        """Note that there is no controller for the time being."""
        with self._changed:
            self._rendezvous = self._remote = None

    def close(self) -> None:
        """Note that there will be none any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def refuse(self, why: str) -> None:
        """Note that there is no way to it from here."""
        self._refusal = why

    def rendezvous(self) -> Rendezvous:
        """Wait for the controller; return how to reach it.

        Raises:
          Stopped: the run has ended.
          Unavailable: there is no way to it from here.
        """
        if self._refusal is not None and not self._closed:
            raise Unavailable(self._refusal, maybe_executed=False)
        with self._changed:
            self._changed.wait_for(lambda: self._rendezvous or self._closed)
            if self._rendezvous is None or self._closed:
                message = f"{self._run_id} has ended"
                raise Stopped(message)
            return self._rendezvous

    def remote(self) -> RemoteControl:
        """Return the line to the controller.

        Raises:
          Unavailable: there is no way to it from here.
          Stopped: the run has ended.
        """
        rendezvous = self.rendezvous()
        if self._remote is None:
            _check_reachable(rendezvous)
        with self._changed:
            if self._remote is None:
                self._remote = RemoteControl(
                    rendezvous.endpoint,
                    rendezvous.credentials,
                    self._run_id,
                    self._who,
                    self.services,
                    waits=False,
                )
                self._remote.attach(_ignore_notice)
            return self._remote

    def follow(self, name: str) -> None:
        """Make sure that the directory hears of a service."""
        self.remote().follow(name)

    def publish(self, record: EndpointRecord) -> None:
        """See `scope.Control`."""
        self.remote().publish(record)

    def retire(self, name: str, reason: str) -> None:
        """See `scope.Control`."""
        self.remote().retire(name, reason)

    def request_stop(self, reason: str) -> None:
        """Ask for the end of the run."""
        self._request_stop(reason)

    def run_ended(self, worker: str) -> None:
        """See `scope.Control`: the launching process is no worker."""

    def note(self, worker: str, incarnation: int, text: str) -> None:
        """See `scope.Control`: the launching process is no worker."""


def _check_reachable(controller: Rendezvous) -> None:
    """Find out whether this machine has a way to a run's controller.

    Raises:
      Unavailable: it has none.
    """
    try:
        RunViewer(controller.endpoint, controller.credentials).status()
    except CallError as error:
        message = (
            f"this machine cannot reach the run's machines, and so cannot call its nodes: {error}. "
            "The run itself goes on. Make the calls in a node of the program, or launch it where "
            "the network allows: on a machine of the cluster, say."
        )
        raise Unavailable(message, maybe_executed=False) from error
