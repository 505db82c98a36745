"""Runs the user's code in this process, and says what went wrong in it."""

from __future__ import annotations

import contextlib
import traceback
from typing import TYPE_CHECKING

from launchpad_lite.errors import LauncherUnavailableError, ProgramError, RunError, UsageError
from launchpad_lite.frames import format_error, from_user_code, is_machinery

if TYPE_CHECKING:
    from collections.abc import Generator

_CLEAR = (LauncherUnavailableError, ProgramError, RunError, UsageError)
"""These say all there is to say; any other exception needs its traceback."""

_ORIGINAL = {
    "launchpad": ("launchpad", "--compat"),
    "courier": ("launchpad", "--compat"),
    "reverb": ("reverb", "--compat_reverb"),
}
"""Packages of others: whose they are, and the flag that lets this package stand in for them."""


class UserCodeError(ProgramError):
    """The user's file, or its factory, raised.

    Attributes:
      trace: the traceback, from where the user's code begins.
    """

    def __init__(self, message: str, trace: str) -> None:
        """Keep one line on what failed, and the traceback."""
        self.trace = trace
        super().__init__(message)


@contextlib.contextmanager
def calling(what: str, *, may_exit: bool = False) -> Generator[None]:
    """Run the user's code inside this block.

    Args:
      what: the code, as the subject of a sentence.
      may_exit: whether the code may end this process with SystemExit.

    Raises:
      UserCodeError: the code raised.
      LaunchpadError: the code was told by this package what is wrong; with the place in it.
    """
    try:
        yield
    except (UsageError, ProgramError) as error:
        place = _place(error)
        if place is not None and place.rpartition(":")[0] not in str(error):
            error.add_note(f"at {place}")
        raise
    except _CLEAR:
        raise
    except SystemExit as error:
        if may_exit:
            raise
        message = f"{what} tried to end the command, with SystemExit({error.code!r})."
        raise UserCodeError(message, format_error(error)) from error
    except Exception as error:
        message = f"{what} raised {type(error).__name__}."
        if isinstance(error, ModuleNotFoundError) and error.name in _ORIGINAL:
            original, flag = _ORIGINAL[error.name]
            message += f" A program for google-deepmind/{original} runs with lp-launch {flag}."
        raise UserCodeError(message, format_error(error)) from error


def _place(error: BaseException) -> str | None:
    """Return `file:line` of the innermost frame of the user's code."""
    place = None
    for frame, line in traceback.walk_tb(from_user_code(error)):
        if not is_machinery(frame.f_code.co_filename):
            place = f"{frame.f_code.co_filename}:{line}"
    return place
