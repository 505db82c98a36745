"""What a launcher gives the controller: hands to start, tell and end workers on its hosts."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any

from launchpad_lite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent import futures

    from launchpad_lite.planning import WorkerSpec
    from launchpad_lite.runtime.events import Event


class Backend(abc.ABC):
    """The workers of one run, as its controller handles them; made by a launcher.

    Every method returns soon; what comes of it is posted as an event.
    """

    @abc.abstractmethod
    def start(self, workers: Iterable[WorkerSpec], post: Callable[[Event], None]) -> None:
        """Bring up the workers, and post what happens to them.

        Raises:
          LaunchpadError: they cannot be brought up; none is left running.
        """

    @abc.abstractmethod
    def restart(self, worker: WorkerSpec, incarnation: int) -> None:
        """Bring up a worker again that has ended.

        Args:
          worker: the worker.
          incarnation: how often it was brought up before.
        """

    @abc.abstractmethod
    def notify(self, seconds: float, reason: str) -> None:
        """Tell every worker that the run stops, and how much time there is."""

    @abc.abstractmethod
    def terminate(self, names: Iterable[str], seconds: float) -> None:
        """Tell workers to end now; stop handlers and `save` have `seconds` left."""

    @abc.abstractmethod
    def kill(self, names: Iterable[str]) -> None:
        """End workers by force."""

    @abc.abstractmethod
    def stacks(self, names: Iterable[str]) -> str:
        """Return where workers hang, for people; empty when that cannot be told."""

    @abc.abstractmethod
    def leftovers(self, timeout: float) -> list[str]:
        """Return what is left of the workers, for people, after waiting for it to go."""

    def instance(self, name: str) -> futures.Future[Any]:
        """Return the object that a node has made or will make, where nodes are in this process.

        Raises:
          UsageError: they are not.
        """
        message = f"{name} is in another process: only its methods can be called, with a client."
        raise UsageError(message)

    @abc.abstractmethod
    def close(self) -> None:
        """Give everything back after the last worker has ended, or was given up."""
