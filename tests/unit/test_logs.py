"""Lines of log files on a terminal: whole, in order, behind their node's name."""

from __future__ import annotations

import io
import os
import re
import sys
import threading
from pathlib import Path
from typing import IO

import pytest

from launchpad_lite.runtime import logs as logs_module
from launchpad_lite.runtime.logs import LinePrinter, LogViewer

COLOURED = re.compile(r"\x1b\[1;(\d+)m\[(.*?)\] \x1b\[0;0m")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def no_preference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "a-0.log"


def view(
    logs: dict[str, Path], stream: IO[str], *, prefixes: bool = True, color: str = "auto"
) -> LogViewer:
    return LogViewer(logs, LinePrinter(logs, stream, prefixes=prefixes, color=color))


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_only_whole_lines_are_shown(log: Path) -> None:
    stream = io.StringIO()
    viewer = view({"a/0": log}, stream)
    viewer.show()  # the file is not there yet
    append(log, b"one\ntw")
    viewer.show()
    assert stream.getvalue() == "[a/0] one\n"
    append(log, b"o")
    viewer.show()
    assert stream.getvalue() == "[a/0] one\n"
    append(log, b"\n\nthree\n")
    viewer.show()
    assert stream.getvalue() == "[a/0] one\n[a/0] two\n[a/0] \n[a/0] three\n"


@pytest.mark.parametrize(("color", "stream"), [("always", io.StringIO()), ("never", Terminal())])
def test_colours_can_be_chosen(color: str, stream: io.StringIO, log: Path) -> None:
    append(log, b"one\n")
    view({"a/0": log}, stream, color=color).show()
    assert ("\x1b" in stream.getvalue()) == (color == "always")


def test_every_line_has_its_nodes_name(tmp_path: Path) -> None:
    paths = {"a/0": tmp_path / "0", "a/1": tmp_path / "1"}
    stream = io.StringIO()
    viewer = view(paths, stream)
    for name, path in paths.items():
        append(path, f"{name} one\n{name} two\n{name} ".encode())
    viewer.show()
    for name, path in paths.items():
        append(path, f"{name} three\n".encode())
    viewer.show()
    for name in paths:
        lines = [line for line in stream.getvalue().splitlines() if f"[{name}]" in line]
        assert lines[:2] == [f"[{name}] {name} one", f"[{name}] {name} two"]
        assert lines[2:] == [f"[{name}] {name} {name} three"]


def test_without_prefixes(log: Path) -> None:
    stream = Terminal()
    viewer = view({"a/0": log}, stream, prefixes=False)
    append(log, b"one\n")
    viewer.show()
    assert stream.getvalue() == "one\n"


def test_a_character_in_two_pieces(log: Path) -> None:
    stream = io.StringIO()
    viewer = view({"a/0": log}, stream)
    data = "Grüße\n".encode()
    append(log, data[:3])  # ends within the ü
    viewer.show()
    append(log, data[3:])
    viewer.show()
    assert stream.getvalue() == "[a/0] Grüße\n"


def test_bytes_that_are_no_text(log: Path) -> None:
    stream = io.StringIO()
    viewer = view({"a/0": log}, stream)
    append(log, b"\xff\xfe\n")
    viewer.show()
    assert stream.getvalue() == "[a/0] \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}\n"


def test_a_terminal_that_knows_few_characters(log: Path) -> None:
    raw = io.BytesIO()
    viewer = view({"a/0": log}, io.TextIOWrapper(raw, encoding="ascii"))
    append(log, "Grüße\n".encode())
    viewer.show()
    assert raw.getvalue() == b"[a/0] Gr\\xfc\\xdfe\n"


def test_a_terminal_that_was_closed(log: Path) -> None:
    stream = io.StringIO()
    viewer = view({"a/0": log}, stream)
    append(log, b"one\n")
    stream.close()
    viewer.show()


def test_the_end_shows_what_is_left(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs_module, "INTERVAL_S", 1000.0)
    stream = io.StringIO()
    viewer = view({"a/0": log}, stream)
    viewer.start()
    append(log, b"one\nwithout an end")
    viewer.stop()
    assert stream.getvalue() == "[a/0] one\n[a/0] without an end\n"


def test_a_viewer_that_never_started_can_be_stopped(log: Path) -> None:
    view({"a/0": log}, io.StringIO()).stop()


def test_lines_are_never_torn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several nodes write in odd pieces while a viewer reads as fast as it can."""
    monkeypatch.setattr(logs_module, "INTERVAL_S", 0.0)
    names = [f"node/{index}" for index in range(3)]
    paths = {name: tmp_path / name.replace("/", "-") for name in names}
    stream = io.StringIO()
    viewer = view(paths, stream)

    def write(name: str) -> None:
        text = "".join(f"{name} line {number} {'x' * 100} end\n" for number in range(300))
        data = text.encode()
        with paths[name].open("ab", buffering=0) as file:
            for start in range(0, len(data), 37):
                file.write(data[start : start + 37])

    viewer.start()
    threads = [threading.Thread(target=write, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    viewer.stop()
    lines = stream.getvalue().splitlines()
    for name in names:
        expected = [f"[{name}] {name} line {i} {'x' * 100} end" for i in range(300)]
        assert [line for line in lines if line.startswith(f"[{name}]")] == expected
    assert len(lines) == 900


@pytest.mark.parametrize(
    ("terminal", "variables", "coloured"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": ""}, False),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colours(
    terminal: bool,
    variables: dict[str, str],
    coloured: bool,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = Terminal() if terminal else io.StringIO()
    viewer = view({"a/0": log}, stream)
    append(log, b"one\n")
    viewer.show()
    found = COLOURED.match(stream.getvalue())
    assert (found is not None) == coloured
    assert COLOURED.sub(r"[\2] ", stream.getvalue()) == "[a/0] one\n"


def test_a_group_has_one_colour(tmp_path: Path) -> None:
    names = ["actor/0", "actor/1", "learner/0"]
    paths = {name: tmp_path / name.replace("/", "-") for name in names}
    stream = Terminal()
    viewer = view(paths, stream)
    for path in paths.values():
        append(path, b"one\n")
    viewer.show()
    colours = {name: number for number, name in COLOURED.findall(stream.getvalue())}
    assert colours.keys() == set(names)
    assert colours["actor/0"] == colours["actor/1"] != colours["learner/0"]


def test_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    assert logs_module.standard_output() is stream
    monkeypatch.setattr(sys, "stdout", None)
    assert logs_module.standard_output() is sys.__stdout__
    monkeypatch.setattr(sys, "__stdout__", None)
    with logs_module.standard_output() as null:
        assert null.name == os.devnull
