"""Where a run and its nodes are, as it is told to workers and to people."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Notice:
    """Tells a worker that the run stops, or that its host will be gone.

    Attributes:
      seconds: what is left to finish.
      reason: why, for people.
      ends: whether the worker is to end; else it goes on as long as it can.
    """

    seconds: float
    reason: str
    ends: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class NodeStatus:
    """Where one node is.

    Attributes:
      name: `label/index`.
      title: what it runs.
      state: `starting`, `running`, `done` or `failed`.
      endpoints: where its service listens.
      restarts: how often it was started again, after a failure or on another machine.
      note: what holds it up, in its own words; empty if nothing does.
    """

    name: str
    title: str
    state: str
    endpoints: tuple[str, ...]
    restarts: int = 0
    note: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class RunStatus:
    """Where a run is.

    Attributes:
      run_id: the run.
      program: the program's name.
      launcher: the launcher's name.
      phase: `running`, `stopping`, `terminating`, `killing` or `ended`.
      reason: why it stops; empty while it does not.
      started: when it was launched, in seconds since 1970.
      nodes: each node.
      error: why it failed; empty while it has not.
    """

    run_id: str
    program: str
    launcher: str
    phase: str
    reason: str
    started: float
    nodes: tuple[NodeStatus, ...]
    error: str = ""
