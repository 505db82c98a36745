"""The cases: what is measured, and for whom."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from benchmarks.calls.peers.grpcio import Grpcio
from benchmarks.calls.peers.memcpy import Memcpy
from benchmarks.calls.peers.mp_connection import MpConnection
from benchmarks.calls.peers.ours import Ours
from benchmarks.calls.peers.pyro5 import Pyro5
from benchmarks.calls.peers.raw_socket import RawSocket
from benchmarks.calls.peers.ray import Ray
from benchmarks.calls.process import cpu_s, private_kb
from benchmarks.calls.service import FEATURES, Echo, Policy, Scale, Service, floats
from benchmarks.calls.workloads import Arrays, Ask, InFlight, Sync, Threads
from benchmarks.comparison import OURS, Case, Figure

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.calls.peer import CallPeer, Session
    from benchmarks.window import Figures

BUSY = "ours, busy poll"
TCP = "ours, tcp + TLS"
GRPC = "ours, grpc + TLS"
BATCHED = "ours, batched"
GRPCIO = "grpcio"
MP = "multiprocessing"
RAY = "Ray actor"
PYRO = "Pyro5"
RAW = "raw socket"
MEMCPY = "memcpy"


PEERS = (OURS, BUSY, TCP, GRPC, BATCHED, GRPCIO, MP, RAY, PYRO, RAW, MEMCPY)


def all_peers(ray_python: str) -> list[CallPeer]:
    """Return all that can be measured; see `CallPeer.missing`.

    Args:
      ray_python: the interpreter that has Ray.
    """
    return [
        Ours(OURS),
        Ours(BUSY, {"busy_poll_us": 1000}),
        Ours(TCP, {"transport": "tcp"}),
        Ours(GRPC, {"transport": "grpc"}),
        Ours(BATCHED, batched=True),
        Grpcio(GRPCIO),
        MpConnection(MP),
        Ray(RAY, ray_python),
        Pyro5(PYRO),
        RawSocket(RAW),
        Memcpy(MEMCPY),
    ]


_ECHO = Service(Echo)


@dataclasses.dataclass(frozen=True)
class CallCase(Case):
    """What is measured with one server.

    Attributes:
      measure: does it, in windows of so many seconds.
      service: what the server serves.
      clients: processes that call it.
    """

    measure: Callable[[Session, float], Figures]
    service: Service = _ECHO
    clients: int = 1


# --- how it is measured ---

_CLIENTS = (1, 8, 50, 200)
_PROCESSES = 8
_LOADED = 16
_IDLE_S = 3.0
_MANY, _BATCHING = 100, 64  # calls in flight


def _sync(session: Session, seconds: float) -> Figures:
    return session.measure(Sync(), 2 * seconds)[0]  # the 99th percentile needs many calls


def _futures(session: Session, seconds: float) -> Figures:
    return session.measure(InFlight(_MANY), seconds)[0]


def _threads(session: Session, seconds: float) -> Figures:
    return session.measure(Threads(8), seconds)[0]


def _processes(session: Session, seconds: float) -> Figures:
    found = session.measure(Sync(), seconds, _PROCESSES)
    return {"rate": sum(each["rate"] for each in found)}


def _arrays(megabytes: int, *methods: str) -> Callable[[Session, float], Figures]:
    def measure(session: Session, seconds: float) -> Figures:
        return {
            method: session.measure(Arrays(method, megabytes), seconds, lead_s=1.0)[0]["rate"]
            for method in methods
        }

    return measure


def _act(features: int) -> Callable[[Session, float], Figures]:
    def measure(session: Session, seconds: float) -> Figures:
        found = session.measure(InFlight(_BATCHING, "act", floats(features)), seconds)[0]
        return {**found, "batch": session.ask("mean_batch")} if session.batched else found

    return measure


def _clients(session: Session, seconds: float) -> Figures:
    """Measure what connections cost.

    The server's threads are there before memory is looked at: they come with load, and not with
    connections.
    """
    pid = int(session.ask("pid"))
    most = _CLIENTS[-1]
    session.measure(Sync(), seconds / 5, _LOADED)
    before = private_kb(pid)
    session.measure(Ask("pid"), clients=most)
    memory = (private_kb(pid) - before) / (most - _LOADED)
    used, start = cpu_s(pid), time.monotonic()
    time.sleep(_IDLE_S)
    idle = 100 * (cpu_s(pid) - used) / (time.monotonic() - start)
    figures = {"memory": memory, "idle": idle}
    for count in _CLIENTS:
        used = cpu_s(pid)
        found = session.measure(Sync(), seconds, count)
        used = cpu_s(pid) - used
        figures[f"rate_{count}"] = sum(each["rate"] for each in found)
        figures[f"cpu_{count}"] = 1e6 * used / sum(each["calls"] for each in found)
    figures["cpu"] = max(figures[f"cpu_{count}"] for count in _CLIENTS[1:]) / figures["cpu_1"]
    figures["rate"] = figures[f"rate_{most}"] / figures[f"rate_{_CLIENTS[1]}"]
    return figures


# --- what is measured ---

_RATE = "calls/s"
_BATCH = Figure("    calls in a batch", 1)

CASES = {
    "sync": CallCase(
        {"p50": Figure("sync echo(1), p50, us"), "p99": Figure("sync echo(1), p99, us")},
        (OURS, BUSY, TCP, GRPC, RAW, MP, GRPCIO, RAY, PYRO),
        _sync,
    ),
    "futures": CallCase(
        {"rate": Figure(f"futures, {_MANY} in flight, {_RATE}")},
        (OURS, TCP, GRPC, GRPCIO, RAY),
        _futures,
    ),
    "processes": CallCase(
        {"rate": Figure(f"{_PROCESSES} client processes, {_RATE}")},
        (OURS, TCP, MP, GRPCIO, RAY, PYRO),
        _processes,
        clients=_PROCESSES,
    ),
    "threads": CallCase(
        {"rate": Figure(f"8 threads of one client, {_RATE}")},
        (OURS, TCP, MP, GRPCIO, RAY, PYRO),
        _threads,
    ),
    "array_1mb": CallCase(
        {"echo": Figure("echo of 1 MB, MB/s")},
        (OURS, TCP, MEMCPY, RAW, MP, GRPCIO, RAY),
        _arrays(1, "echo"),
    ),
    "array_64mb": CallCase(
        {
            "echo": Figure("echo of 64 MB, MB/s"),
            "take": Figure("64 MB one way, MB/s"),
            "fetch": Figure("64 MB fetched, MB/s"),
        },
        (OURS, TCP, MEMCPY, MP, GRPCIO, RAY),
        _arrays(64, "echo", "take", "fetch"),
    ),
    "batch_84": CallCase(
        {"rate": Figure(f"84 floats, {_BATCHING} in flight, {_RATE}"), "batch": _BATCH},
        (BATCHED, OURS, GRPCIO, RAY),
        _act(84),
        Service(Scale, threads=16),
    ),
    "batch_64": CallCase(
        {"rate": Figure(f"network of 64 units, {_BATCHING} in flight, {_RATE}"), "batch": _BATCH},
        (BATCHED, OURS, GRPCIO, RAY),
        _act(FEATURES),
        Service(Policy, (64,), threads=16),
    ),
    "batch_1024": CallCase(
        {"rate": Figure(f"network of 1024 units, {_BATCHING} in flight, {_RATE}"), "batch": _BATCH},
        (BATCHED, OURS, GRPCIO, RAY),
        _act(FEATURES),
        Service(Policy, (1024,), threads=16),
    ),
    "clients": CallCase(
        {
            "memory": Figure("memory of the server per connection, kB", 1),
            "idle": Figure(f"idle CPU of the server, {_CLIENTS[-1]} connections, %", 3),
            **{f"rate_{count}": Figure(f"{count} clients, {_RATE}") for count in _CLIENTS},
            "rate": Figure(f"    {_CLIENTS[-1]} clients / {_CLIENTS[1]} clients", 2),
            **{
                f"cpu_{count}": Figure(f"{count} clients, CPU of the server per call, us", 1)
                for count in _CLIENTS
            },
            "cpu": Figure("    the worst / 1 client", 2),
        },
        (OURS, MP),
        _clients,
        clients=_CLIENTS[-1],
    ),
}
