"""How a command ends: what its errors look like, and its exit code."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import IO, TYPE_CHECKING

from launchpad_lite.cli.user_code import UserCodeError
from launchpad_lite.errors import (
    ExitCode,
    LaunchpadError,
    NodesStuck,
    RunError,
    UsageError,
    brief,
    describe_os_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_SIGPIPE = 128 + 13


def run(command: str, body: Callable[[], int], *, tells: bool = True) -> int:
    """Do what a command does, and tell what went wrong.

    Args:
      command: its name.
      body: does it, and returns the exit code.
      tells: whether an interrupt is told of, unless it was already.

    Returns:
      The exit code, see `errors.ExitCode`.

    Raises:
      SystemExit: the body ended like this.
    """
    for name in ("stdout", "stderr"):  # closed by whoever started the command
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    try:
        code = body()
        sys.stdout.flush()
    except LaunchpadError as error:
        _report(command, error)
        if _threads_are_left(error):
            os._exit(error.exit_code)
        return error.exit_code
    except KeyboardInterrupt as error:
        if not error.args and tells:  # with them, it was said when a run stopped
            _say(command, "interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # the reader of what we print has gone, such as `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _SIGPIPE
    except OSError as error:  # of ours, such as a state directory that cannot be written
        _report(command, UsageError(describe_os_error(error)))
        if not _is_writable(sys.stdout):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.USAGE
    return code


def _is_writable(stream: IO[str]) -> bool:
    """Whether what waits to be written can be; the interpreter tries again at its end."""
    try:
        stream.flush()
    except OSError:
        return False
    return True


def _report(command: str, error: LaunchpadError) -> None:
    lines = [brief(error), *getattr(error, "__notes__", ())]
    trace = error.trace if isinstance(error, UserCodeError) else ""
    _say(command, "\n".join(lines).rstrip(), trace)


def _say(command: str, text: str, before: str = "") -> None:
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{before}{command}: {text}\n")
        sys.stderr.flush()


def _threads_are_left(error: LaunchpadError) -> bool:
    """Whether the interpreter would wait, at its end, for threads of a run that went wrong."""
    if isinstance(error, NodesStuck):
        return True
    main_thread = threading.main_thread()
    others = [thread for thread in threading.enumerate() if thread is not main_thread]
    return isinstance(error, RunError) and not all(thread.daemon for thread in others)
