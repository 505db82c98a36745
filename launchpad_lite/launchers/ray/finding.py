"""Finds runs by their controllers, which are actors with names."""

from __future__ import annotations

import contextlib
import pickle
import sys
from typing import TYPE_CHECKING, Any

from launchpad_lite.errors import Stopped, Unavailable
from launchpad_lite.launchers.ray.messages import CONTROLLER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launchpad_lite.runtime.rundir import Rendezvous
    from launchpad_lite.runtime.status import RunStatus

_ANSWER_S = 10.0
_PATIENCE_S = 20.0
_TOLD_TO_END = ("ray.kill", "exit_actor")
"""What Ray says of the death of an actor that was no accident."""


class FoundRun:
    """A run of the cluster that this process has joined.

    What asks its actor raises Unavailable if that is gone or does not answer, and Stopped if the
    run has not got so far.

    Attributes:
      run_id: its name.
    """

    def __init__(self, ray: Any, run_id: str, namespace: str) -> None:
        """Name its actor, and the namespace of Ray that this is in."""
        self.run_id = run_id
        self._ray = ray
        self._namespace = namespace
        self._known: Any = None

    def is_alive(self) -> bool:
        """Whether its actor is there."""
        try:
            self._look_up()
        except (self._ray.exceptions.RayError, ValueError):
            return False
        return True

    def rendezvous(self) -> Rendezvous:
        """Return how to reach its controller."""
        rendezvous: Rendezvous = pickle.loads(self._ask("rendezvous"))
        return rendezvous

    def status(self) -> RunStatus:
        """Return where it is."""
        status: RunStatus = pickle.loads(self._ask("status"))
        return status

    def directory(self) -> str:
        """Return where its run directory is, for people."""
        return str(self._ask("directory"))

    def is_over(self) -> bool:
        """Whether it has ended, and no more comes in its nodes' logs."""
        return bool(self._ask("is_over"))

    def has_left(self) -> bool:
        """Whether its actor is gone as it goes when a run has ended; it has answered before."""
        if self._known is None:
            return False
        try:
            self._ray.get(self._known.is_over.remote(), timeout=_ANSWER_S)
        except self._ray.exceptions.RayError as error:
            died = isinstance(error, self._ray.exceptions.ActorDiedError)
            return died and any(word in str(error) for word in _TOLD_TO_END)
        return False

    def stop(self, reason: str, *, immediately: bool) -> None:
        """Ask for its end, also before it has begun."""
        self._ask("stop", reason, immediately)

    def logs(
        self, seen: Mapping[str, int], names: Sequence[str], *, patiently: bool
    ) -> dict[str, bytes]:
        """Return what is new in nodes' logs, a part of it if it is much.

        Args:
          seen: how many bytes of each node's log are known already, by the nodes' names.
          names: the nodes.
          patiently: wait some time for something new.
        """
        patience_s = _PATIENCE_S if patiently else 0.0
        arguments = dict(seen), list(names), patience_s
        new: dict[str, bytes] = self._ask("logs", *arguments, within_s=patience_s + _ANSWER_S)
        return new

    def _look_up(self) -> Any:
        return self._ray.get_actor(f"{self.run_id}:{CONTROLLER}", namespace=self._namespace)

    def _ask(self, method: str, *arguments: Any, within_s: float = _ANSWER_S) -> Any:
        try:
            self._known = self._known or self._look_up()  # Ray forgets the name of one that is gone
            answer = getattr(self._known, method).remote(*arguments)
            return self._ray.get(answer, timeout=within_s)
        except Stopped as error:  # Ray makes it an error of its own, too
            raise Stopped(f"{self.run_id}: it has not begun, or has ended") from error
        except (self._ray.exceptions.RayError, ValueError) as error:
            message = f"the actor that holds {self.run_id} does not answer: {error}"
            raise Unavailable(message, maybe_executed=True) from error


def runs() -> list[FoundRun]:
    """Return the runs of the cluster that this process has joined; none if it has joined none."""
    ray: Any = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return []
    named = ray.util.list_named_actors(all_namespaces=True)
    found = [(*each["name"].rpartition(":"), each["namespace"]) for each in named]
    return [
        FoundRun(ray, run_id, namespace)
        for run_id, _, role, namespace in found
        if role == CONTROLLER
    ]


def find(word: str) -> dict[str, Rendezvous]:
    """Return how to reach the runs whose names begin with a word, in the cluster joined here."""
    found: dict[str, Rendezvous] = {}
    for run in runs():
        if run.run_id.startswith(word):
            with contextlib.suppress(Stopped, Unavailable):  # it has not begun, or ends just now
                found[run.run_id] = run.rendezvous()
    return found
