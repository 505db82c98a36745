"""Which process something belongs to, told so that a later process of the same number is not it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time

import msgspec

_ANSWER_S = 20.0  # for a scheduler that is busy
_REMEMBERED_S = 5.0  # so that nobody asks a scheduler in a loop

_answers: dict[tuple[str, ...], tuple[float, bool | None]] = {}


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """A process that holds something as long as it lives; what it wrote in a file may outlive it.

    Attributes:
      pid: its number.
      process_started: when it was started, in seconds since 1970.
      host: the name of the machine that it is on; empty for this one.
      job: where it is no process of this host: what it is, for people.
      asks: the command that prints something as long as that is there.
      ends: and the command that ends it.
      tells: the command that prints what state that is in, also when it has ended.
      log: the file of what it has printed.
      dashboard: where it is a job of a Ray cluster that this host is outside of: the cluster's
        dashboard, which is not asked here.
    """

    pid: int
    process_started: float
    host: str = ""
    job: str = ""
    asks: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    tells: tuple[str, ...] = ()
    log: str = ""
    dashboard: str = ""

    @classmethod
    def this_process(cls) -> Owner:
        """Return the calling process."""
        import psutil  # takes a moment, and few processes need it

        started = psutil.Process().create_time()
        return cls(pid=os.getpid(), process_started=started, host=os.uname().nodename)

    @classmethod
    def elsewhere(
        cls,
        job: str,
        asks: tuple[str, ...] = (),
        ends: tuple[str, ...] = (),
        *,
        tells: tuple[str, ...] = (),
        log: str = "",
        dashboard: str = "",
    ) -> Owner:
        """Return what a scheduler knows, or a dashboard."""
        return cls(
            pid=0,
            process_started=0.0,
            job=job,
            asks=asks,
            ends=ends,
            tells=tells,
            log=log,
            dashboard=dashboard,
        )

    @property
    def title(self) -> str:
        """What it is, for people."""
        where = f" on {self.host}" if self._is_elsewhere else ""
        return self.job or f"process {self.pid}{where}"

    def fate(self) -> str:
        """Return what has become of what a scheduler holds, for people; empty if unknown."""
        state = ""
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            if self.tells:
                state = subprocess.run(
                    self.tells, capture_output=True, text=True, timeout=_ANSWER_S, check=True
                ).stdout.strip()
        log = f"its log: {self.log}" if self.log else ""
        return "; ".join(known for known in (state, log) if known)

    def is_alive(self) -> bool:
        """Whether it is still there; so it is taken to be if that cannot be found out here now."""
        if self.asks:
            return self.ask() is not False
        if self._is_elsewhere:
            return True
        import psutil

        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.process_started) < 1
            return same and process.status() != psutil.STATUS_ZOMBIE
        return False

    def end(self) -> bool:
        """End what a scheduler holds; return whether it has been told."""
        if not self.ends:
            return False
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(self.ends, capture_output=True, timeout=_ANSWER_S, check=True)
            _answers.pop(self.asks, None)
            return True
        return False

    def ask(self) -> bool | None:
        """Return whether what a scheduler holds is still there; None if there is no answer now."""
        known = _answers.get(self.asks)
        if known is not None and time.monotonic() - known[0] < _REMEMBERED_S:
            return known[1]
        there = None
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(
                self.asks, capture_output=True, text=True, timeout=_ANSWER_S, check=False
            )
            if done.returncode == 0:
                there = bool(done.stdout.strip())
            elif _is_unknown(done.stderr):
                there = False
        _answers[self.asks] = time.monotonic(), there
        return there

    @property
    def _is_elsewhere(self) -> bool:
        """Whether it is on another machine, of which files here tell."""
        return bool(self.dashboard) or self.host not in ("", os.uname().nodename)


def _is_unknown(complaint: str) -> bool:
    """Whether a scheduler says that it knows no such job."""
    return "invalid" in complaint.lower()
