"""Workers under agents: what the launchers share whose nodes are processes."""

from __future__ import annotations

import contextlib
import pickle
import signal
import socket
import threading
from typing import TYPE_CHECKING

import psutil

from launchpad_lite.runtime import children, link
from launchpad_lite.runtime.backend import Backend
from launchpad_lite.runtime.supervisor import Event, Failure, HostLost, WorkerEnded, WorkerUp

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterable

    from launchpad_lite.planning import WorkerSpec


class AgentBackend(Backend):
    """The workers of one agent, on this host or another.

    A launcher gives the socket to an agent that it has brought up, by whatever means.
    """

    def __init__(
        self,
        connect: Callable[[], socket.socket],
        boot: Callable[[WorkerSpec, int], bytes],
        log: Callable[[str], pathlib.Path],
        leavings: Iterable[str] = (),
    ) -> None:
        """Remember how to come by what is needed.

        Args:
          connect: brings up the agent and returns the socket to it.
          boot: returns the pickled `WorkerBoot` of a worker's incarnation.
          log: returns the path of a worker's log file.
          leavings: files and directories that the agent removes should this process be killed.
        """
        self._connect = connect
        self._boot = boot
        self._log = log
        self._leavings = list(leavings)
        self._lock = threading.Lock()
        self._alive: set[str] = set()
        self._lost = ""  # how the agent was
        self._pids: dict[str, int] = {}
        self._processes: list[psutil.Process] = []
        self._signalled: set[tuple[str, int]] = set()
        self._socket: socket.socket | None = None
        self._reader: threading.Thread | None = None

    def start(self, workers: Iterable[WorkerSpec], post: Callable[[Event], None]) -> None:
        """See the base class."""
        specs = list(workers)
        self._alive = {spec.name for spec in specs}
        self._post = post
        self._serving = {spec.name for spec in specs if spec.services}
        self._socket = self._connect()
        self._reader = threading.Thread(
            target=self._listen, args=(self._socket,), name="lp-agent-link", daemon=True
        )
        self._reader.start()
        self._say(link.Leavings(self._leavings))
        for spec in specs:
            self._start(spec, 0)

    def restart(self, worker: WorkerSpec, incarnation: int) -> None:
        """See the base class."""
        with self._lock:
            self._alive.add(worker.name)
        self._start(worker, incarnation)
        if self._lost:  # the listener may have gone before
            self._lose()

    def _start(self, spec: WorkerSpec, incarnation: int) -> None:
        self._say(
            link.StartWorker(
                name=spec.name,
                log=str(self._log(spec.name)),
                env=dict(spec.env),
                cold=spec.cold,
                boot=self._boot(spec, incarnation),
                interpreter=spec.interpreter,
            )
        )

    def _say(self, message: link.ToAgent) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError), self._lock:  # the listener sees that it is gone
                self._socket.sendall(link.encode(message))

    def _listen(self, sock: socket.socket) -> None:
        reader = link.Reader(sock)
        try:
            while True:
                for frame in reader.frames():
                    self._hear(link.decode_from_agent(frame))
        except (EOFError, OSError):
            pass
        if self._alive:
            for pid in self._pids.values():  # they end by themselves, unless they hang
                children.kill_tree(pid)
        self._lost = "the agent that held it was killed"
        self._lose()

    def _lose(self) -> None:
        with self._lock:
            lost, self._alive = self._alive, set()
        if lost:
            self._post(HostLost(tuple(lost), self._lost))

    def _hear(self, message: link.FromAgent) -> None:
        if isinstance(message, link.WorkerStarted):
            self._pids[message.name] = message.pid
            with contextlib.suppress(psutil.NoSuchProcess):
                self._processes.append(psutil.Process(message.pid))
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
            self._say(link.SignalWorker(name, number, seconds))

    def stacks(self, names: Iterable[str]) -> str:
        """See the base class."""
        return "\n".join(f"{name}: process {self._pids.get(name)}" for name in names)

    def leftovers(self, timeout: float) -> list[str]:
        """See the base class."""
        _, alive = psutil.wait_procs(self._processes, timeout)
        return [f"process {process.pid}" for process in alive if _is_running(process)]

    def close(self) -> None:
        """See the base class."""
        if self._socket is not None:
            self._say(link.Leavings([]))
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            if self._reader is not None and self._reader is not threading.current_thread():
                self._reader.join()
            self._socket.close()


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
