"""Workers under several agents, which come up by themselves and call the controller."""

from __future__ import annotations

import dataclasses
import logging
import threading
from typing import TYPE_CHECKING

from launchpad_lite.errors import UsageError, nearest
from launchpad_lite.runtime import link
from launchpad_lite.runtime.agent_backend import AgentBackend
from launchpad_lite.runtime.backend import Backend
from launchpad_lite.runtime.events import Event, HostLeaving, HostLost, WorkerEnded
from launchpad_lite.runtime.line import CalledLine
from launchpad_lite.runtime.pulse import BEAT_S, MISSES, Pulse

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
      machine: which host it is, for the launcher.
    """

    host: str
    address: str
    socket_dir: str
    gpus: tuple[str, ...] = ()
    machine: str = ""


def _sockets(place: Place) -> link.Leavings:
    return link.Leavings([place.socket_dir])


@dataclasses.dataclass(eq=False)
class _Agent:
    """An agent, from when it is wanted until it is gone.

    Attributes:
      name: which.
      workers: all that it is for: they share what its place has.
      first: the name without what tells a successor from whom it follows.
      number: how many it follows.
      starts: the workers that it is to start when it comes, each with its incarnation.
      gone: why it will never come; empty while it may, or has.
      line: to it, once it has come; so are the next two.
      backend: its workers.
      place: where it is.
      leaving: whether what is started again is so elsewhere.
      successor: which was wanted after its loss, or its leave.
    """

    name: str
    workers: tuple[WorkerSpec, ...]
    first: str
    number: int = 0
    starts: dict[str, int] = dataclasses.field(default_factory=dict[str, int])
    gone: str = ""
    line: CalledLine | None = None
    backend: AgentBackend | None = None
    place: Place | None = None
    leaving: bool = False
    successor: _Agent | None = None

    @property
    def awaited(self) -> bool:
        return self.backend is None and not self.gone

    @property
    def lost(self) -> str:
        return self.gone if self.backend is None else self.backend.lost

    @property
    def occupants(self) -> tuple[WorkerSpec, ...]:
        alive = () if self.backend is None else self.backend.alive
        return tuple(spec for spec in self.workers if spec.name in alive)

    @property
    def useless(self) -> bool:
        return self.leaving or bool(self.lost)

    def follow(self) -> _Agent:
        """Return a new successor, which is to start nothing yet."""
        number = self.number + 1
        new = _Agent(f"{self.first}~{number}", self.workers, self.first, number)
        self.successor = new
        return new


class Fleet(Backend):
    """The workers of several agents. What is to be done with one waits until its agent has come.

    Each agent has a name, by which it calls `arrive` once, and then `hear`, and `beat` every
    `BEAT_S` seconds. One that is silent for too long is lost with its host.

    Where a lost agent can be replaced, its successor has a name of its own, `learner@0~1` after
    `learner@0`, so that what comes late from the lost one is not taken for its word. It starts
    those workers alone that are to be started again. So it is where an agent is to leave its host.
    """

    def __init__(
        self,
        agents: Mapping[str, Iterable[WorkerSpec]],
        *,
        boot: Callable[[WorkerSpec, int, Place], bytes],
        log: Callable[[str], pathlib.Path],
        share: Callable[[tuple[WorkerSpec, ...], Place], Iterable[WorkerSpec]],
        bring_up: Callable[[], object],
        take_down: Callable[[Collection[str], Collection[str]], object],
        replace: Callable[[str, str], object] | None = None,
        leavings: Callable[[Place], link.Leavings] = _sockets,
    ) -> None:
        """Prepare.

        Args:
          agents: which workers each agent has, by its name.
          boot: returns the pickled `WorkerBoot` of a worker's incarnation at a place.
          log: returns the path of a worker's log file.
          share: hands out what the place has to its workers.
          bring_up: begins to bring up the agents; it need not wait for them.
          take_down: is called when all of them were hung up on, with those whose hosts are gone,
            and those that have not come.
          replace: begins to bring up another agent for one that is lost or leaves, and need not
            wait for it: is called with both names. None where that cannot be done.
          leavings: returns what an agent removes should this process be killed.
        """
        self._agents: dict[str, _Agent] = {}
        self._agent_of: dict[str, _Agent] = {}
        for name, workers in agents.items():
            agent = self._agents[name] = _Agent(name, tuple(workers), name)
            agent.starts = {worker.name: 0 for worker in agent.workers}
            self._agent_of |= dict.fromkeys(agent.starts, agent)
        self._boot = boot
        self._log = log
        self._share = share
        self._bring_up = bring_up
        self._take_down = take_down
        self._replace = replace
        self._leavings = leavings
        self._lock = threading.RLock()
        self._specs: dict[str, WorkerSpec] = {}
        self._pulse = Pulse()
        self._silent: set[str] = set()
        self._closed = threading.Event()

    def start(self, workers: Iterable[WorkerSpec], post: Callable[[Event], None]) -> None:
        """See the base class."""
        del workers  # they are known by their agents
        self._post = post
        threading.Thread(target=self._listen_for_beats, name="lp-pulse", daemon=True).start()
        self._bring_up()

    def _listen_for_beats(self) -> None:
        while not self._closed.wait(BEAT_S):
            for name in self._pulse.beat():
                self._silent.add(name)
                self._miss(self._agents[name])

    def _miss(self, agent: _Agent) -> None:
        if agent.backend is not None and agent.place is not None:
            reason = (
                f"{agent.place.host} is gone: nothing has come from it for {MISSES * BEAT_S:.0f} "
                "s; it has lost its power or its network"
            )
            agent.backend.lose(reason)

    # --- what agents call ---

    def arrive(self, agent: str, place: Place) -> Subscription:
        """Take an agent that has come up; return the stream of what it is told.

        Raises:
          UsageError: there is no such agent, or it has come before.
        """
        with self._lock:
            come = self._agents.get(agent)
            if come is None or not come.awaited:
                awaited = [each.name for each in self._agents.values() if each.awaited]
                known = "it has come before" if come and come.backend else "there is no such agent"
                message = f"agent {agent!r} on {place.host}: {known}{nearest(agent, awaited)}"
                raise UsageError(message)
            try:
                specs = {spec.name: spec for spec in self._share(come.workers, place)}
            except UsageError as error:
                self._give_up(come, str(error), replaceable=False)
                raise
            come.place = place
            come.line = CalledLine()
            come.backend = AgentBackend(
                come.line,
                lambda spec, incarnation: self._boot(spec, incarnation, place),
                self._log,
                self._leavings(place),
                loss=f"{place.host} is gone, or the agent there that held it",
                replaceable=self._replace is not None,
            )
            self._specs |= specs
            come.backend.start((), self._post)
            come.backend.bring_up((specs[name], number) for name, number in come.starts.items())
            self._pulse.heard(agent)
        _log.debug("agent %s has come up on %s", agent, place.host)
        return come.line.told

    def hear(self, agent: str, frame: bytes) -> None:
        """Take what an agent says of its workers: a frame of `link`, without its length."""
        line = self._agents[agent].line
        if line is not None:
            line.hear(frame)

    def beat(self, agent: str) -> None:
        """Take an agent's word that it is there."""
        known = self._agents.get(agent)  # one that was refused may beat until it has ended
        if known is not None and known.backend is not None and not known.lost:
            self._pulse.heard(agent)

    # --- what the launcher finds out ---

    def awaits(self, agents: Iterable[str]) -> bool:
        """Whether one of some agents has not come yet, and is not given up."""
        with self._lock:
            return any(self._agents[name].awaited for name in agents)

    def give_up(self, agents: Iterable[str], reason: str) -> None:
        """Take it that some agents are gone, or will never come; their workers have failed."""
        for name in agents:
            self._give_up(self._agents[name], reason, replaceable=self._replace is not None)

    def _give_up(self, agent: _Agent, reason: str, *, replaceable: bool) -> None:
        with self._lock:
            awaited = agent.awaited
            agent.gone = agent.gone or reason
        if agent.backend is not None:
            agent.backend.lose(reason)
        elif awaited:
            self._post(HostLost(tuple(agent.starts), reason, replaceable))

    def occupied(self) -> dict[str, tuple[Place, tuple[WorkerSpec, ...]]]:
        """Return the agents that have workers and are not to leave: where they are, and which."""
        with self._lock:
            return {
                name: (agent.place, agent.occupants)
                for name, agent in self._agents.items()
                if agent.place is not None and agent.occupants and not agent.useless
            }

    def leave(self, agents: Iterable[str], seconds: float, reason: str, *, moves: bool) -> None:
        """Tell the workers of some agents that their host will be gone.

        Args:
          agents: which have come.
          seconds: what is left to them; infinite if nobody knows.
          reason: for people.
          moves: whether other agents take their places.
        """
        with self._lock:
            present = [self._agents[name] for name in agents]
            for each in present:
                each.leaving = moves
            names = tuple(spec.name for each in present for spec in each.occupants)
        self._post(HostLeaving(names, seconds, reason, replaceable=moves))
        for each in present if moves else ():
            if each.backend is not None:
                each.backend.leave()

    # --- what the controller wants ---

    def restart(self, worker: WorkerSpec, incarnation: int) -> None:
        """See the base class."""
        before: _Agent | None = None
        with self._lock:
            agent = self._agent_of[worker.name]
            while agent.useless and agent.successor is not None:
                agent = agent.successor
            if agent.useless and self._replace is not None:
                before, agent = agent, agent.follow()
                self._agents[agent.name] = agent
            self._agent_of[worker.name] = agent
            if agent.awaited:
                agent.starts[worker.name] = incarnation
            elif agent.backend is None:
                self._post(HostLost((worker.name,), agent.lost))
            else:
                agent.backend.restart(self._specs[worker.name], incarnation)
        if before is not None and self._replace is not None:
            self._replace(before.name, agent.name)

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
        found: dict[_Agent, list[str]] = {}
        for name in names:
            found.setdefault(self._agent_of[name], []).append(name)
        with self._lock:
            for agent in [each for each in found if each.awaited]:
                agent.gone = "nobody waits for it any more"
                for name in agent.starts:
                    self._post(WorkerEnded(name, forced=True))
            return [
                (agent.backend, some) for agent, some in found.items() if agent.backend is not None
            ]

    def stacks(self, names: Iterable[str]) -> str:
        """See the base class."""
        lines: list[str] = []
        for backend, some in self._by_agent(names):
            place = self._agent_of[some[0]].place
            if place is not None:
                lines.append(f"on {place.host}:\n{backend.stacks(some)}")
        return "\n".join(lines)

    def leftovers(self, timeout: float) -> list[str]:
        """See the base class; agents leave nothing, and here nobody could see it."""
        del timeout
        return []

    def close(self) -> None:
        """See the base class."""
        self._closed.set()
        with self._lock:
            absent = [agent.name for agent in self._agents.values() if agent.backend is None]
            for agent in self._agents.values():
                agent.gone = agent.gone or "the run has ended"
            present = [agent.backend for agent in self._agents.values() if agent.backend]
        for backend in present:
            backend.close()
        self._take_down(self._silent, absent)
