"""What launchers share whose controller lives in the launching process."""

from __future__ import annotations

import functools
import logging
import os
import pathlib
import pickle
import shutil
import sys
import tempfile
import threading
from typing import TYPE_CHECKING, Any

from launchpad_lite import context
from launchpad_lite.courier import socket_dir, transports
from launchpad_lite.credentials import Credentials
from launchpad_lite.endpoint import LOOPBACK
from launchpad_lite.errors import UsageError, describe_os_error
from launchpad_lite.runtime import control, postmortem
from launchpad_lite.runtime.controller import Controller
from launchpad_lite.runtime.run import Run
from launchpad_lite.runtime.rundir import RunDirectory, file_name, new_run_id, tail
from launchpad_lite.runtime.scope import RunScope
from launchpad_lite.runtime.signals import signals
from launchpad_lite.runtime.worker import WorkerBoot
from launchpad_lite.stop_token import StopToken

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.courier.server import Server
    from launchpad_lite.launchers.base import LaunchOptions
    from launchpad_lite.planning import LaunchPlan, WorkerSpec
    from launchpad_lite.runtime.backend import Backend
    from launchpad_lite.runtime.fleet import Place
    from launchpad_lite.runtime.postmortem import Debugger

HANDLERS_S = 1.0
"""Seconds that a run's end waits for the stop handlers of the launching code."""

_log = logging.getLogger(__name__)


class LocalRun:
    """The parts of a run on this host, before and while it runs.

    Attributes:
      run_id: the run's name.
      credentials: what its servers and clients prove to each other.
      directory: its run directory, if it keeps one.
      debugger: for nodes that fail; None where it was not asked for, or there is no terminal.
    """

    def __init__(
        self,
        plan: LaunchPlan,
        options: LaunchOptions,
        *,
        directory: RunDirectory | None = None,
        credentials: Credentials | None = None,
        host: str | None = None,
    ) -> None:
        """Make the run's directory, if it keeps one.

        Args:
          plan: the plan.
          options: what is shown and kept.
          directory: one that the run has already.
          credentials: those that it has already.
          host: the address of this host that nodes reach the controller by; None if they are on
            this host too.

        Raises:
          UsageError: the place for checkpoints cannot be written to.
          OSError: the run directory cannot be made or written to; nothing of it is left.
        """
        if plan.config.checkpoint_dir is not None:
            _check_checkpoints(pathlib.Path(plan.config.checkpoint_dir))
        self.plan = plan
        self.host = host or LOOPBACK
        self._controller_scheme = "tcp" if host else transports.between_processes()
        self.run_id = new_run_id(plan.program) if directory is None else directory.run_id
        self.credentials = credentials or Credentials.create(tls=plan.config.encrypts)
        self.directory = directory
        if directory is None and options.keep_directory:
            self.directory = RunDirectory.create(self.run_id)
            try:
                self.directory.write_plan(str(plan))
            except BaseException:
                self.directory.remove()
                raise
        self._socket_dir: str | None = None
        self._own_log_dir: str | None = None
        self._stop = StopToken()
        self._noticing: threading.Thread | None = None
        self._server: Server | None = None
        self._lock = threading.Lock()
        self._ended = False
        self.debugger = self._make_debugger() if plan.config.pdb else None

    def _make_debugger(self) -> Debugger | None:
        terminal = postmortem.terminal()
        if terminal is None:
            sys.stderr.write(
                "warning: pdb: standard input is not a terminal; nodes that fail are not debugged\n"
            )
            return None
        place = self.directory.path if self.directory else self._log_dir
        turn = place / "terminal.lock"
        turn.touch(mode=0o600)
        return postmortem.Debugger(terminal, turn, os.getpid())

    @property
    def socket_dir(self) -> str:
        """A private directory whose path is short enough for sockets; removed with the run."""
        if self._socket_dir is None:
            self._socket_dir = socket_dir.make()
        return self._socket_dir

    @property
    def _log_dir(self) -> pathlib.Path:
        """Where logs are if there is no run directory; removed with the run."""
        if self._own_log_dir is None:
            self._own_log_dir = tempfile.mkdtemp(prefix="lp-logs-")
        return pathlib.Path(self._own_log_dir)

    @property
    def leavings(self) -> list[str]:
        """What is left of the run should this process be killed, but for the run directory."""
        return [self.socket_dir, str(self.alive)]

    @property
    def alive(self) -> pathlib.Path:
        """What is there as long as the run is."""
        return self.directory.rendezvous_file if self.directory else self._log_dir

    def log(self, node: str) -> pathlib.Path:
        """Return a node's log file; it goes with the run where no run directory is kept."""
        if self.directory is not None:
            return self.directory.log(node)
        return self._log_dir / f"{file_name(node)}.log"

    def checkpoint(self, node: str) -> pathlib.Path | None:
        """Return where a node saves and restores."""
        if self.plan.config.checkpoint_dir is not None:
            return pathlib.Path(self.plan.config.checkpoint_dir).absolute() / file_name(node)
        return self.directory.checkpoints / file_name(node) if self.directory else None

    def boot(
        self,
        spec: WorkerSpec,
        incarnation: int,
        *,
        controller: str,
        schemes: tuple[str, ...],
        host: str,
        socket_dir: str,
        hears_term: bool,
    ) -> bytes:
        """Return a worker's pickled `WorkerBoot`; see there."""
        plan = self.plan
        return pickle.dumps(
            WorkerBoot(
                program=plan.program,
                label=spec.label,
                index=spec.index,
                group_size=spec.group_size,
                run_id=self.run_id,
                incarnation=incarnation,
                seed=spec.seed,
                has_run=spec.has_run,
                payload=spec.payload,
                source=spec.source,
                config=plan.config,
                controller=controller,
                credentials=self.credentials,
                schemes=schemes,
                host=host,
                hears_term=hears_term,
                socket_dir=socket_dir,
                checkpoint=self.checkpoint(spec.name),
                debugger=self.debugger,
            )
        )

    def boot_at(self, spec: WorkerSpec, incarnation: int, place: Place) -> bytes:
        """Return the same for a worker at a place of a fleet, once the controller is served."""
        return self.boot(
            spec,
            incarnation,
            controller=self.serve_controller(),
            schemes=self.schemes("inproc", "unix", "tcp"),
            host=place.address,
            socket_dir=place.socket_dir,
            hears_term=False,
        )

    def start(self, backend: Backend, *, shows_output: bool = False) -> Run:
        """Start the controller and the workers.

        Args:
          backend: the workers.
          shows_output: whether this process shows what their logs hold.

        Raises:
          LaunchpadError: the workers could not be started; nothing is left.
        """
        directory = self.directory
        self.controller = Controller(
            self.plan,
            self.run_id,
            backend,
            log_tail=lambda node: tail(self.log(node)),
            on_change=directory.write_status if directory else lambda _: None,
            shows_output=shows_output,
        )
        self.scope = self.make_scope(self._stop, ())
        self.controller.at_notice(self._give_notice)
        self.controller.at_end(self._clean_up)
        context.add_run(self.scope)
        signals.add(self.controller)
        try:
            self.controller.start()
        except BaseException:
            signals.remove(self.controller)
            raise
        return Run(self.controller, self.scope, directory.path if directory else None)

    def make_scope(
        self, stop: StopToken, schemes: tuple[str, ...], incarnation: int = 0
    ) -> RunScope:
        """Return a scope inside this process: the launching code's, or a node's."""
        return RunScope(
            run_id=self.run_id,
            stop=stop,
            config=self.plan.config,
            credentials=self.credentials,
            schemes=schemes,
            socket_dir=self.socket_dir if "unix" in schemes else None,
            incarnation=incarnation,
            directory=self.controller.directory,
            follow=self.controller.directory.get,
            control=self.controller,
            names=self.plan.name_of,
            host=self.host,
            debugger=self.debugger,
        )

    def schemes(self, *default: str) -> tuple[str, ...]:
        """Return what the nodes' servers listen on: one transport where the user has chosen it."""
        chosen = self.plan.config.transport
        return default if chosen is None else (chosen,)

    def serve_controller(self, *more: Callable[..., Any]) -> str:
        """Let other processes reach the controller; return its endpoint.

        Args:
          *more: methods that the launcher adds.
        """
        scheme = self._controller_scheme
        with self._lock:
            if self._server is None and not self._ended:
                scope = self.make_scope(self._stop, (scheme,))
                self._server = control.serve(self.controller, scope, more)
                if self.directory is not None:
                    endpoint = self._server.endpoints[0]
                    self.directory.write_rendezvous(endpoint, self.credentials)
            return self._server.endpoints[0] if self._server is not None else ""

    def offer_controller(self) -> None:
        """Let other terminals reach the controller, where the run can do without them."""
        try:
            self.serve_controller()
        except OSError as error:
            _log.warning(
                "%s: other terminals cannot reach it: %s", self.run_id, describe_os_error(error)
            )

    def _give_notice(self, seconds: float, reason: str) -> threading.Thread:
        """Call the stop handlers of the launching code, which may take their time."""
        notice = functools.partial(self._stop.notice, seconds, reason)
        self._noticing = threading.Thread(target=notice, name="lp-notice", daemon=True)
        self._noticing.start()
        return self._noticing

    def _clean_up(self) -> None:
        context.remove_run(self.scope)
        reason = self.controller.status().reason or "its nodes have ended"
        noticing = self._noticing or self._give_notice(0.0, reason)
        noticing.join(HANDLERS_S)  # not for ever: a handler may wait for the end of the run
        self._stop.close(reason=reason)
        with self._lock:
            self._ended = True
            server = self._server
        if server is not None:
            server.Stop(grace=1.0)
        if self.directory is not None:
            self.directory.remove_rendezvous()
        if self.debugger is not None:
            self.debugger.turn.unlink(missing_ok=True)
        for path in (self._socket_dir, self._own_log_dir):
            if path is not None:
                shutil.rmtree(path, ignore_errors=True)


def _check_checkpoints(directory: pathlib.Path) -> None:
    """Find out now, not when nodes save, that a directory cannot be written to."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"?")
    except OSError as error:
        message = f"checkpoints cannot be written to {directory}: {error.strerror}."
        raise UsageError(message) from error
