"""Leaving a process tidily at Ctrl-C, as the original offers it."""

from __future__ import annotations

import atexit
import signal
import sys
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    import types
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


def _exit(number: int, _: types.FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # what is registered for the exit is not interrupted
    sys.stderr.write(f"{signal.Signals(number).name}: exiting\n")
    raise SystemExit(0)


def exit_gracefully_on_sigint() -> None:
    """Let Ctrl-C end this process with exit code 0, after its exit handlers."""
    signal.signal(signal.SIGINT, _exit)


def exit_gracefully_on_sigquit() -> None:
    r"""Let Ctrl-\ end this process with exit code 0, after its exit handlers."""
    signal.signal(signal.SIGQUIT, _exit)


def register_exit_handler(
    handler: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> Callable[P, R]:
    """Call a function when this process exits; return the function."""
    return atexit.register(handler, *args, **kwargs)


def register_exit_handler_and_exit_gracefully_on_sigint(
    handler: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> Callable[P, R]:
    """Do both of what the name says; return the function."""
    registered = register_exit_handler(handler, *args, **kwargs)
    exit_gracefully_on_sigint()
    return registered
