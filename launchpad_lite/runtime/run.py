"""A run: what `lp.launch` returns."""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from launchpad_lite import context, forks, validation
from launchpad_lite.config import ClientConfig, with_settings
from launchpad_lite.courier.client import client_in_run
from launchpad_lite.errors import ExitCode, LaunchpadError, UsageError, brief
from launchpad_lite.groups import node_name, worker_names
from launchpad_lite.handle import Handle
from launchpad_lite.runtime.original import OriginalManager
from launchpad_lite.runtime.signals import signals

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Sequence
    from concurrent import futures
    from types import TracebackType
    from typing import Self, Unpack

    from launchpad_lite.config import ClientSettings
    from launchpad_lite.runtime.held import HeldRun
    from launchpad_lite.runtime.measuring import RunMetrics
    from launchpad_lite.runtime.scope import RunScope
    from launchpad_lite.runtime.status import RunStatus

T = TypeVar("T")

_HEARTBEAT_S = 2.0
_SLOW_END_S = 1.0
"""Seconds after which an end that was asked for says whom it waits for."""

_log = logging.getLogger(__name__)


class Run(OriginalManager):
    """A program that runs.

    As a context manager it stops the run at the end of the block, and raises what failed.
    """

    def __init__(
        self,
        controller: HeldRun,
        scope: RunScope,
        directory: pathlib.Path | None,
        *,
        waited_for: bool = True,
    ) -> None:
        """Take over a run that was started; launchers do it.

        Args:
          controller: of the run.
          scope: of the launching code.
          directory: the run directory; None for a run that keeps none.
          waited_for: whether this process waits for its end before its own.
        """
        self._controller = controller
        self._scope = scope
        self._directory = directory
        self._interruption_reported = False
        if waited_for:
            _unwaited.add(self)

    @property
    def id(self) -> str:
        """The run's name, for `lp-launch status` and the like."""
        return self._controller.run_id

    @property
    def directory(self) -> pathlib.Path | None:
        """The run directory; None for a run that keeps none."""
        return self._directory

    def wait(
        self,
        timeout: float | Sequence[str] | None = None,
        *,
        labels_to_wait_for: Sequence[str] | None = None,
        raise_error: bool = True,
        return_on_first_completed: bool = False,
    ) -> bool:
        """Wait for the end of the run, or of some of its groups.

        Args:
          timeout: seconds; None for no limit. Labels are taken too, as in the original.
          labels_to_wait_for: the groups whose nodes are waited for; None for the whole run.
          raise_error: raise what the run failed of.
          return_on_first_completed: wait for the first of these nodes rather than for all.

        Returns:
          Whether what was waited for has come.

        Raises:
          NodeFailed: a node raised or died; with its traceback and the tail of its log.
          NodesStuck: nodes could not be ended.
          UsageError: there is no such group.
          KeyboardInterrupt: the run was stopped by Ctrl-C.
          SystemExit: the run was stopped by SIGTERM, or goes on without this process.
        """
        if timeout is not None and not isinstance(timeout, (int, float)):
            timeout, labels_to_wait_for = None, timeout
        join = self._controller.join
        if labels_to_wait_for is not None or return_on_first_completed:
            names = worker_names(self._controller.plan, labels_to_wait_for)
            first = return_on_first_completed
            join = functools.partial(self._controller.join_workers, names, first=first)
        with signals.held():
            came = self._patiently(join, timeout)
        if self._controller.ended.is_set():
            _unwaited.discard(self)
            self._report(raise_error=raise_error)
        return came

    def _patiently(self, join: Callable[[float], bool], timeout: float | None) -> bool:
        """Wait, looking up now and then.

        The kernel may hand a second Ctrl-C to another thread of the process, while the main thread,
        which alone runs Python's handlers, sleeps on.
        """
        if timeout is not None:
            return join(timeout)
        pause, named = _HEARTBEAT_S, False
        while not join(pause):
            if named or not signals.heard(self._controller):
                continue
            if pause == _SLOW_END_S:
                living = ", ".join(self._living()) or "the rest of it: its nodes have ended"
                self._say(f"still waiting for {living}")
                pause, named = _HEARTBEAT_S, True
            else:
                pause = _SLOW_END_S
        return True

    def _living(self) -> list[str]:
        if not self._controller.begun:
            return ["what was submitted: none of its nodes has begun"]
        living = ("starting", "running")
        return [node.name for node in self.status().nodes if node.state in living]

    def _say(self, text: str) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write(f"{self.id}: {text}\n")
            sys.stderr.flush()

    def wait_at_exit(self) -> None:
        """Wait for the end at the end of the interpreter, and say so."""
        if not self._controller.ended.is_set():
            self._say("waiting for its end; Ctrl-C stops it")
        self.wait()

    def _report(self, *, raise_error: bool) -> None:
        number = signals.remove(self._controller)
        if self._controller.error is not None:
            if raise_error:
                raise self._controller.error
            return
        if self._interruption_reported:
            return
        self._interruption_reported = True
        if self._controller.detached:
            raise SystemExit(ExitCode.OK)
        if number == signal.SIGINT:
            message = f"{self.id} was stopped"
            raise KeyboardInterrupt(message)
        if number:
            raise SystemExit(128 + number)

    def request_stop(self, reason: str) -> None:
        """Ask for the end of the run; returns at once.

        Args:
          reason: who asks, or why; for people.
        """
        self._controller.request_stop(reason)

    def stop(self, timeout: float | None = None) -> bool:
        """Ask for the end of the run, and wait for it as `wait` does."""
        self.request_stop("Run.stop() was called")
        return self.wait(timeout)

    def on_stop(self, handler: Callable[[], object]) -> None:
        """Call a function, in another thread, when the run begins to stop; at once if it has.

        Raises:
          UsageError: it is no function.
        """
        validation.function(handler, "run.on_stop")
        self._scope.stop.register(handler)

    def status(self) -> RunStatus:
        """Return where the run and each of its nodes are."""
        return self._controller.status()

    def metrics(self) -> RunMetrics:
        """Ask all nodes what they have counted of their calls since they started.

        Nodes that do not answer within 5 seconds are named in `silent`.
        """
        return self._controller.metrics()

    @overload
    def client(
        self, target: str, index: int = 0, **client_kwargs: Unpack[ClientSettings]
    ) -> Any: ...
    @overload
    def client(self, target: T) -> T: ...
    def client(self, target: Any, index: int = 0, **client_kwargs: Any) -> Any:
        """Return a client of a node.

        Args:
          target: the node's handle, or the label of its group.
          index: its place in the group, with a label.
          **client_kwargs: settings of a client by label, as in `courier.Client`.

        Raises:
          UsageError: there is no such node or setting, or the node offers no service.
          ContextError: the handle is of another program.
        """
        if isinstance(target, str):
            name = node_name(self._controller.plan, target, index)
            if name not in self._controller.plan.services:
                message = f"{name} offers no service: only Courier nodes do."
                raise UsageError(message)
            config = ClientConfig(max_payload_bytes=self._scope.config.max_payload_bytes)
            return client_in_run(self._scope, name, with_settings(config, client_kwargs))
        if not isinstance(target, Handle):
            message = f"run.client needs a handle or a group's label, not {target!r}."
            raise UsageError(message)
        if index or client_kwargs:
            message = "run.client: index and settings go with a label; a handle has its own."
            raise UsageError(message)
        if target.address is not None:
            self._scope.name_of(target.address)
        with context.entered(self._scope):
            return cast("Handle[Any]", target).dereference()

    def instance(self, label: str, index: int = 0) -> futures.Future[Any]:
        """Return a future of the object that a node makes, where nodes are in this process.

        Raises:
          UsageError: there is no such node, or it is in another process.
        """
        return self._controller.instance(label, index)

    def leftovers(self, timeout: float = 0.0) -> list[str]:
        """Return what the run has left behind after its end; empty unless something is wrong.

        Args:
          timeout: seconds to wait for it to go.
        """
        return self._controller.leftovers(timeout)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the run; raise what failed, unless the block itself raised."""
        try:
            self.stop()
        except LaunchpadError as failure:
            if kind is None:
                raise
            if failure is not error:
                _log.exception("the run failed too")


_unwaited: set[Run] = set()
_exit_code: int = ExitCode.OK


def _wait_at_exit() -> None:
    """Wait for runs that nobody waited for, before the interpreter takes threads away."""
    global _exit_code  # noqa: PLW0603 - the interpreter takes no exit code from here
    interactive = hasattr(sys, "ps1") or "ipykernel" in sys.modules
    with signals.held():  # a signal stops them all in order, also before they are waited for
        for run in list(_unwaited):
            try:
                if interactive:
                    run.stop()
                else:
                    run.wait_at_exit()
            except LaunchpadError as error:
                sys.stderr.write(f"{brief(error)}\n")
                _exit_code = error.exit_code
            except KeyboardInterrupt:
                _exit_code = ExitCode.INTERRUPTED
            except SystemExit as error:  # by SIGTERM
                _exit_code = cast("int", error.code)
    if _exit_code != ExitCode.OK:
        atexit.register(_exit_with_code)  # the last to be registered is the first to be called


def _exit_with_code() -> None:
    atexit.unregister(_exit_with_code)
    atexit._run_exitfuncs()  # noqa: SLF001 - the others', which would not be called any more
    gc.collect()  # closes files that nobody closed
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_exit_code)


def _after_fork() -> None:
    """Forget the parent's runs in a child that it forked: only the parent can wait for them."""
    _unwaited.clear()
    signals.forget()
    context.forget_runs()


forks.forget(_after_fork)

# Before the threads of thread pools are joined; atexit's functions run after that. Their module
# registers such a function too, and cannot be loaded any more while a run is waited for at exit.
importlib.import_module("concurrent.futures.thread")
getattr(threading, "_register_atexit", atexit.register)(_wait_at_exit)
