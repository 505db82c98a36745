"""The command `lp-launch`: picks what to do, and ends with the exit code of what happened."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import IO, TYPE_CHECKING

from launchpad_lite.cli.commands import COMMANDS
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
from launchpad_lite.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

_SIGPIPE = 128 + 13


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
      arguments: the command line, without the command; None for this process's.

    Returns:
      The exit code, see `errors.ExitCode`.

    Raises:
      SystemExit: a script that was run ended like this, or the run was stopped by a signal.
    """
    for name in ("stdout", "stderr"):  # closed by whoever started the command
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _dispatch(given)
        sys.stdout.flush()
    except LaunchpadError as error:
        _report(error)
        if _threads_are_left(error):
            os._exit(error.exit_code)
        return error.exit_code
    except KeyboardInterrupt as error:
        if not error.args and not _is_command(given):  # with them, it was said when a run stopped
            _say("interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # the reader of what we print has gone, such as `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _SIGPIPE
    except OSError as error:  # of ours, such as a state directory that cannot be written
        _report(UsageError(describe_os_error(error)))
        if not _is_writable(sys.stdout):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.USAGE
    return code


def _dispatch(given: list[str]) -> int:
    if _is_command(given):
        return COMMANDS[given[0]].run(given[1:])
    if given == ["--version"]:
        sys.stdout.write(f"{__version__}\n")
        return ExitCode.OK
    from launchpad_lite.cli import launch

    return launch.run(given)


def _is_writable(stream: IO[str]) -> bool:
    """Whether what waits to be written can be; the interpreter tries again at its end."""
    try:
        stream.flush()
    except OSError:
        return False
    return True


def _is_command(given: list[str]) -> bool:
    return bool(given) and given[0] in COMMANDS


def _report(error: LaunchpadError) -> None:
    lines = [brief(error), *getattr(error, "__notes__", ())]
    trace = error.trace if isinstance(error, UserCodeError) else ""
    _say("\n".join(lines).rstrip(), trace)


def _say(text: str, before: str = "") -> None:
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{before}lp-launch: {text}\n")
        sys.stderr.flush()


def _threads_are_left(error: LaunchpadError) -> bool:
    """Whether the interpreter would wait, at its end, for threads of a run that went wrong."""
    if isinstance(error, NodesStuck):
        return True
    main_thread = threading.main_thread()
    others = [thread for thread in threading.enumerate() if thread is not main_thread]
    return isinstance(error, RunError) and not all(thread.daemon for thread in others)


if __name__ == "__main__":
    sys.exit(main())
