"""What mypy and pyright say of programs: nothing of good ones, the marked lines of bad ones.

A mark at the end of a line names the rules that each checker must report there:

    producer.wrok(1)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import launchpad_lite as lp
from tests.helpers import require_backend

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
GOOD = sorted(HERE.glob("good_*.py"))
BAD = sorted(HERE.glob("bad_*.py"))
CHECK_SECONDS = 100

_MARK = re.compile(r"  # E:(?P<checkers>(?: (?:mypy|pyright)\[[\w,-]+\])+)$")

Rules = dict[str, set[str]]
"""Rules by `file:line`."""


def marks(checker: str, name: str, source: str) -> Rules:
    """What `source` says that a checker reports."""
    found: Rules = {}
    for number, line in enumerate(source.splitlines(), start=1):
        mark = _MARK.search(line)
        assert mark or "# E:" not in line, f"{name}:{number}: a mark that cannot be read"
        for rules in re.findall(rf"\b{checker}\[([^]]+)\]", mark["checkers"] if mark else ""):
            found[f"{name}:{number}"] = set(rules.split(","))
    return found


def differences(expected: Rules, reported: Rules) -> Iterator[str]:
    """One line for each place where the two are not the same."""
    for place in sorted({*expected, *reported}):
        want, have = expected.get(place, set()), reported.get(place, set())
        if want != have:
            yield f"{place}: expected {sorted(want)}, reported {sorted(have)}"


def run_mypy(_: Path) -> Iterator[tuple[str, int, str]]:
    """File, line and rule of each of mypy's errors."""
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    result = _run([*command, "--output=json", *map(str, [*GOOD, *BAD])], ROOT)
    for line in result.splitlines():
        report: dict[str, Any] = json.loads(line)
        if report["severity"] == "error":
            yield report["file"], report["line"], report["code"]


def run_pyright(place: Path) -> Iterator[tuple[str, int, str]]:
    """File, line and rule of each of pyright's errors."""
    # The package's own settings exclude the bad programs, even when they are asked for by name.
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    config = settings["tool"]["pyright"] | {"include": ["."], "exclude": []}
    config["extraPaths"] = [str(ROOT)]
    (place / "pyrightconfig.json").write_text(json.dumps(config))
    for path in [*GOOD, *BAD]:
        shutil.copy(path, place)
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    result = _run([*command, "--outputjson", "--project", str(place)], place)
    report: dict[str, Any] = json.loads(result)
    assert report["summary"]["filesAnalyzed"] == len([*GOOD, *BAD]), result
    for problem in report["generalDiagnostics"]:
        if problem["severity"] == "error":
            line = problem["range"]["start"]["line"] + 1
            yield problem["file"], line, problem.get("rule", "syntax")


def _run(command: list[str], directory: Path) -> str:
    result = subprocess.run(
        command,
        cwd=directory,
        env=os.environ | {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
        capture_output=True,
        text=True,
        timeout=CHECK_SECONDS,
        check=False,
    )
    assert result.returncode in {0, 1}, result.stdout + result.stderr
    return result.stdout


CHECKERS: Mapping[str, Callable[[Path], Iterator[tuple[str, int, str]]]] = {
    "mypy": run_mypy,
    "pyright": run_pyright,
}


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_exactly_the_marked_lines_are_reported(checker: str, tmp_path: Path) -> None:
    missing = importlib.util.find_spec(checker) is None
    require_backend(checker, "it is not installed" if missing else None)
    expected: Rules = {}
    for path in [*GOOD, *BAD]:
        expected |= marks(checker, path.name, path.read_text())
    reported: defaultdict[str, set[str]] = defaultdict(set)
    for file, line, rule in CHECKERS[checker](tmp_path):
        reported[f"{Path(file).name}:{line}"].add(rule)
    assert "\n".join(differences(expected, reported)) == ""


def test_good_programs_have_no_marks_and_bad_ones_have_many() -> None:
    for checker in CHECKERS:
        assert not any(marks(checker, path.name, path.read_text()) for path in GOOD)
        assert all(len(marks(checker, path.name, path.read_text())) > 10 for path in BAD)
    assert len(GOOD) == len(BAD) == 3


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> list[ModuleType]:
    """The good programs, imported."""
    loaded: list[ModuleType] = []
    for path in GOOD:
        spec = importlib.util.spec_from_file_location(f"typing_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        spec.loader.exec_module(module)
        loaded.append(module)
    return loaded


@pytest.mark.parametrize("launcher", ["thread", "process"])
def test_a_plan_can_be_made_of_what_type_checkers_accept(
    modules: list[ModuleType], launcher: str
) -> None:
    programs: list[lp.Program] = [
        function()
        for module in modules
        for name, function in vars(module).items()
        if name.startswith("make_") and function.__annotations__["return"] == "lp.Program"
    ]
    assert len(programs) == 7
    for program in programs:
        assert lp.plan(program, launcher).workers


# The readers themselves.


def test_marks_are_read_for_each_checker() -> None:
    source = "a\nb  # E: mypy[x,y] pyright[z]\nc  # E: pyright[w]\n"
    assert marks("mypy", "f", source) == {"f:2": {"x", "y"}}
    assert marks("pyright", "f", source) == {"f:2": {"z"}, "f:3": {"w"}}


@pytest.mark.parametrize("line", ["a # E: mypy[x]", "a  # E: mpy[x]", "a  # E: mypy", "a  # E:"])
def test_a_mark_that_cannot_be_read_is_an_error(line: str) -> None:
    with pytest.raises(AssertionError, match="f:1: a mark that cannot be read"):
        marks("mypy", "f", line)


def test_differences_are_found_both_ways() -> None:
    same = {"f:1": {"a", "b"}}
    assert list(differences(same, same)) == []
    assert list(differences({"f:1": {"a"}, "f:2": {"b"}}, {"f:2": {"c"}, "f:3": {"d"}})) == [
        "f:1: expected ['a'], reported []",
        "f:2: expected ['b'], reported ['c']",
        "f:3: expected [], reported ['d']",
    ]
