"""Which runs can be seen from here, and which of them a word means."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Self

from launchpad_lite.cli.cluster_runs import ClusterRun
from launchpad_lite.cli.directory_runs import DirectoryRun
from launchpad_lite.cli.job_runs import JobRun
from launchpad_lite.errors import LauncherUnavailableError, LaunchpadError, UsageError
from launchpad_lite.launchers.ray import addresses, cluster, finding, raylets
from launchpad_lite.launchers.ray.options import LOCAL, RayOptions
from launchpad_lite.runtime import rundir

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from launchpad_lite.cli.seen import SeenRun
    from launchpad_lite.runtime.rundir import RunDirectory

_SHOWN = 8


class Sight:
    """Looks for runs in their directories, and in a Ray cluster, which it joins until its end.

    That is the one which was named; then it looks nowhere else. Or it is that which this machine is
    a node of; it is joined only for what the directories do not tell.
    """

    def __init__(self, address: str | None) -> None:
        """Take the address of a Ray cluster; None for this machine's."""
        self._address = address
        self._joined = contextlib.ExitStack()
        self._looked: list[str] = []
        self._problem = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._joined.close()

    def runs(self) -> list[SeenRun]:
        """Return the runs.

        Raises:
          UsageError: what was named is no address.
          LauncherUnavailableError: there is no such cluster here.
        """
        here = self._of_directories()
        there = self._of_cluster()
        self._tell()
        known = {run.run_id for run in here}
        return [*here, *(run for run in there if run.run_id not in known)]

    def find(self, word: str) -> SeenRun:
        """Return the run that a word means: its name, or the beginning of it.

        If several runs begin with it and only one of them lives, it is that one: of those with
        directories here first, then of those in the cluster. Only then those that have ended.

        Args:
          word: as on the command line.

        Raises:
          UsageError: there is no such run, or more than one; or what was named is no address.
          LauncherUnavailableError: there is no such cluster here.
        """
        known: list[SeenRun] = []
        begin: list[SeenRun] = []
        for look in (self._of_directories, self._of_cluster):
            names = {run.run_id for run in known}
            known += [run for run in look() if run.run_id not in names]
            begin = [run for run in known if run.run_id.startswith(word)]
            if any(run.run_id == word or run.is_alive() for run in begin):
                break
        if begin:
            self._tell()
            return _choose(word, begin)
        where = ", nor in ".join(self._looked)
        number = "A run has a name, and is not known by the number of a job. "
        message = (
            f"there is no run {word!r} in {where}. {number if word.isdecimal() else ''}"
            f"Runs: {_names(known)}. `lp-launch ps --all` lists them. {self._problem}"
        )
        raise UsageError(message.strip())

    def _tell(self) -> None:
        if self._problem:
            sys.stderr.write(f"lp-launch: {self._problem}\n")

    def _of_directories(self) -> Sequence[SeenRun]:
        if self._address is not None:
            return []
        self._looked.append(str(rundir.runs_root()))
        return [run for directory in rundir.list_runs() for run in _of_directory(directory)]

    def _of_cluster(self) -> Sequence[SeenRun]:
        address = self._address
        if address is not None:
            _check(address)
        elif cluster.installed():
            address = raylets.started_cluster()
        if address is None:
            return []
        try:
            joined = cluster.Cluster.join(RayOptions(address=address))
        except LaunchpadError as error:
            if self._address is not None:
                raise
            self._problem = f"this machine's Ray cluster cannot be looked into: {error}"
            return []
        self._joined.callback(joined.leave)
        self._looked.append(f"the Ray cluster at {joined.gcs_address}")
        return [ClusterRun(found) for found in finding.runs()]


def _of_directory(directory: RunDirectory) -> Iterator[SeenRun]:
    """Yield the run, unless it is a directory of that name with the logs of this machine."""
    owner = directory.owner()
    if owner is not None and owner.dashboard:
        yield JobRun(directory, owner.dashboard)
    elif directory.is_here() or owner is not None:
        yield DirectoryRun(directory)


def _check(address: str) -> None:
    """Find out, sooner than Ray does, that a cluster cannot be looked into from here.

    Raises:
      UsageError: what was named is no address of one.
      LauncherUnavailableError: there is none, or this machine is none of it.
    """
    if address == LOCAL or "://" in address:
        message = (
            f"--ray_address={address}: a cluster is looked into from one of its machines; use auto "
            "or host:port. From elsewhere: `ray job submit --address URL -- lp-launch ps`"
        )
        raise UsageError(message)
    addresses.check(address)
    if not cluster.installed():
        message = f"--ray_address={address}: {cluster.MISSING}"
        raise LauncherUnavailableError(message)
    if not raylets.is_node():
        message = (
            f"--ray_address={address}: this machine is no node of a Ray cluster. Look into it from "
            "a machine that is one."
        )
        raise LauncherUnavailableError(message)


def _choose(word: str, begin: Sequence[SeenRun]) -> SeenRun:
    """Return the run that a word means, of those that begin with it.

    Raises:
      UsageError: it is not clear which.
    """
    meant = [run for run in begin if run.run_id == word] or begin
    if len(meant) > 1:
        meant = [run for run in meant if run.is_alive()]
    if len(meant) == 1:
        return meant[0]
    message = f"{len(begin)} runs begin with {word!r}: {_names(begin)}. Give more of the name."
    raise UsageError(message)


def _names(runs: Sequence[SeenRun]) -> str:
    names = dict.fromkeys(run.run_id for run in runs)
    return ", ".join(list(names)[:_SHOWN]) or "none"
