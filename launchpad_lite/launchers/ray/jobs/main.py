"""What a job runs: the launching process of a run inside of the cluster.

`python -m launchpad_lite.launchers.ray.jobs.main RUN`
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from launchpad_lite.errors import ExitCode, LaunchpadError, brief
from launchpad_lite.launchers.ray import home, inside
from launchpad_lite.launchers.ray.addresses import VARIABLE
from launchpad_lite.launchers.ray.jobs import letters
from launchpad_lite.launchers.ray.jobs.letters import Box
from launchpad_lite.launchers.ray.jobs.reports import Escaping, Reporter
from launchpad_lite.runtime.rundir import RunDirectory
from launchpad_lite.runtime.signals import signals

if TYPE_CHECKING:
    from launchpad_lite.launchers.following import Following
    from launchpad_lite.launchers.ray.jobs.letters import Word

PATIENCE_S = 30.0
"""Seconds without a word after which the launching process is taken to be gone."""

_REPORT_S = 2.0


class _Listener:
    """Passes on what the launching process wants."""

    def __init__(self, box: Box, *, patience: float | None) -> None:
        self._box = box
        self._patience = patience  # None: there need be no words
        self._following: Following | None = None
        self._passed_on = (False, False)

    def start(self) -> None:
        threading.Thread(target=self._listen, name="lp-ray-words", daemon=True).start()

    def begun(self, following: Following) -> None:
        self._following = following

    def _listen(self) -> None:
        last, since = 0, time.monotonic()
        while True:
            word = self._box.word()
            if word is not None and word.number != last:
                last, since = word.number, time.monotonic()
                self._heed(word)
            if self._patience is not None and time.monotonic() - since > self._patience:
                self._stop(f"its launching process has not been heard of for {self._patience:g} s")
                return
            time.sleep(letters.BEAT_S / 2)

    def _heed(self, word: Word) -> None:
        wanted = (word.stop is not None, word.immediately)
        if word.stop is not None and wanted != self._passed_on:
            self._passed_on = wanted
            self._stop(word.stop, immediately=word.immediately)

    def _stop(self, reason: str, *, immediately: bool = False) -> None:
        if self._following is not None:
            self._following.request_stop(reason, immediately=immediately)
        else:  # it is heeded while the run begins
            os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Run the program of the run that is the first argument, and end the process."""
    run_id = sys.argv[1]
    stream = Escaping(sys.stdout.buffer, encoding="utf-8", line_buffering=True)
    sys.stdout = stream
    reporter = Reporter(stream)
    box = Box(run_id, os.environ[VARIABLE])
    code: int = ExitCode.OK
    error: LaunchpadError | None = None
    try:
        _run(run_id, box, reporter)
    except LaunchpadError as failure:
        code, error = failure.exit_code, failure
    except SystemExit as ending:  # by SIGTERM: the job was told to end
        code = ending.code if isinstance(ending.code, int) else ExitCode.NODE_FAILED
    finally:
        box.clear()
    reporter.end(error)
    if error is not None:
        sys.stderr.write(f"{brief(error)}\n")
    sys.exit(code)


def _run(run_id: str, box: Box, reporter: Reporter) -> None:
    program = box.program()
    listener = _Listener(box, patience=PATIENCE_S if program.is_watched else None)
    listener.start()
    for entry in map(os.path.abspath, program.plan.source.sys_path):
        if entry not in sys.path:  # agents preload modules
            sys.path.append(entry)
    with home.root(run_id) as root:
        with signals.held():
            following = inside.begin(
                program.plan,
                program.options,
                lambda: RunDirectory.create(run_id, root),
                table=program.table,
                heard=reporter.status,
            )
            run = following.start()
            listener.begun(following)
        threading.Thread(
            target=_report, args=(following, reporter), name="lp-ray-reports", daemon=True
        ).start()
        run.wait()


def _report(following: Following, reporter: Reporter) -> None:
    """Say where the run's nodes are, of which the controller tells who asks."""
    while not following.ended.wait(_REPORT_S):
        reporter.status(following.status())


if __name__ == "__main__":
    main()
