"""The cases: what is measured, and for whom."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from typing import TYPE_CHECKING

from benchmarks.calls.process import cpu_s, private_kb
from benchmarks.comparison import OURS, Case, Figure
from benchmarks.replay_cases.api import FRAMES, SMALL, STEP_BYTES, Spi, TableSpec
from benchmarks.replay_cases.peer import REVERB
from benchmarks.replay_cases.workloads import (
    BatchesForever,
    Checkpoint,
    Costs,
    Fill,
    InsertOne,
    Inserts,
    Probe,
    SampleBatches,
    SampleCalls,
    UpdateBatches,
    UpdateCalls,
    Updates,
    Writes,
    WritesForever,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.replay_cases.peer import ReplayPeer, Session
    from benchmarks.window import Figures

PEERS = (OURS, REVERB)


@dataclasses.dataclass(frozen=True)
class ReplayCase(Case):
    """What is measured together.

    Attributes:
      measure: does it, in windows of so many seconds.
    """

    measure: Callable[[ReplayPeer, float], Figures]


_TABLE = "table"
_ITEMS = 10_000
_FRAMES = 4_000  # 113 MB: they do not fit into a cache
_FRAME_MB = STEP_BYTES[FRAMES] / 2**20

_WRITERS = 8
_SPI = Spi(samples_per_insert=4, min_size_to_sample=1_000, error_buffer=4_000)
_POLL_S = 0.1

_MILLION = 1_000_000
_FILLED = 50_000  # items in one job, which must not take so long that its process seems lost
_COSTS = 200  # calls
_SHORT_S = 1.0  # below which a run is a look at whether all of it works

_MEMORY_ITEMS = 200_000

_GIGABYTE = 2**30


def _fill(session: Session, what: str, count: int, table: str = _TABLE) -> None:
    for done in range(0, count, _FILLED):
        session.do(Fill(session.port, table, what, min(_FILLED, count - done)))


def _sample(peer: ReplayPeer, seconds: float) -> Figures:
    with peer.start(TableSpec(_TABLE, SMALL)) as session:
        _fill(session, SMALL, _ITEMS)
        return {
            "calls": session.do(SampleCalls(session.port, _TABLE, seconds)),
            "batches": session.do(SampleBatches(session.port, _TABLE, seconds)),
        }


def _frames(peer: ReplayPeer, seconds: float) -> Figures:
    with peer.start(TableSpec(_TABLE, FRAMES)) as session:
        _fill(session, FRAMES, _FRAMES)
        calls = session.do(SampleCalls(session.port, _TABLE, seconds, pages=True))
        batches = session.do(SampleBatches(session.port, _TABLE, seconds))
        return {"calls": calls * _FRAME_MB, "batches": batches * _FRAME_MB}


def _prioritized(peer: ReplayPeer, seconds: float) -> Figures:
    with peer.start(TableSpec(_TABLE, SMALL, prioritized=True)) as session:
        _fill(session, SMALL, _ITEMS)
        return {
            "calls": session.do(UpdateCalls(session.port, _TABLE, seconds)),
            "batches": session.do(UpdateBatches(session.port, _TABLE, seconds)),
            "updates": session.do(Updates(session.port, _TABLE, seconds)),
        }


def _write(peer: ReplayPeer, seconds: float) -> Figures:
    small, frames = TableSpec("small", SMALL), TableSpec("frames", FRAMES, max_size=_FRAMES)
    with peer.start(small, frames) as session:
        port = session.port
        return {
            "insert": session.do(Inserts(port, small.name, seconds)),
            "small": session.do(Writes(port, small.name, seconds)),
            "frames": session.do(Writes(port, frames.name, seconds, FRAMES)) * _FRAME_MB,
        }


def _ratio(peer: ReplayPeer, seconds: float) -> Figures:
    """Measure writers and a sampler that a limiter holds together.

    They are warm when the table is sampled, and then once more for as long.
    """
    with peer.start(TableSpec(_TABLE, SMALL, spi=_SPI), clients=_WRITERS + 1) as session:
        *writers, sampler = session.clients
        sampler.begin(BatchesForever(session.port, _TABLE))
        for writer in writers:
            writer.begin(WritesForever(session.port, _TABLE))
        while not session.count(_TABLE).samples:
            time.sleep(_POLL_S)
        time.sleep(seconds)
        counts = [session.count(_TABLE)]
        while counts[-1].time_s < counts[0].time_s + seconds:
            time.sleep(_POLL_S)
            counts.append(session.count(_TABLE))
        for client in session.clients:
            if client.failed():
                client.result()
        took = counts[-1].time_s - counts[0].time_s
        return {
            "inserts": (counts[-1].inserts - counts[0].inserts) / took,
            "samples": (counts[-1].samples - counts[0].samples) / took,
            "beyond": max(count.beyond for count in counts),
        }


def _million(peer: ReplayPeer, seconds: float) -> Figures:
    """Measure what calls cost with few items and with many, in turn."""
    many = _MILLION if seconds >= _SHORT_S else _MILLION // 10
    few = TableSpec("few", SMALL, prioritized=True)
    full = TableSpec("full", SMALL, max_size=_MILLION, prioritized=True)
    with peer.start(few, full) as session:
        _fill(session, SMALL, _ITEMS, few.name)
        _fill(session, SMALL, many, full.name)
        found = {table.name: _costs(session, table.name) for table in (few, full)}
        return {
            **{
                f"{key}_{name}": 1e6 * value
                for name, costs in found.items()
                for key, value in costs.items()
            },
            **{key: value / found[few.name][key] for key, value in found[full.name].items()},
        }


def _costs(session: Session, table: str) -> dict[str, float]:
    pid = session.server.pid
    job = Costs(session.port, table, _COSTS)
    session.do(job)
    used = cpu_s(pid)
    sample, update = session.do(job)
    return {"sample": sample, "update": update, "cpu": (cpu_s(pid) - used) / _COSTS}


def _memory(peer: ReplayPeer, seconds: float) -> Figures:
    items = _MEMORY_ITEMS if seconds >= _SHORT_S else _MEMORY_ITEMS // 10
    with peer.start(TableSpec(_TABLE, SMALL, max_size=items, prioritized=True)) as session:
        _fill(session, SMALL, 1_000)  # what is there for the first of all items is there
        before = private_kb(session.server.pid)
        _fill(session, SMALL, items - 1_000)
        grown = 1024 * (private_kb(session.server.pid) - before)
        return {"bytes": grown / (items - 1_000) - STEP_BYTES[SMALL]}


def _checkpoint(peer: ReplayPeer, seconds: float) -> Figures:
    """Measure the longest call while a checkpoint is made, and in the second before."""
    size = _GIGABYTE if seconds >= _SHORT_S else _GIGABYTE // 10
    small, frames = TableSpec("small", SMALL), TableSpec(_TABLE, FRAMES)
    with (
        tempfile.TemporaryDirectory(prefix="lp-bench-") as place,
        peer.start(small, frames, clients=2, place=place) as session,
    ):
        prober, other = session.clients
        other.do(Fill(session.port, _TABLE, FRAMES, size // STEP_BYTES[FRAMES]))
        prober.begin(Probe(session.port, small.name))
        time.sleep(2 * _SHORT_S)
        start, end = other.do(Checkpoint(session.port))
        time.sleep(_POLL_S)
        prober.begin(Probe(session.port, small.name))  # ends the one that runs
        calls = prober.result()
        meanwhile = [done - begin for begin, done in calls if start < done and begin < end]
        before = [done - begin for begin, done in calls if start - 1 < begin and done < start]
        return {"pause": 1e3 * max(meanwhile), "calm": 1e3 * max(before), "whole": end - start}


def _start(peer: ReplayPeer, seconds: float) -> Figures:
    del seconds
    with peer.processes(1) as (client,):
        begin = time.monotonic()
        with peer.start(TableSpec(_TABLE, SMALL), clients=0) as session:
            end: float = client.do(InsertOne(session.port, _TABLE))
            return {"first": end - begin}


_BATCHED = "batches of a dataset"

CASES = {
    "sample": ReplayCase(
        {
            "calls": Figure("sample 256 small, client.sample, items/s"),
            "batches": Figure(f"sample 256 small, {_BATCHED}, items/s"),
        },
        PEERS,
        _sample,
    ),
    "prioritized": ReplayCase(
        {
            "calls": Figure("sample 256 by priority, update them, client.sample, items/s"),
            "batches": Figure(f"sample 256 by priority, update them, {_BATCHED}, items/s"),
            "updates": Figure("mutate_priorities, 256 a call, updates/s"),
        },
        PEERS,
        _prioritized,
    ),
    "frames": ReplayCase(
        {
            "calls": Figure("sample 256 frames, client.sample, MB/s"),
            "batches": Figure(f"sample 256 frames, {_BATCHED}, MB/s"),
        },
        PEERS,
        _frames,
    ),
    "write": ReplayCase(
        {
            "insert": Figure("client.insert, one small item, items/s"),
            "small": Figure("trajectory_writer, small items, flush every 100, items/s"),
            "frames": Figure("trajectory_writer, frames, flush every 100, MB/s"),
        },
        PEERS,
        _write,
    ),
    "ratio": ReplayCase(
        {
            "inserts": Figure(f"{_WRITERS} writers, 1 sampler, 4 samples per insert: inserts/s"),
            "samples": Figure("    samples/s"),
            "beyond": Figure("    samples beyond the error buffer, at most"),
        },
        PEERS,
        _ratio,
    ),
    "million": ReplayCase(
        {
            "sample_few": Figure("sample 256 of 10 thousand prioritized, us"),
            "sample_full": Figure("    of 1 million, us"),
            "sample": Figure("    ratio", 2),
            "update_few": Figure("update 256 of 10 thousand prioritized, us"),
            "update_full": Figure("    of 1 million, us"),
            "update": Figure("    ratio", 2),
            "cpu_few": Figure("CPU of the server for both, 10 thousand, us"),
            "cpu_full": Figure("    1 million, us"),
            "cpu": Figure("    ratio", 2),
        },
        (OURS,),
        _million,
    ),
    "memory": ReplayCase(
        {"bytes": Figure("memory of a small item beyond its data, bytes")}, PEERS, _memory
    ),
    "checkpoint": ReplayCase(
        {
            "pause": Figure("checkpoint of 1 GB: longest other call meanwhile, ms", 1),
            "calm": Figure("    longest call in the second before, ms", 1),
            "whole": Figure("    the checkpoint, s", 1),
        },
        PEERS,
        _checkpoint,
    ),
    "start": ReplayCase(
        {"first": Figure("process start to the first insert served, s", 2)}, PEERS, _start
    ),
}
