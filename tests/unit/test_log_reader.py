"""Logs for those who have no way to the files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import pytest

from launchpad_lite.runtime import log_reader
from launchpad_lite.runtime.log_reader import LogReader
from launchpad_lite.runtime.shipping import CHUNK_BYTES

AT_ONCE_S = 0.0
LONG_S = 3600.0

Later = futures.ThreadPoolExecutor


@pytest.fixture
def logs(tmp_path: Path) -> dict[str, Path]:
    return {name: tmp_path / name.replace("/", "-") for name in ("a/0", "a/1", "b/0")}


@pytest.fixture
def later() -> Iterator[Later]:
    with Later() as pool:
        yield pool


def add(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_what_is_new_is_read_once(logs: dict[str, Path]) -> None:
    reader = LogReader(logs)
    assert reader.read({}, AT_ONCE_S) == {}
    add(logs["a/0"], b"one\n")
    add(logs["b/0"], b"\xff")
    assert reader.read({}, LONG_S) == {"a/0": b"one\n", "b/0": b"\xff"}
    add(logs["a/0"], b"two\n")
    assert reader.read({"a/0": 4, "b/0": 1}, LONG_S) == {"a/0": b"two\n"}
    assert reader.read({"a/0": 8, "b/0": 1}, AT_ONCE_S) == {}


def test_only_some_nodes_are_wanted(logs: dict[str, Path]) -> None:
    reader = LogReader(logs)
    for path in logs.values():
        add(path, b"one\n")
    assert reader.read({}, LONG_S, ["a/1", "other/0"]) == {"a/1": b"one\n"}
    assert reader.read({"a/1": 4}, AT_ONCE_S, ["a/1"]) == {}


def test_much_comes_in_parts(logs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    reader = LogReader(logs)
    data = b"x" * CHUNK_BYTES + b"the rest"
    add(logs["a/0"], data)
    parts = [reader.read({}, LONG_S)["a/0"]]
    parts.append(reader.read({"a/0": len(parts[0])}, LONG_S)["a/0"])
    assert parts == [data[:CHUNK_BYTES], b"the rest"]
    for name in ("a/1", "b/0"):
        add(logs[name], data)
    monkeypatch.setattr(log_reader, "_ANSWER_BYTES", 3 * 2**16)
    shares = {name: len(part) for name, part in reader.read({}, LONG_S).items()}
    assert shares == dict.fromkeys(logs, 2**16)


def test_what_comes_ends_the_wait(logs: dict[str, Path], later: Later) -> None:
    reader = LogReader(logs)
    answer = later.submit(reader.read, {}, LONG_S)
    assert not futures.wait([answer], 0.05).done
    add(logs["a/0"], b"one\n")
    assert answer.result(60.0) == {"a/0": b"one\n"}


def test_those_who_follow_are_waited_for(
    logs: dict[str, Path], later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "_END_S", LONG_S)
    monkeypatch.setattr(log_reader, "_PARTING_S", LONG_S)
    reader = LogReader(logs)
    heard: list[bytes] = []
    begun = threading.Event()

    def follow() -> None:
        seen = 0
        while news := reader.read({"a/0": seen}, LONG_S):
            seen += len(news["a/0"])
            heard.append(news["a/0"])
            begun.set()

    add(logs["a/0"], b"one\n")
    follower = later.submit(follow)
    assert begun.wait(60.0)
    add(logs["a/0"], b"x" * CHUNK_BYTES + b"last\n")
    end = later.submit(reader.finish)
    follower.result(60.0)
    assert b"".join(heard) == logs["a/0"].read_bytes()
    assert not end.done()
    monkeypatch.setattr(log_reader, "_PARTING_S", AT_ONCE_S)
    assert reader.read({}, AT_ONCE_S, []) == {}
    end.result(60.0)


def test_nobody_is_waited_for_who_does_not_follow(
    logs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "_END_S", LONG_S)
    reader = LogReader(logs)
    reader.finish()
    add(logs["a/0"], b"one\n")
    assert reader.read({}, LONG_S) == {"a/0": b"one\n"}
    assert reader.read({"a/0": 4}, LONG_S) == {}
