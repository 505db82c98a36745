"""Finding the function that declares a program."""

from __future__ import annotations

import sys
import textwrap
import types
from pathlib import Path

import pytest

from launchpad_lite.cli import factory
from launchpad_lite.cli.target import Target
from launchpad_lite.errors import UsageError

NAME = "a_program_under_test"


def find(monkeypatch: pytest.MonkeyPatch, text: str, named: str | None = None) -> str:
    module = types.ModuleType(NAME)
    monkeypatch.setitem(sys.modules, NAME, module)
    exec(compile(textwrap.dedent(text), "program.py", "exec", dont_inherit=True), vars(module))
    target = Target(shown="program.py", path=str(Path("program.py")), module=None, factory=named)
    name, function = factory.find(module, target)
    assert getattr(module, name) is function
    return name


@pytest.mark.parametrize(
    ("text", "named", "found"),
    [
        ("def make_program(): ...\ndef b() -> Program: ...", None, "make_program"),
        ("def make_program(): ...\ndef b(): ...", "b", "b"),
        ("make_program = lambda: None", None, "make_program"),
        ("def b() -> Program: ...\ndef c() -> int: ...", None, "b"),
        ("def b() -> 'launchpad_lite.Program': ...", None, "b"),
        ("class Mine(Program): ...\ndef b() -> Mine: ...", None, "b"),
        ("P = Program\ndef b() -> P: ...", None, "b"),
        ("def _base() -> Program: ...\ndef b() -> Program: ...", None, "b"),
        ("def _base() -> Program: ...", None, "_base"),
        ("from launchpad_lite import make_program\ndef b() -> Program: ...", None, "b"),
    ],
)
def test_found(monkeypatch: pytest.MonkeyPatch, text: str, named: str | None, found: str) -> None:
    header = "import launchpad_lite\nfrom launchpad_lite import Program\n"
    assert find(monkeypatch, header + text, named) == found
    assert find(monkeypatch, f"from __future__ import annotations\n{header}{text}", named) == found


@pytest.mark.parametrize(
    ("text", "named", "message"),
    [
        ("x = 1", None, "program.py declares no program. Define make_program()"),
        ("def a(): ...\ndef b(): ...", None, "declares no program (its functions: a, b)"),
        ("from launchpad_lite.program import make_program", None, "declares no program"),
        (
            "def a() -> 'Program': ...\ndef b() -> 'Program': ...",
            None,
            "several functions that return a Program: a, b. Name one of them, such as program.py:a",
        ),
        ("def make_it(): ...", "makeit", "no function 'makeit'; did you mean 'make_it'?"),
        ("make_program = 3", None, "program.py: make_program is not a function but 3."),
    ],
)
def test_not_found(
    monkeypatch: pytest.MonkeyPatch, text: str, named: str | None, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        find(monkeypatch, text, named)
    assert message in str(caught.value)


def test_an_annotation_that_cannot_be_resolved_stays_as_it_is() -> None:
    assert factory.annotation(test_found, "Nowhere") == "Nowhere"
    assert factory.annotation(test_found, "list[int]") == list[int]
    assert factory.annotation(test_found, int) is int
