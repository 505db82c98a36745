"""Workers under agents: what the launchers share whose nodes are processes."""

from __future__ import annotations

import contextlib
import pickle
import signal
import threading
from typing import TYPE_CHECKING

import psutil

from launchpad_lite.runtime import children, link
from launchpad_lite.runtime.backend import Backend
from launchpad_lite.runtime.events import Event, Failure, HostLost, WorkerEnded, WorkerUp

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterable

    from launchpad_lite.planning import WorkerSpec
    from launchpad_lite.runtime.line import Line


class AgentBackend(Backend):
    """The workers of one agent, on this host or another."""

    def __init__(
        self,
        line: Line,
        boot: Callable[[WorkerSpec, int], bytes],
        log: Callable[[str], pathlib.Path],
        leavings: link.Leavings,
        *,
        loss: str = "the agent that held it was killed",
        replaceable: bool = False,
    ) -> None:
        """Remember how to come by what is needed.

        Args:
          line: to the agent.
          boot: returns the pickled `WorkerBoot` of a worker's incarnation.
          log: returns the path of a worker's log file.
          leavings: what the agent removes should this process be killed.
          loss: what has happened if the line to the agent breaks.
          replaceable: whether another agent can take over its workers.
        """
        self._line = line
        self._boot = boot
        self._log = log
        self._leavings = leavings
        self._lock = threading.Lock()
        self._alive: set[str] = set()
        self._serving: set[str] = set()
        self._loss = loss
        self._replaceable = replaceable
        self._lost = ""  # how the agent was
        self._left = False
        self._pids: dict[str, int] = {}
        self._signalled: set[tuple[str, int]] = set()

    @property
    def lost(self) -> str:
        """How the agent was lost; empty while it was not."""
        return self._lost

    @property
    def alive(self) -> frozenset[str]:
        """The workers that it has."""
        with self._lock:
            return frozenset(self._alive)

    def start(self, workers: Iterable[WorkerSpec], post: Callable[[Event], None]) -> None:
        """See the base class."""
        self._post = post
        self._line.open(self._hear, self._on_loss)
        self._line.say(self._leavings)
        self.bring_up((spec, 0) for spec in workers)

    def restart(self, worker: WorkerSpec, incarnation: int) -> None:
        """See the base class."""
        self.bring_up([(worker, incarnation)])

    def bring_up(self, workers: Iterable[tuple[WorkerSpec, int]]) -> None:
        """Start workers, each with how often it was brought up before."""
        given = list(workers)
        with self._lock:
            self._alive |= {spec.name for spec, _ in given}
            self._serving |= {spec.name for spec, _ in given if spec.services}
        for spec, incarnation in given:
            self._line.say(
                link.StartWorker(
                    name=spec.name,
                    log=str(self._log(spec.name)),
                    env=dict(spec.env),
                    cold=spec.cold,
                    boot=self._boot(spec, incarnation),
                    interpreter=spec.interpreter,
                )
            )
        if self._lost:  # the listener may have gone before
            self._lose()

    def _on_loss(self) -> None:
        self.lose(self._loss)

    def lose(self, reason: str) -> None:
        """Give up the agent, and with it the workers: nothing will be heard of them any more."""
        self._lost = self._lost or reason
        self._lose()
        self._line.close()  # should it be there after all, it ends its workers

    def _lose(self) -> None:
        with self._lock:
            lost, self._alive = self._alive, set()
            if lost:
                self._post(HostLost(tuple(lost), self._lost, self._replaceable))

    def _hear(self, message: link.FromAgent) -> None:
        with self._lock:  # so that nothing of a worker is posted after its loss
            if not self._lost:
                self._take(message)
            left = self._left and not self._alive
        if left:
            self.close()

    def leave(self) -> None:
        """Hang up on the agent when the last of its workers has ended: it gets no more."""
        with self._lock:
            self._left = True
            left = not self._alive
        if left:
            self.close()

    def _take(self, message: link.FromAgent) -> None:
        if isinstance(message, link.WorkerStarted):
            self._note_process(message)
            if message.name not in self._serving:
                self._post(WorkerUp(message.name))
            return
        self._pids.pop(message.name, None)
        self._alive.discard(message.name)
        if isinstance(message, link.StartFailed):
            self._post(WorkerEnded(message.name, Failure(message.reason)))
            return
        forced = (message.name, -message.status) in self._signalled and not message.report
        self._post(WorkerEnded(message.name, _failure(message), forced=forced))

    def _note_process(self, message: link.WorkerStarted) -> None:
        self._pids[message.name] = message.pid

    def notify(self, seconds: float, reason: str) -> None:
        """Nothing: the controller's stream tells the workers."""

    def terminate(self, names: Iterable[str], seconds: float) -> None:
        """See the base class."""
        self._signal(names, signal.SIGTERM, seconds)

    def kill(self, names: Iterable[str]) -> None:
        """See the base class."""
        self._signal(names, signal.SIGKILL)

    def _signal(self, names: Iterable[str], number: int, seconds: float = 0.0) -> None:
        for name in names:
            self._signalled.add((name, number))
            self._line.say(link.SignalWorker(name, number, seconds))

    def stacks(self, names: Iterable[str]) -> str:
        """See the base class."""
        return "\n".join(f"{name}: process {self._pids.get(name)}" for name in names)

    def leftovers(self, timeout: float) -> list[str]:
        """See the base class; an agent of another host has ended what it left."""
        del timeout
        return []

    def close(self) -> None:
        """See the base class."""
        self._line.say(link.Leavings([]))
        self._line.close()


class LocalAgentBackend(AgentBackend):
    """The workers of one agent of this host, whose processes can be looked at."""

    _processes: list[psutil.Process]

    def start(self, workers: Iterable[WorkerSpec], post: Callable[[Event], None]) -> None:
        """See the base class."""
        self._processes = []
        super().start(workers, post)

    def _note_process(self, message: link.WorkerStarted) -> None:
        super()._note_process(message)
        with contextlib.suppress(psutil.NoSuchProcess):
            self._processes.append(psutil.Process(message.pid))

    def _on_loss(self) -> None:
        if self._alive:
            for pid in self._pids.values():  # they end by themselves, unless they hang
                children.kill_tree(pid)
        super()._on_loss()

    def leftovers(self, timeout: float) -> list[str]:
        """See the base class."""
        _, alive = psutil.wait_procs(self._processes, timeout)
        return [f"process {process.pid}" for process in alive if _is_running(process)]


def _is_running(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _failure(message: link.WorkerExited) -> Failure | None:
    if message.report:
        failure: Failure | None = pickle.loads(message.report)
        return failure
    if message.status < 0:
        return Failure(f"its process was killed by {_signal_name(-message.status)}")
    return Failure(f"its process exited with status {message.status}")
