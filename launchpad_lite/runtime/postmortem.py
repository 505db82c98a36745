"""Pdb on the launching terminal, at the place where a node has failed."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import fcntl
import os
import select
import sys
import tempfile
import time
import traceback
from typing import IO, TYPE_CHECKING, cast

from launchpad_lite.frames import from_user_code

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Generator
    from types import TracebackType

    from launchpad_lite.stop_token import StopToken

_POLL_S = 0.1
_MAX_LINE = 2**16


def terminal() -> str | None:
    """Return the path of the terminal that is this process's standard input; None if none is."""
    try:
        return os.ttyname(0)
    except OSError:
        return None


@dataclasses.dataclass(frozen=True)
class Debugger:
    """Starts pdb for one node after another, in whatever process of this host they are.

    A worker is in a session of its own, and so may read a terminal that is another's.

    Attributes:
      terminal: the path of the terminal.
      turn: an empty file; whoever has locked it has the terminal.
      launcher: the process whose terminal it is.
    """

    terminal: str
    turn: pathlib.Path
    launcher: int

    def __call__(self, node: str, error: BaseException, stop: StopToken) -> None:
        """Let the user look at a node that has failed; return when that is over or the run stops.

        Args:
          node: its name.
          error: what it failed with.
          stop: tells when the run stops.
        """
        trace = from_user_code(error) or error.__traceback__
        if trace is None:
            return
        try:
            # waiting comes first: what the node has just printed is shown meanwhile
            while not stop.expect(_POLL_S):
                with self._lock(fcntl.LOCK_EX) as mine:
                    if mine:
                        self._debug(node, error, trace, stop)
                        return
        except Exception as problem:  # the node's own failure is what counts
            sys.stderr.write(f"warning: {node}: pdb has ended: {problem!r}\n")

    def _debug(
        self, node: str, error: BaseException, trace: TracebackType, stop: StopToken
    ) -> None:
        # not the controlling terminal of a worker, which leads a session
        descriptor = os.open(self.terminal, os.O_RDWR | os.O_NOCTTY)
        with (
            open(descriptor, "w", encoding="utf-8", errors="replace") as screen,  # noqa: PTH123
            _held_back(),
        ):
            summary = "".join(traceback.format_exception_only(error)).strip()
            screen.write(
                f"\n{node} has failed: {summary}\n"
                "pdb is where it did; the other nodes go on. q ends pdb and reports the failure.\n"
            )
            _interact(trace, _Keyboard(descriptor, self.launcher, stop), screen)
            if stop.stopping:
                screen.write(f"\npdb ends: the run stops ({stop.reason}).\n")

    @contextlib.contextmanager
    def idle(self) -> Generator[bool]:
        """Tell whether nobody has the terminal; if so, nobody gets it inside this block."""
        with contextlib.ExitStack() as stack:
            free = True
            with contextlib.suppress(FileNotFoundError):  # the run has just ended
                free = stack.enter_context(self._lock(fcntl.LOCK_SH))
            yield free

    @contextlib.contextmanager
    def _lock(self, how: int) -> Generator[bool]:
        """Lock the turn for this block, if that can be at once; whether it could."""
        with self.turn.open("r+b") as turn:
            try:
                fcntl.flock(turn, how | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            try:
                yield True
            finally:
                fcntl.flock(turn, fcntl.LOCK_UN)  # a child that was forked may have it open


def _is_suspended(pid: int) -> bool:
    import psutil

    with contextlib.suppress(psutil.Error):  # it is gone, and this process is about to be
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    return False


class _Keyboard:
    """What is typed on a terminal, by lines, until the run stops."""

    def __init__(self, descriptor: int, launcher: int, stop: StopToken) -> None:
        self._descriptor = descriptor
        self._launcher = launcher
        self._stop = stop
        self._typed = b""

    def readline(self) -> str:
        """Return a line; an empty one at Ctrl-D, and when the run stops."""
        while b"\n" not in self._typed:
            while not self._has_come():
                if self._stop.stopping:
                    return ""
            data = os.read(self._descriptor, _MAX_LINE)
            if not data:
                break
            self._typed += data
        line, end, self._typed = self._typed.partition(b"\n")
        return (line + end).decode(errors="replace")

    def _has_come(self) -> bool:
        """Wait a moment for more; what is typed while the launcher is suspended is the shell's."""
        if _is_suspended(self._launcher):
            time.sleep(_POLL_S)
            return False
        come = select.select([self._descriptor], [], [], _POLL_S)[0]
        return bool(come) and not _is_suspended(self._launcher)


def _interact(trace: TracebackType, keyboard: _Keyboard, screen: IO[str]) -> None:
    import pdb  # noqa: T100 - it is what was asked for

    class Pdb(pdb.Pdb):
        def do_interact(self, arg: str) -> None:
            """Say what to do instead: it would read standard input, which is elsewhere."""
            self.error("no interpreter here; begin a statement with ! at this prompt")

    # pdb calls nothing but `readline` of what it reads from
    debugger = Pdb(stdin=cast("IO[str]", keyboard), stdout=screen, nosigint=True)
    debugger.reset()
    with contextlib.suppress(pdb.Restart):  # `run` ends it too
        debugger.interaction(None, trace)


@contextlib.contextmanager
def _held_back() -> Generator[None]:
    """Keep what this process writes to a terminal until the end of this block."""
    held = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]
    with contextlib.ExitStack() as stack:
        kept = stack.enter_context(tempfile.TemporaryFile())
        if held:
            stack.callback(_write_out, kept, os.dup(held[0]))
        for descriptor in held:
            real = os.dup(descriptor)
            _flush()
            os.dup2(kept.fileno(), descriptor)
            stack.callback(_put_back, real, descriptor)
        atexit.register(stack.close)  # this thread may never get that far
        stack.callback(atexit.unregister, stack.close)
        yield


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # replaced by something, or closed
            stream.flush()


def _put_back(real: int, descriptor: int) -> None:
    _flush()
    os.dup2(real, descriptor)
    os.close(real)


def _write_out(kept: IO[bytes], real: int) -> None:
    kept.seek(0)
    with open(real, "wb") as terminal:
        terminal.write(kept.read())
