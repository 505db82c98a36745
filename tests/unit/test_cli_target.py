"""Which file or module a target means."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from launchpad_lite.cli import target
from launchpad_lite.cli.user_code import UserCodeError
from launchpad_lite.errors import UsageError


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["replaced", *sys.path[1:]])
    (tmp_path / "program.py").write_text("x = 1")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "train").write_text("x = 1")
    (tmp_path / "odd:name.py").write_text("x = 1")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "file", "factory"),
    [
        ("program.py", "program.py", None),
        ("program.py:build", "program.py", "build"),
        ("./program", "program.py", None),
        ("./program:build", "program.py", "build"),
        ("sub/train", "sub/train", None),
        ("sub/../program.py", "sub/../program.py", None),
        ("odd:name.py", "odd:name.py", None),
        ("odd:name.py:build", "odd:name.py", "build"),
    ],
)
def test_files(place: Path, text: str, file: str, factory: str | None) -> None:
    found = target.resolve(text)
    assert found.path == os.path.abspath(place / file)  # noqa: PTH100 - links stay
    assert (found.module, found.factory) == (None, factory)
    assert sys.path[0] == os.path.realpath(Path(found.path).parent)
    assert "replaced" not in sys.path


def test_a_link_is_followed_for_the_modules_beside_it(place: Path) -> None:
    (place / "link.py").symlink_to(place / "sub" / "train")
    found = target.resolve("link.py")
    assert found.path == str(place / "link.py")
    assert sys.path[0] == str(place / "sub")


def test_modules(place: Path) -> None:
    assert target.resolve("program:build") == target.Target(
        shown="program", path=str(place / "program.py"), module="program", factory="build"
    )
    assert sys.path[0] == str(place)
    assert target.resolve("xml.dom.minidom").path.endswith("minidom.py")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' names no file and no module"),
        (":build", "':build' names no file and no module"),
        ("program.py:3", "'3' is not the name of a function"),
        ("sub/trane", "there is no file 'sub/trane'"),
        ("progam.py", "there is no file 'progam.py'; did you mean 'program.py'?"),
        ("elsewhere/program.py", "there is no file 'elsewhere/program.py'."),
        ("progam", "there is no file and no module 'progam'; did you mean 'program.py'?"),
        ("two words", "there is no file 'two words'"),
        ("program.part", "there is no file and no module 'program.part'"),
        ("xml.nowhere", "there is no file and no module 'xml.nowhere'"),
        ("sys", "module 'sys' has no Python source (built-in)"),
        ("sub", "sub is a directory"),
        ("/dev/null", "/dev/null is not a Python file"),
    ],
)
def test_what_is_not_there(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        target.resolve(text)
    assert message in str(caught.value)


def test_a_package_that_raises(place: Path) -> None:
    (place / "broken_package").mkdir()
    (place / "broken_package" / "__init__.py").write_text("import nowhere_at_all")
    with pytest.raises(UserCodeError) as caught:
        target.resolve("broken_package.module")
    assert "importing the package of broken_package.module" in str(caught.value)
    assert "No module named 'nowhere_at_all'" in caught.value.trace
    assert "importlib" not in caught.value.trace


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "program.py is empty."),
        (b" \n\n", "program.py is empty."),
        (b"\xff\xfe\x00", "program.py is not Python source"),
        (b"# coding: nonsense\nx = 1", "program.py is not Python source"),
        (b"x = 1\0", "program.py is not Python source: it has null bytes."),
    ],
)
def test_what_cannot_be_read(place: Path, content: bytes, message: str) -> None:
    (place / "program.py").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        target.parse(target.resolve("program.py"))
    assert message in str(caught.value)


def test_a_file_that_may_not_be_read(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    found = target.resolve("program.py")
    monkeypatch.setattr(Path, "read_bytes", refuse)  # root may read anything
    with pytest.raises(UsageError) as caught:
        target.parse(found)
    assert str(caught.value) == "program.py cannot be read: Permission denied."


def test_a_syntax_error_shows_its_place_only(place: Path) -> None:
    (place / "program.py").write_text("x = 1\ndef f(:\n")
    with pytest.raises(UserCodeError) as caught:
        target.parse(target.resolve("program.py"))
    assert caught.value.trace.startswith(f'  File "{place}/program.py", line 2\n')
    assert "SyntaxError" in caught.value.trace
