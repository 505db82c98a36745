"""The run directory on the launching machine, kept as a job's log tells it."""

from __future__ import annotations

import collections
import dataclasses
import fcntl
import os
from typing import TYPE_CHECKING

from launchpad_lite.launchers.ray.jobs import reports
from launchpad_lite.launchers.ray.jobs.reports import End, Where
from launchpad_lite.launchers.ray.keeping import Keeper
from launchpad_lite.runtime.supervisor import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from launchpad_lite.runtime.rundir import RunDirectory
    from launchpad_lite.runtime.status import RunStatus

_LOCK = "mirror.lock"


class Mirror:
    """Takes a job's log from its beginning.

    Several processes may do so for one directory: who follows the run, and who looks at it. Each
    adds what the others have not, and none writes over the end. What cannot be written is missing,
    and the run goes on.

    Attributes:
      status: where the run is.
      end: how it has ended; None while it has not.
    """

    def __init__(self, directory: RunDirectory, status: RunStatus) -> None:
        """Begin with nothing.

        Args:
          directory: the run's.
          status: where it was when it was submitted.
        """
        self.status = status
        self.end: End | None = None
        self._directory = directory
        self._taken = {node.name: 0 for node in status.nodes}
        self._keeper = Keeper(directory)

    def take(self, lines: Iterable[str]) -> Iterator[RunStatus | str]:
        """Take lines; yield statuses, and what is neither a report nor a node's."""
        before = self.status
        fresh: dict[str, list[str]] = collections.defaultdict(list)
        for line in lines:
            name = self._whose(line)
            report = None if name is not None else reports.read(line)
            if name is not None:
                fresh[name].append(reports.printed(line.removeprefix(f"[{name}] ")))
            elif isinstance(report, Where):
                self.status = reports.merged(self.status, report.status)
                yield self.status
            elif isinstance(report, End):
                self.end = report
                self._append(fresh)
                self.ended("" if report.error is None else str(report.error).splitlines()[0])
                return
            else:
                yield line
        self._append(fresh)
        if self.status is not before:
            self._keep()

    def ended(self, error: str) -> None:
        """Note the end, also one that the job has not reported."""
        self.status = dataclasses.replace(self.status, phase=Phase.ENDED.value, error=error)
        self._keep()
        with self._keeper.keeping():
            self._directory.remove_rendezvous()

    def _keep(self) -> None:
        """Write the status, unless the end is there; what the job has reported of it is better."""
        with self._keeper.keeping(), (self._directory.path / _LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = self._directory.status()
            if self.end is not None or kept is None or kept.phase != Phase.ENDED.value:
                self._directory.write_status(self.status)

    def _whose(self, line: str) -> str | None:
        """Return the node that a line is of."""
        at = line.find("] ") if line.startswith("[") else -1
        while at > 0:
            if line[1:at] in self._taken:
                return line[1:at]
            at = line.find("] ", at + 1)
        return None

    def _append(self, fresh: dict[str, list[str]]) -> None:
        for name, lines in fresh.items():
            data = "".join(f"{line}\n" for line in lines).encode()
            begin = self._taken[name]
            self._taken[name] = begin + len(data)
            with self._keeper.keeping(), self._directory.log(name).open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                there = os.fstat(file.fileno()).st_size
                file.write(data[max(0, there - begin) :])
