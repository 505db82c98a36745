"""What happens to a run's workers, and what is to be done: what its supervisor hears and says."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """Why a worker failed.

    Attributes:
      summary: one line.
      trace: the traceback as text; empty when there is none.
      node: the node inside the worker's own that failed; empty for the worker's own.
    """

    summary: str
    trace: str = ""
    node: str = ""


# --- events ---


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerUp:
    """A worker's node has been made and serves, or runs."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class RunEnded:
    """A worker has done what it runs, and only serves from now on."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerEnded:
    """A worker is gone.

    Attributes:
      name: which.
      failure: None when it ended well.
      forced: it was ended by a signal, or by an exception, that this side sent.
    """

    name: str
    failure: Failure | None = None
    forced: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class StopRequested:
    """Somebody wants the run to stop.

    Attributes:
      reason: who, for people.
      immediately: without notice and grace.
      taken: because what the run is on is taken from it.
    """

    reason: str
    immediately: bool = False
    taken: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class HostLost:
    """An agent is gone, and with it its workers.

    Attributes:
      names: the workers.
      reason: how it was lost, for people.
      replaceable: they can be brought up elsewhere.
    """

    names: tuple[str, ...]
    reason: str
    replaceable: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class HostLeaving:
    """A host will be gone soon.

    Attributes:
      names: the workers there, or some of them.
      seconds: what is left to them; infinite if nobody knows.
      reason: for people.
      replaceable: they can be brought up elsewhere; all of them, or none.
    """

    names: tuple[str, ...]
    seconds: float
    reason: str
    replaceable: bool = False


Event = WorkerUp | RunEnded | WorkerEnded | StopRequested | HostLost | HostLeaving

# --- commands ---


@dataclasses.dataclass(frozen=True, slots=True)
class Notify:
    """Tell every worker that the run stops."""

    seconds: float
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class NotifyLeaving:
    """Tell workers that their host leaves.

    Attributes:
      names: which.
      seconds: what is left to them.
      reason: for people.
      ends: whether they are to end, and are started again elsewhere; else they go on as long as
        their host is there.
    """

    names: tuple[str, ...]
    seconds: float
    reason: str
    ends: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Retire:
    """Tell everyone that a worker's services will not come back."""

    name: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Restart:
    """Start a worker again that has failed, or has left a host.

    Attributes:
      name: which.
      incarnation: how often it was started before.
      reason: how it failed, and how often its unit may still be started again; for people. Empty
        where it has not failed.
    """

    name: str
    incarnation: int
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Terminate:
    """Tell workers to end now.

    Attributes:
      names: which.
      seconds: what is left to those that save or clean up.
    """

    names: tuple[str, ...]
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Kill:
    """End workers by force."""

    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Hint:
    """Say something in the log."""

    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Finish:
    """The run has ended.

    Attributes:
      stuck: workers that could not be ended.
    """

    stuck: tuple[str, ...]


Command = Notify | NotifyLeaving | Retire | Restart | Terminate | Kill | Hint | Finish
