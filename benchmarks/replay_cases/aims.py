"""What the figures are meant to be."""

from __future__ import annotations

from benchmarks.comparison import Wanted
from benchmarks.replay_cases.peer import REVERB


def _times(text: str, case: str, figure: str, limit: float) -> Wanted:
    return Wanted(text, (case, figure), limit, REVERB, at_least=True)


def _below(text: str, case: str, figure: str, limit: float, unit: str = "") -> Wanted:
    return Wanted(f"{text}, worst round", (case, figure), limit, unit=unit)


AIMS = [
    _times("sample small, client.sample", "sample", "calls", 50),
    _times("sample small, batches", "sample", "batches", 5),
    _times("sample by priority and update, client.sample", "prioritized", "calls", 50),
    _times("sample frames, batches", "frames", "batches", 3),
    _times("client.insert", "write", "insert", 4),
    _times("trajectory_writer, small", "write", "small", 5),
    _times("trajectory_writer, frames", "write", "frames", 3),
    _times("mutate_priorities", "prioritized", "updates", 2),
    _times("8 writers and a sampler, samples/s", "ratio", "samples", 5),
    _below("samples beyond the error buffer", "ratio", "beyond", 1),
    _below("sample: 1 million / 10 thousand", "million", "sample", 2),
    _below("update: 1 million / 10 thousand", "million", "update", 2),
    _below("CPU of the server: 1 million / 10 thousand", "million", "cpu", 2),
    _below("memory of an item beyond its data", "memory", "bytes", 200, " bytes"),
    _below("longest call during a checkpoint of 1 GB", "checkpoint", "pause", 100, " ms"),
    Wanted("process start to the first insert", ("start", "first"), 1 / 10, REVERB),
]
