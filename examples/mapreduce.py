"""Counts the words of the Python standard library's own source files, with mappers and reducers.

    lp-launch examples/mapreduce.py --launcher=process --num_mappers=4 --num_reducers=2

The driver deals batches of files to the mappers. A mapper counts the words of its batch and returns
one part for each reducer; the driver sends the parts on as they come in (the shuffle). Each word
belongs to one reducer, which adds up its counts. At the end the driver prints the commonest words
and compares all counts with those of a plain loop in its own process.

Source: Dean and Ghemawat, "MapReduce: Simplified Data Processing on Large Clusters", OSDI 2004.
"""

import itertools
import os
import re
import sysconfig
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent import futures
from pathlib import Path

import launchpad_lite as lp

BATCH_SIZE = 32
NUM_TOP_WORDS = 10
NOT_THE_LIBRARY = {"site-packages", "dist-packages", "__pycache__"}
WORD = re.compile(r"[^\W\d]\w*")


def find_sources(max_files: int) -> list[Path]:
    """Return the standard library's source files, at most `max_files` of them (0: all)."""
    root = Path(sysconfig.get_paths()["stdlib"])
    paths: list[Path] = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(set(subfolders) - NOT_THE_LIBRARY)  # where `walk` goes next
        files = (Path(folder, name) for name in sorted(names) if name.endswith(".py"))
        paths += [path for path in files if path.is_file()]  # not links to what is not installed
    if not paths:
        raise FileNotFoundError(f"no .py file of the standard library is in {root}")
    return paths[: max_files or None]


def count_words(paths: Iterable[Path]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for path in paths:
        text = path.read_text(encoding="utf-8", errors="replace")
        counts.update(WORD.findall(text.lower()))
    return counts


class Mapper:
    """Counts the words of some files, and says which reducer each word belongs to."""

    def __init__(self, num_reducers: int) -> None:
        self._num_reducers = num_reducers

    def map(self, paths: list[Path]) -> list[dict[str, int]]:
        """Return the counts of the words in `paths`, one part for each reducer."""
        parts: list[dict[str, int]] = [{} for _ in range(self._num_reducers)]
        for word, count in count_words(paths).items():
            # Not `hash(word)`: that of a string may differ between processes.
            parts[zlib.crc32(word.encode()) % self._num_reducers][word] = count
        return parts


class Reducer:
    """Adds up the counts of the words that belong to it."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()  # a node serves several calls at a time

    def add(self, part: dict[str, int]) -> None:
        with self._lock:
            self._counts.update(part)

    def counts(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counts)


class Driver:
    """Feeds the mappers, shuffles, collects, reports and checks."""

    def __init__(self, mappers: list[Mapper], reducers: list[Reducer], max_files: int) -> None:
        self._mappers = mappers
        self._reducers = reducers
        self._max_files = max_files

    def run(self) -> None:
        paths = find_sources(self._max_files)

        start = time.perf_counter()
        counts = self._map_reduce(paths)
        map_reduce_seconds = time.perf_counter() - start
        report(counts, len(paths))

        start = time.perf_counter()
        expected = count_words(paths)
        loop_seconds = time.perf_counter() - start
        check(counts, expected)
        print(f"verified: a plain loop over the same {len(paths):,} files counts the same")
        print(f"map-reduce took {map_reduce_seconds:.2f} s, the plain loop {loop_seconds:.2f} s")
        lp.stop()

    def _map_reduce(self, paths: list[Path]) -> Counter[str]:
        maps = [
            lp.submit(mapper.map, batch)
            for mapper, batch in zip(itertools.cycle(self._mappers), batches(paths), strict=False)
        ]
        adds = [
            lp.submit(reducer.add, part)
            for mapped in futures.as_completed(maps)
            for reducer, part in zip(self._reducers, mapped.result(), strict=True)
        ]
        for added in adds:
            added.result()  # raises what the reducer raised
        counts: Counter[str] = Counter()
        for reduced in [lp.submit(reducer.counts) for reducer in self._reducers]:
            counts.update(reduced.result())
        return counts


def batches(paths: list[Path]) -> Iterator[list[Path]]:
    for start in range(0, len(paths), BATCH_SIZE):
        yield paths[start : start + BATCH_SIZE]


def report(counts: Counter[str], num_files: int) -> None:
    print(f"{num_files:,} files have {counts.total():,} words, {len(counts):,} different ones")
    for word, count in counts.most_common(NUM_TOP_WORDS):
        print(f"{count:>12,}  {word}")


def check(counts: Counter[str], expected: Counter[str]) -> None:
    """Raise if the two differ, naming some of the words that do."""
    wrong = sorted(word for word in counts | expected if counts[word] != expected[word])
    if wrong:
        examples = ", ".join(
            f"{word!r} {counts[word]} times instead of {expected[word]}" for word in wrong[:5]
        )
        raise RuntimeError(f"map-reduce counts {len(wrong)} words wrongly: {examples}")


def make_program(num_mappers: int = 4, num_reducers: int = 2, max_files: int = 0) -> lp.Program:
    """Declare the mappers, the reducers and the driver; `max_files` = 0 means all files."""
    if min(num_mappers, num_reducers) < 1:
        raise ValueError("map-reduce needs at least one mapper and one reducer")
    program = lp.Program("mapreduce")
    with program.group("mapper"):
        mappers = [
            program.add_node(lp.CourierNode(Mapper, num_reducers)) for _ in range(num_mappers)
        ]
    with program.group("reducer"):
        reducers = [program.add_node(lp.CourierNode(Reducer)) for _ in range(num_reducers)]
    program.add_node(lp.PyClassNode(Driver, mappers, reducers, max_files), label="driver")
    return program
