"""Tells the user's stack frames from this package's and the interpreter's machinery."""

from __future__ import annotations

import os
import pathlib
import sys
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

_PACKAGE = f"{pathlib.Path(__file__).parent}{os.sep}"
_CONFORMANCE = f"{_PACKAGE}testing{os.sep}conformance{os.sep}"
_MACHINERY = (_PACKAGE, "<frozen importlib", "<frozen runpy")


def is_machinery(file: str) -> bool:
    """Whether code of this file runs the user's; the conformance suites' nodes are the user's."""
    return file.startswith(_MACHINERY) and not file.startswith(_CONFORMANCE)


def user_place() -> str:
    """Return `file:line` of the innermost caller outside this package."""
    frame = sys._getframe(1)  # noqa: SLF001 - the documented way to a caller
    while frame.f_back is not None and is_machinery(frame.f_code.co_filename):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def from_user_code(error: BaseException) -> TracebackType | None:
    """Return an exception's traceback from where the user's code begins; None where it does not."""
    entry = error.__traceback__
    while entry is not None and is_machinery(entry.tb_frame.f_code.co_filename):
        entry = entry.tb_next
    return entry


def format_error(error: BaseException) -> str:
    """Return an exception as Python prints it, from where the user's code begins."""
    trace = from_user_code(error)
    if trace is None and not isinstance(error, SyntaxError):  # which shows its place itself
        trace = error.__traceback__
    return "".join(traceback.format_exception(type(error), error, trace))
