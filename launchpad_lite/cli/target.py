"""The target: which file or module is meant, and which function in it."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import importlib
import importlib.util
import os
import pathlib
import sys
from typing import TYPE_CHECKING, cast

from launchpad_lite import source
from launchpad_lite.cli.user_code import UserCodeError, calling
from launchpad_lite.errors import UsageError

if TYPE_CHECKING:
    import types
    from collections.abc import Iterable

FORMS = "file.py, file.py:factory, module or module:factory"
_SUFFIXES = ("", ".py")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """Where a program's code is.

    Attributes:
      shown: the file or module, as the user wrote it.
      path: its file, absolute.
      module: the module's name; None for a file.
      factory: the function that was named, if one was.
    """

    shown: str
    path: str
    module: str | None
    factory: str | None


def resolve(text: str) -> Target:
    """Find the file or module that is meant, and let it import what lies beside it.

    Nothing of the user's is run, except the packages that a module is in.

    Args:
      text: as on the command line.

    Raises:
      UsageError: there is no such file or module, it cannot hold a program, or the working
        directory has been removed.
    """
    source.working_directory()
    place, factory = _split_factory(text)
    if os.sep in place or place.endswith(".py") or pathlib.Path(place).exists():
        path = _file(place)
        _put_first_on_path(os.path.dirname(os.path.realpath(path)))  # noqa: PTH120 - a string
        return Target(shown=place, path=path, module=None, factory=factory)
    _put_first_on_path(str(pathlib.Path.cwd()))
    return Target(shown=place, path=_module_file(place), module=place, factory=factory)


def _split_factory(text: str) -> tuple[str, str | None]:
    place, colon, factory = text.rpartition(":")
    if not colon or pathlib.Path(text).exists():
        place, factory = text, ""
    elif not factory.isidentifier():
        message = f"{text}: {factory!r} is not the name of a function. A target is {FORMS}."
        raise UsageError(message)
    if not place:
        message = f"{text!r} names no file and no module. A target is {FORMS}."
        raise UsageError(message)
    return place, factory or None


def _file(place: str) -> str:
    path = pathlib.Path(place)
    if path.is_symlink() and not path.exists():
        message = f"{place} is a link to {path.readlink()}, which is not there."
        raise UsageError(message)
    if not path.exists() and not path.suffix:
        path = path.with_suffix(".py")
    if not path.exists():
        beside = path.parent.glob("*.py") if path.parent.is_dir() else ()
        message = f"there is no file {place!r}{_similar(path.name, (p.name for p in beside))}"
        raise UsageError(message)
    if path.is_dir():
        message = f"{place} is a directory. Give a file in it, or a module with dots: {FORMS}."
        raise UsageError(message)
    if not path.is_file() or path.suffix not in _SUFFIXES:
        message = f"{place} is not a Python file."
        raise UsageError(message)
    return os.path.abspath(path)  # noqa: PTH100 - symbolic links stay as they were given


def _module_file(name: str) -> str:
    if not all(part.isidentifier() for part in name.split(".")):
        message = f"there is no file {name!r}, and no module can have this name."
        raise UsageError(message)
    try:
        with calling(f"importing the package of {name}"):
            spec = importlib.util.find_spec(name)
    except UserCodeError as error:
        cause = error.__cause__
        if not isinstance(cause, ModuleNotFoundError) or not _is_part(cause.name, name):
            raise
        spec = None
    if spec is None:
        near = _similar(f"{name}.py", (path.name for path in pathlib.Path().glob("*.py")))
        message = f"there is no file and no module {name!r}{near}"
        raise UsageError(message)
    if not spec.has_location or spec.origin is None or not spec.origin.endswith(".py"):
        message = f"module {name!r} has no Python source ({spec.origin or 'a mere directory'})."
        raise UsageError(message)
    return spec.origin


def _is_part(missing: str | None, name: str) -> bool:
    return missing is not None and f"{name}.".startswith(f"{missing}.")


def _similar(word: str, names: Iterable[str]) -> str:
    matches = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {matches[0]!r}?" if matches else "."


def _put_first_on_path(directory: str) -> None:
    """Do what Python does when it runs a file, or a module with -m."""
    if sys.flags.safe_path:
        sys.path.insert(0, directory)
    else:
        sys.path[:1] = [directory]


def parse(target: Target) -> ast.Module:
    """Read a target's source without running it.

    Raises:
      UsageError: it cannot be read, or it is empty.
      UserCodeError: it is not valid Python.
    """
    try:
        text = importlib.util.decode_source(pathlib.Path(target.path).read_bytes())
    except OSError as error:
        message = f"{target.shown} cannot be read: {error.strerror}."
        raise UsageError(message) from error
    except (UnicodeDecodeError, SyntaxError) as error:
        message = f"{target.shown} is not Python source: {error}."
        raise UsageError(message) from error
    if "\0" in text:
        message = f"{target.shown} is not Python source: it has null bytes."
        raise UsageError(message)
    if not text.strip():
        message = f"{target.shown} is empty."
        raise UsageError(message)
    with calling(f"compiling {target.shown}"):
        # not ast.parse, which would be in the traceback
        tree = compile(text, target.path, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    return cast("ast.Module", tree)


def load(target: Target) -> types.ModuleType:
    """Import a target, once, under the name that workers import it under.

    Raises:
      UserCodeError: its code raised.
    """
    reason = (
        f"{target.shown} calls lp.launch() when it is imported, and every worker imports it. Put "
        "the call under `if __name__ == '__main__':`."
    )
    with calling(f"importing {target.shown}"), source.refusing_launch(reason):
        if target.module is not None:
            return importlib.import_module(target.module)
        return source.load_main(target.path)
