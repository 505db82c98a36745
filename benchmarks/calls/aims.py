"""What the figures are meant to be."""

from __future__ import annotations

from benchmarks.calls.cases import (
    BATCHED,
    BUSY,
    GRPC,
    GRPCIO,
    MEMCPY,
    MP,
    RAW,
    RAY,
    TCP,
)
from benchmarks.comparison import OURS, Wanted


def _at_least(text: str, figure: tuple[str, str], who: str = OURS, **limits: float) -> list[Wanted]:
    return [
        Wanted(text, figure, limit, _PEERS[peer], at_least=True, who=who)
        for peer, limit in limits.items()
    ]


def _at_most(text: str, figure: tuple[str, str], who: str = OURS, **limits: float) -> list[Wanted]:
    return [Wanted(text, figure, limit, _PEERS[peer], who=who) for peer, limit in limits.items()]


_PEERS = {"grpcio": GRPCIO, "ray": RAY, "mp": MP, "raw": RAW, "memcpy": MEMCPY}

_P50, _P99 = ("sync", "p50"), ("sync", "p99")
_FUTURES = ("futures", "rate")

AIMS = [
    *_at_most("sync p50", _P50, raw=1.4, grpcio=1 / 4, ray=1 / 7),
    *_at_most("sync p50", _P50, BUSY, grpcio=1 / 10),
    *_at_most("sync p99", _P99, grpcio=1 / 4),
    *_at_least("futures", _FUTURES, grpcio=10, ray=15),
    *_at_least("8 client processes", ("processes", "rate"), grpcio=10),
    *_at_least("8 threads of one client", ("threads", "rate"), grpcio=6),
    *_at_least("echo of 1 MB", ("array_1mb", "echo"), grpcio=4, mp=2),
    *_at_least("echo of 64 MB", ("array_64mb", "echo"), ray=1, memcpy=1 / 4),
    *_at_least("64 MB one way", ("array_64mb", "take"), ray=1, memcpy=1 / 4),
    *_at_least("64 MB fetched", ("array_64mb", "fetch"), ray=1, memcpy=1 / 4),
    *_at_least("84 floats", ("batch_84", "rate"), BATCHED, grpcio=5),
    *(
        Wanted(
            f"calls in a batch of 32, {case}, worst round",
            (case, "batch"),
            30,
            at_least=True,
            who=BATCHED,
        )
        for case in ("batch_84", "batch_64", "batch_1024")
    ),
    Wanted("idle CPU of the server, worst round", ("clients", "idle"), 0.1, unit=" %"),
    Wanted("memory per connection, worst round", ("clients", "memory"), 100, unit=" kB"),
    Wanted(
        "CPU of the server per call: 8 to 200 clients / 1, worst round", ("clients", "cpu"), 1.25
    ),
    Wanted("calls/s: 200 clients / 8, worst round", ("clients", "rate"), 0.8, at_least=True),
    *_at_most("sync p50", _P50, TCP, grpcio=1 / 3),
    *_at_least("futures", _FUTURES, TCP, grpcio=6),
    *_at_most("sync p50", _P50, GRPC, grpcio=1.2),
]
