"""The actor that holds a run together: it asks for room, and has the run's controller."""

from __future__ import annotations

import contextlib
import logging
import os
import pathlib
import pickle
import threading
import time
from typing import TYPE_CHECKING

from launchpad_lite.errors import LaunchpadError, RunError, Stopped
from launchpad_lite.launchers.ray import home, packing
from launchpad_lite.launchers.ray.cluster import Cluster, load
from launchpad_lite.launchers.ray.layout import lay_out
from launchpad_lite.launchers.ray.messages import Begun, Over, Told
from launchpad_lite.launchers.ray.outbox import Outbox
from launchpad_lite.launchers.ray.placement import Placement
from launchpad_lite.launchers.ray.run import ActorsRun
from launchpad_lite.launchers.telling import Teller
from launchpad_lite.runtime.log_reader import LogReader
from launchpad_lite.runtime.rundir import RunDirectory

if TYPE_CHECKING:
    from collections.abc import Generator

    from launchpad_lite.launchers.ray.messages import Submission

_PATIENCE_S = 30.0
"""Seconds that a question for news waits for them: nobody may be there any more to hear them."""


class Head:
    """The actor. All that comes and goes is pickled here, not by Ray."""

    def __init__(self) -> None:
        """Begin without a run."""
        self._outbox = Outbox()
        self._lock = threading.Lock()
        self._run: ActorsRun | None = None
        self._has: tuple[RunDirectory, LogReader] | None = None
        self._detached = False
        self._stopping: tuple[str, bool] | None = None

    # --- what the launching process calls ---

    def hold(self, submission: bytes) -> None:
        """Run a program to its end.

        Args:
          submission: the packed `Submission`.
        """
        with contextlib.ExitStack() as kept:
            error = self._run_all(submission, kept)
            if self._has is not None:
                self._has[1].finish()  # who hears that it is over may end this actor
        try:
            self._outbox.put(Over(error))
        except Exception as problem:  # it cannot be pickled
            self._outbox.put(Over(RunError(f"{error} ({problem})")))
        if self._detached:
            if self._run is None:  # its launching process still wants to hear that, and ends it
                time.sleep(_PATIENCE_S)
            else:
                with contextlib.suppress(Exception):  # its status tells it too
                    self._held()[0].write_outcome(error)
            load().actor.exit_actor()

    def news(self, seen: int) -> list[bytes]:
        """Return what is new, or nothing after some time: pickled `News`.

        Args:
          seen: how many news are known already.
        """
        return self._outbox.take(seen, _PATIENCE_S)

    def stop(self, reason: str, immediately: bool) -> None:  # noqa: FBT001 - Ray passes it on
        """Ask for the end of the run, also before it has begun."""
        with self._lock:
            self._stopping = self._stopping or (reason, immediately)
            run = self._run
        if run is not None:
            run.controller.request_stop(reason, immediately=immediately)

    def status(self) -> bytes:
        """Return the pickled `RunStatus`; see `Controller`."""
        return pickle.dumps(self._begun().controller.status())

    def metrics(self) -> bytes:
        """Return the pickled `RunMetrics`; see `Controller`."""
        return pickle.dumps(self._begun().controller.metrics())

    def rendezvous(self) -> bytes:
        """Return how to reach the controller: the pickled `Rendezvous`."""
        run = self._begun()
        if self.is_over():
            message = "the run has ended"
            raise Stopped(message)
        return pickle.dumps(run.rendezvous)

    def logs(
        self,
        seen: dict[str, int],
        names: list[str] | None = None,
        patience_s: float = _PATIENCE_S,
    ) -> dict[str, bytes]:
        """Return what is new in the nodes' logs; nothing after some time, or when it is over.

        Args:
          seen: how many bytes of each node's log are known already, by the nodes' names.
          names: the nodes whose logs are wanted; None for all.
          patience_s: seconds to wait for something new.
        """
        return self._held()[1].read(seen, patience_s, names)

    def is_over(self) -> bool:
        """Whether the run has ended, and no more comes in its nodes' logs."""
        return self._held()[1].over

    def directory(self) -> str:
        """Return where the run's directory is, for people: `host:path`."""
        return f"{os.uname().nodename}:{self._held()[0].path}"

    # --- its own ---

    def _tell(self, logger: str, level: int, text: str) -> None:
        self._outbox.put(Told(logger, level, text))

    def _held(self) -> tuple[RunDirectory, LogReader]:
        if self._has is None:
            raise _not_begun()
        return self._has

    def _begun(self) -> ActorsRun:
        if self._run is None:
            raise _not_begun()
        return self._run

    def _run_all(self, submission: bytes, kept: contextlib.ExitStack) -> LaunchpadError | None:
        """Run a program; return what it has failed of.

        Args:
          submission: see `hold`.
          kept: is closed when nobody reads the run's logs any more.
        """
        with Teller(self._tell).telling():
            try:
                given: Submission = packing.unpack(submission)
                self._detached = given.options.detach
                directory = kept.enter_context(_directory(given))
                logs = {each.name: directory.log(each.name) for each in given.plan.workers}
                self._has = directory, LogReader(logs)
                try:
                    self._hold(given, directory)
                finally:
                    if self._run is None and given.directory is None:
                        directory.remove()
            except LaunchpadError as failure:
                return failure
            except Exception as problem:
                logging.getLogger(__name__).exception("the run failed")
                return RunError(f"the controller failed: {problem!r}")
        return None

    def _hold(self, given: Submission, directory: RunDirectory) -> None:
        cluster = Cluster.here(local=given.local)
        bundles = lay_out(given.plan.workers, given.options, cluster.machines())
        placement = Placement(cluster, bundles, given.options, directory.run_id)
        placement.wait(lambda: self._stopping is not None)
        try:
            run = ActorsRun(given, directory, cluster, placement)
            started = run.start()
        except BaseException:
            placement.remove()
            raise
        with self._lock:
            self._run = run
            stopping = self._stopping
        if stopping is not None:
            run.controller.request_stop(stopping[0], immediately=stopping[1])
        self._outbox.put(Begun(run.rendezvous))
        if self._detached:
            self._outbox.close()
        for status in run.controller.watch():
            self._outbox.put(status)
        started.wait()


@contextlib.contextmanager
def _directory(given: Submission) -> Generator[RunDirectory]:
    """Return the run's directory, made here if the launching process could not."""
    if given.directory is not None:
        yield RunDirectory(pathlib.Path(given.directory))
        return
    with home.root(given.run_id) as root:
        directory = RunDirectory.create(given.run_id, root)
        directory.write_plan(given.table)
        yield directory


def _not_begun() -> Stopped:
    return Stopped("the run has not begun")
