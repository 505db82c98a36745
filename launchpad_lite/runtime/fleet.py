"""Workers under several agents, which come up by themselves and call the controller."""

from __future__ import annotations

import dataclasses
import logging
import threading
from typing import TYPE_CHECKING

from launchpad_lite.errors import UsageError, nearest
from launchpad_lite.runtime.agent_backend import AgentBackend
from launchpad_lite.runtime.backend import Backend
from launchpad_lite.runtime.line import CalledLine
from launchpad_lite.runtime.pulse import BEAT_S, MISSES, Pulse
from launchpad_lite.runtime.supervisor import Event, Failure, HostLost, WorkerEnded

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Collection, Iterable, Mapping

    from launchpad_lite.planning import WorkerSpec
    from launchpad_lite.runtime.subscription import Subscription

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where an agent is, as it says itself.

    Attributes:
      host: the host's name, for people.
      address: the address that other hosts reach it by.
      socket_dir: a private directory of the host, for the sockets of its workers.
      gpus: what its workers may use, as `CUDA_VISIBLE_DEVICES` names them.
    """

    host: str
    address: str
    socket_dir: str
    gpus: tuple[str, ...] = ()


class Fleet(Backend):
    """The workers of several agents. What is to be done with one waits until its agent has come.

    Each agent has a name, by which it calls `arrive` once, and then `hear`, and `beat` every
    `BEAT_S` seconds. One that is silent for too long is lost with its host.
    """

    def __init__(
        self,
        agents: Mapping[str, Iterable[WorkerSpec]],
        *,
        boot: Callable[[WorkerSpec, int, Place], bytes],
        log: Callable[[str], pathlib.Path],
        share: Callable[[tuple[WorkerSpec, ...], Place], Iterable[WorkerSpec]],
        bring_up: Callable[[], object],
        take_down: Callable[[Collection[str]], object],
        leavings: Iterable[str] = (),
    ) -> None:
        """Prepare.

        Args:
          agents: which workers each agent has, by its name.
          boot: returns the pickled `WorkerBoot` of a worker's incarnation at a place.
          log: returns the path of a worker's log file.
          share: hands out what the place has to its workers.
          bring_up: begins to bring up the agents; it need not wait for them.
          take_down: is called when all of them were hung up on, with those whose hosts are gone.
          leavings: files and directories that agents remove should this process be killed.
        """
        self._waiting = {name: tuple(workers) for name, workers in agents.items()}
        self._agent_of = {
            worker.name: name for name, workers in self._waiting.items() for worker in workers
        }
        self._boot = boot
        self._log = log
        self._share = share
        self._bring_up = bring_up
        self._take_down = take_down
        self._leavings = tuple(leavings)
        self._lock = threading.RLock()
        self._present: dict[str, AgentBackend] = {}
        self._lines: dict[str, CalledLine] = {}
        self._specs: dict[str, WorkerSpec] = {}
        self._pulse = Pulse()
        self._silent: set[str] = set()
        self._closed = threading.Event()
        self.places: dict[str, Place] = {}

    def start(self, workers: Iterable[WorkerSpec], post: Callable[[Event], None]) -> None:
        """See the base class."""
        del workers  # they are known by their agents
        self._post = post
        threading.Thread(target=self._listen_for_beats, name="lp-pulse", daemon=True).start()
        self._bring_up()

    def _listen_for_beats(self) -> None:
        while not self._closed.wait(BEAT_S):
            for agent in self._pulse.beat():
                self._silent.add(agent)
                host, silence = self.places[agent].host, MISSES * BEAT_S
                reason = (
                    f"{host} is gone: nothing has come from it for {silence:.0f} s; it has lost "
                    "its power or its network"
                )
                self._present[agent].lose(reason)

    # --- what agents call ---

    def arrive(self, agent: str, place: Place) -> Subscription:
        """Take an agent that has come up; return the stream of what it is told.

        Raises:
          UsageError: there is no such agent, or it has come before.
        """
        with self._lock:
            if agent not in self._waiting:
                known = "it has come before" if agent in self._lines else "there is no such agent"
                message = f"agent {agent!r} on {place.host}: {known}{nearest(agent, self._waiting)}"
                raise UsageError(message)
            try:
                specs = tuple(self._share(self._waiting[agent], place))
            except UsageError as error:
                self.give_up([agent], str(error))
                raise
            del self._waiting[agent]
            line = self._lines[agent] = CalledLine()
            self.places[agent] = place
            backend = self._present[agent] = AgentBackend(
                line,
                lambda spec, incarnation: self._boot(spec, incarnation, place),
                self._log,
                (*self._leavings, place.socket_dir),
                loss=f"{place.host} is gone, or the agent there that held it",
            )
            self._specs |= {spec.name: spec for spec in specs}
            backend.start(specs, self._post)
            self._pulse.heard(agent)
        _log.debug("agent %s has come up on %s", agent, place.host)
        return line.told

    def hear(self, agent: str, frame: bytes) -> None:
        """Take what an agent says of its workers: a frame of `link`, without its length."""
        self._lines[agent].hear(frame)

    def beat(self, agent: str) -> None:
        """Take an agent's word that it is there."""
        if agent in self._present:  # one that was refused may beat until it has ended
            self._pulse.heard(agent)

    # --- what the launcher finds out ---

    def awaits(self, agents: Iterable[str]) -> bool:
        """Whether one of some agents has not come yet, and is not given up."""
        with self._lock:
            return any(name in self._waiting for name in agents)

    def give_up(self, agents: Iterable[str], reason: str) -> None:
        """Take it that some agents are gone, or will never come; their workers have failed."""
        with self._lock:
            never = [name for name in agents if name in self._waiting]
            lost = [spec.name for name in never for spec in self._waiting.pop(name)]
            gone = [self._present[name] for name in agents if name in self._present]
        for backend in gone:
            backend.lose(reason)
        if lost:
            self._post(HostLost(tuple(lost), reason))

    # --- what the controller wants ---

    def restart(self, worker: WorkerSpec, incarnation: int) -> None:
        """See the base class."""
        with self._lock:
            backend = self._present.get(self._agent_of[worker.name])
        if backend is None:
            self._post(WorkerEnded(worker.name, Failure("its agent is gone")))
        else:
            backend.restart(self._specs[worker.name], incarnation)

    def notify(self, seconds: float, reason: str) -> None:
        """See the base class: the controller's stream tells the workers."""

    def terminate(self, names: Iterable[str], seconds: float) -> None:
        """See the base class."""
        for backend, some in self._by_agent(names):
            backend.terminate(some, seconds)

    def kill(self, names: Iterable[str]) -> None:
        """See the base class."""
        for backend, some in self._by_agent(names):
            backend.kill(some)

    def _by_agent(self, names: Iterable[str]) -> list[tuple[AgentBackend, list[str]]]:
        """Return the workers by their agents; those whose agents have not come are ended."""
        found: dict[str, list[str]] = {}
        for name in names:
            found.setdefault(self._agent_of[name], []).append(name)
        with self._lock:
            for agent in [each for each in found if each in self._waiting]:
                for spec in self._waiting.pop(agent):
                    self._post(WorkerEnded(spec.name, forced=True))
            return [
                (self._present[agent], some)
                for agent, some in found.items()
                if agent in self._present
            ]

    def stacks(self, names: Iterable[str]) -> str:
        """See the base class."""
        lines: list[str] = []
        for backend, some in self._by_agent(names):
            agent = self._agent_of[some[0]]
            lines.append(f"on {self.places[agent].host}:\n{backend.stacks(some)}")
        return "\n".join(lines)

    def leftovers(self, timeout: float) -> list[str]:
        """See the base class; agents leave nothing, and here nobody could see it."""
        del timeout
        return []

    def close(self) -> None:
        """See the base class."""
        self._closed.set()
        with self._lock:
            self._waiting.clear()
            present = list(self._present.values())
        for backend in present:
            backend.close()
        self._take_down(self._silent)
