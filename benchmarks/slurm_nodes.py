"""What the measured jobs run. Imports little: it would count against them."""

from __future__ import annotations

import pathlib
import time
from typing import TYPE_CHECKING

import launchpad_lite as lp

if TYPE_CHECKING:
    from benchmarks.trivial import Trivial


class Caller:
    """Calls all others, one after the other, writes down when, and waits for the end."""

    def __init__(self, others: list[Trivial], note: str) -> None:
        """Prepare.

        Args:
          others: those it calls.
          note: the file that it writes: the times of the first answer and of the last.
        """
        self._others = others
        self._note = pathlib.Path(note)

    def run(self) -> None:
        """Call them."""
        times: list[float] = []
        for each in reversed(self._others):  # the last is on another machine
            each.pid()
            times.append(time.time())
        new = self._note.with_suffix(".new")
        new.write_text(f"{times[0]} {times[-1]}")
        new.rename(self._note)
        lp.wait_for_stop()
