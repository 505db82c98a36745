"""Which process something belongs to, told so that a later process of the same number is not it."""

from __future__ import annotations

import contextlib
import os

import msgspec


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """A process that holds something as long as it lives; what it wrote in a file may outlive it.

    Attributes:
      pid: its number.
      process_started: when it was started, in seconds since 1970.
    """

    pid: int
    process_started: float

    @classmethod
    def this_process(cls) -> Owner:
        """Return the calling process."""
        import psutil  # takes a moment, and few processes need it

        return cls(pid=os.getpid(), process_started=psutil.Process().create_time())

    def is_alive(self) -> bool:
        """Whether that process is still there."""
        import psutil

        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.process_started) < 1
            return same and process.status() != psutil.STATUS_ZOMBIE
        return False
