"""Ctrl-C and TERM in the launching process: once for a clean stop, twice for an immediate one.

A run that can go on without this process may have a question put before the first.

One handler serves all runs of the process. It is installed from the main thread only, calls the
handler that was there before, and is put back when the last run has ended.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator

    from launchpad_lite.runtime.held import HeldRun
    from launchpad_lite.runtime.question import Question

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_DEFAULTS = (signal.default_int_handler, signal.SIG_DFL, signal.SIG_IGN, None)


class _Signals:
    def __init__(self) -> None:
        self._runs: dict[HeldRun, int] = {}
        self._questions: dict[HeldRun, Question] = {}
        self._before: dict[int, Any] = {}
        self._held = 0
        self._early = 0  # a signal that came before the run that is being launched

    def add(self, run: HeldRun, question: Question | None = None) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if question is not None:
            self._questions[run] = question
        self._runs[run] = 0
        self._install()
        if self._early:
            number, self._early = self._early, 0
            self._stop(run, number)

    def remove(self, run: HeldRun) -> int:
        """Forget a run that has ended; return the signal that stopped it, 0 if none did."""
        self._questions.pop(run, None)
        number = self._runs.pop(run, 0)
        if threading.current_thread() is threading.main_thread():
            self._put_back()
        return number

    def heard(self, run: HeldRun) -> bool:
        """Whether a signal has stopped a run."""
        return self._runs.get(run, 0) != 0

    @property
    def early(self) -> bool:
        """Whether a signal has come while a run is being launched, and waits for it; see `held`."""
        return self._early != 0

    def _install(self) -> None:
        if not self._before:
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._on_signal)

    def _put_back(self) -> None:
        if self._runs or self._held:
            return
        for each, before in self._before.items():
            if signal.getsignal(each) == self._on_signal:  # not one that was set meanwhile
                signal.signal(each, before)
        self._before = {}

    def forget(self) -> None:
        """Forget all runs, in a child that was forked; it has no controller to tell."""
        self._runs.clear()
        self._questions.clear()

    @contextlib.contextmanager
    def held(self) -> Generator[None]:
        """While the main thread is in this block, let signals stop runs and not interrupt it.

        A run that is launched in the block is stopped by a signal that came before there was one.
        What follows the block reports the signal, when the run has ended. If no run came of it,
        the end of the block does.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._held += 1
        self._install()
        try:
            yield
        finally:
            self._held -= 1
            early = 0
            if not self._held:
                early, self._early = self._early, 0
            before = self._before.get(early)
            self._put_back()
            if early and before in _DEFAULTS:  # the user's own has been called
                _pass_on(early, None, before)

    def _on_signal(self, number: int, frame: Any) -> None:
        live = [run for run in list(self._runs) if not run.ended.is_set()]
        for run in live:
            self._stop(run, number)
        before = self._before.get(number)
        if not self._held:
            _pass_on(number, frame, before)
            return
        if not live:
            self._early = number
        if before not in _DEFAULTS:
            _pass_on(number, frame, before)

    def _stop(self, run: HeldRun, number: int) -> None:
        question = self._questions.get(run)
        if (
            question is None
            or number != signal.SIGINT
            or self.heard(run)
            or not question.ask(functools.partial(self._stop_now, run, number))
        ):
            self._stop_now(run, number)

    def _stop_now(self, run: HeldRun, number: int) -> None:
        name = signal.Signals(number).name
        again = self._runs.get(run, 0) != 0
        self._runs[run] = number
        run.request_stop(name, immediately=again)
        text = "ending at once" if again else "stopping; once more to end at once"
        with contextlib.suppress(OSError):  # not sys.stderr, which may be in the middle of it
            os.write(2, f"\n{name}: {run.run_id}: {text}\n".encode())


def _pass_on(number: int, frame: Any, handler: Any) -> None:
    """Do what would have been done without us."""
    if callable(handler):
        handler(number, frame)
    elif handler is signal.SIG_DFL:
        raise SystemExit(128 + number)


signals = _Signals()
