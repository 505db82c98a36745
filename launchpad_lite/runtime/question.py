"""What is to become of a run at Ctrl-C, asked on the launching terminal."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_ASK, _WITHDRAW, _END = b"?", b"-", b"."
_ANSWERS = ("s", "d", "c")
_MAX_LINE = 2**10


def has_terminal() -> bool:
    """Whether somebody can be asked: a person at a terminal, and not at a Python prompt."""
    return os.isatty(0) and os.isatty(2) and not hasattr(sys, "ps1")


class Question:
    """Asks whether a run is to be stopped, or left alone. Signal handlers may ask.

    A thread waits for the answer, so that the second Ctrl-C is heard meanwhile.
    """

    def __init__(self, run_id: str, detach: Callable[[], object]) -> None:
        """Prepare.

        Args:
          run_id: the run.
          detach: lets it go on without this process.
        """
        self._run_id = run_id
        self._detach = detach
        self._stop: Callable[[], object] = detach
        self._open = False
        self._reading, self._writing = pipe = os.pipe()
        weakref.finalize(self, _close, pipe)  # not before: a signal may come at any time
        self._thread = threading.Thread(target=self._run, name="lp-question", daemon=True)

    def start(self) -> None:
        """Be ready to ask."""
        self._thread.start()

    def ask(self, stop: Callable[[], object]) -> bool:
        """Ask, and return at once; return whether it is being asked.

        It is not if it was being asked: then the question is withdrawn.

        Args:
          stop: stops the run.
        """
        asks = not self._open
        self._open, self._stop = asks, stop
        os.write(self._writing, _ASK if asks else _WITHDRAW)
        return asks  # and not what is open now: it may have been answered

    @contextlib.contextmanager
    def idle(self) -> Generator[bool]:
        """Tell whether nothing is being asked; see `Debugger.idle`."""
        yield not self._open

    def end(self) -> None:
        """Ask no more: the run has ended."""
        os.write(self._writing, _END)

    def _run(self) -> None:
        while (told := os.read(self._reading, 1)) != _END:
            if told == _ASK and not self._put():
                break
        self._open = False

    def _put(self) -> bool:
        """Ask until it is answered or withdrawn; return whether there is more to ask."""
        self._say("stop it, or detach, so that it goes on without this terminal?")
        while True:
            choices = "s stops it, as Ctrl-C once more does; d detaches; c goes on as before: "
            self._say(choices, end="")
            if self._reading in select.select([0, self._reading], [], [])[0]:
                return os.read(self._reading, 1) != _END
            answer = _read()
            self._open = answer not in _ANSWERS
            if answer == "s":
                self._stop()
            elif answer == "d":
                self._detach()
            if not self._open:
                return answer != "d"

    def _say(self, text: str, end: str = "\n") -> None:
        with contextlib.suppress(OSError):
            os.write(2, f"\n{self._run_id}: {text}{end}".encode())


def _read() -> str:
    """Return the first letter of a line, or `d` if the terminal is gone."""
    line = b""
    with contextlib.suppress(OSError):
        line = os.read(0, _MAX_LINE)
    return line.decode(errors="replace").strip().lower()[:1] if line else "d"


def _close(pipe: tuple[int, int]) -> None:
    for descriptor in pipe:
        os.close(descriptor)
