"""Ctrl-C and TERM in the launching process: once for a clean stop, twice for an immediate one.

One handler serves all runs of the process. It is installed from the main thread only, calls the
handler that was there before, and is put back when the last run has ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator

    from launchpad_lite.runtime.controller import Controller

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Signals:
    def __init__(self) -> None:
        self._runs: dict[Controller, int] = {}
        self._before: dict[int, Any] = {}
        self._held = 0

    def add(self, run: Controller) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        self._runs[run] = 0
        if not self._before:
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._on_signal)

    def remove(self, run: Controller) -> int:
        """Forget a run that has ended; return the signal that stopped it, 0 if none did."""
        number = self._runs.pop(run, 0)
        main = threading.current_thread() is threading.main_thread()
        if main and not self._runs and self._before:
            for each, before in self._before.items():
                if signal.getsignal(each) == self._on_signal:  # not one that was set meanwhile
                    signal.signal(each, before)
            self._before = {}
        return number

    def forget(self) -> None:
        """Forget all runs, in a child that was forked; it has no controller to tell."""
        self._runs.clear()
        self.waiting = 0

    @contextlib.contextmanager
    def held(self) -> Generator[None]:
        """While the main thread is in this block, let signals stop runs and not interrupt it.

        What follows the block reports the signal, when the run has ended.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    def _on_signal(self, number: int, frame: Any) -> None:
        name = signal.Signals(number).name
        live = [run for run in list(self._runs) if not run.ended.is_set()]
        for run in live:
            again = self._runs.get(run, 0) != 0
            self._runs[run] = number
            run.request_stop(name, immediately=again)
            text = "ending at once" if again else "stopping; once more to end at once"
            with contextlib.suppress(OSError):  # not sys.stderr, which may be in the middle of it
                os.write(2, f"\n{name}: {run.run_id}: {text}\n".encode())
        before = self._before.get(number)
        if live and self._held:
            if before not in (signal.default_int_handler, signal.SIG_DFL, signal.SIG_IGN, None):
                before(number, frame)
        elif callable(before):
            before(number, frame)
        elif before is signal.SIG_DFL:
            raise SystemExit(128 + number)


signals = _Signals()
