"""Nodes as processes of this host, forked by one warm agent."""

from __future__ import annotations

import functools
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, ClassVar

from launchpad_lite.courier import transports
from launchpad_lite.endpoint import LOOPBACK
from launchpad_lite.launchers import gpus, terminals
from launchpad_lite.launchers.base import Launcher, LaunchOptions
from launchpad_lite.launchers.local import LocalRun
from launchpad_lite.planning import Capabilities, LaunchPlan, WorkerSpec
from launchpad_lite.runtime import children, link
from launchpad_lite.runtime.agent_backend import LocalAgentBackend
from launchpad_lite.runtime.line import SocketLine
from launchpad_lite.runtime.logs import LinePrinter, LogViewer, standard_output

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Mapping

    from launchpad_lite.runtime.run import Run


AGENT_END_S = 10.0
"""Seconds that an agent has to end after the last worker."""


class ProcessLauncher(Launcher):
    """Runs each node in a process of its own."""

    name: ClassVar[str] = "process"
    summary: ClassVar[str] = "each node a process of this machine"

    def unavailable(self) -> str | None:
        """See the base class."""
        return None if hasattr(os, "fork") else "this system cannot fork processes."

    def capabilities(self) -> Capabilities:
        """See the base class."""
        return Capabilities(launcher=self.name, in_process=False)

    def launch(self, plan: LaunchPlan, options: LaunchOptions) -> Run:
        """See the base class."""
        terminals.check(
            options.terminal, options.tmux_session_name, attach=options.tmux_open_window
        )
        return _ProcessRun(gpus.hand_out(plan), options).launch()


class _ProcessRun:
    def __init__(self, plan: LaunchPlan, options: LaunchOptions) -> None:
        self._plan = plan
        self._options = options
        self._local = LocalRun(plan, options)
        self._agent: subprocess.Popen[bytes] | None = None

    def launch(self) -> Run:
        backend = LocalAgentBackend(
            SocketLine(self._start_agent),
            self._boot,
            self._local.log,
            leavings=link.Leavings(self._local.leavings),
        )
        shows = self._options.show_output and self._options.terminal == terminals.CURRENT
        return self._local.start(backend, shows_output=shows)

    def _start_agent(self) -> socket.socket:
        self._endpoint = self._local.serve_controller()
        ours, theirs = socket.socketpair()
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from launchpad_lite.runtime.agent import main; main({self._plan.preload!r})"
        )
        self._agent = subprocess.Popen(
            [sys.executable, "-c", code], stdin=theirs.fileno(), start_new_session=True
        )
        theirs.close()
        self._local.controller.at_end(functools.partial(_end, self._agent))
        if self._options.show_output:
            logs = {worker.name: self._local.log(worker.name) for worker in self._plan.workers}
            self._show(logs)
        return ours

    def _show(self, logs: Mapping[str, pathlib.Path]) -> None:
        options, local = self._options, self._local
        if options.terminal == terminals.CURRENT:
            printer = LinePrinter(logs, standard_output(), color=options.color)
            viewer = LogViewer(logs, printer, busy=local.debugger)
            viewer.start()
            local.controller.at_end(viewer.stop)
        elif options.terminal != terminals.FILES:
            terminals.open_windows(
                options.terminal,
                logs,
                local.alive,
                options.tmux_session_name or local.run_id,
                attach=options.tmux_open_window,
            )

    @functools.cached_property
    def _endpoint_schemes(self) -> tuple[str, ...]:
        return self._local.schemes("inproc", transports.between_processes())

    def _boot(self, spec: WorkerSpec, incarnation: int) -> bytes:
        return self._local.boot(
            spec,
            incarnation,
            controller=self._endpoint,
            schemes=self._endpoint_schemes,
            host=LOOPBACK,
            socket_dir=self._local.socket_dir,
            hears_term=True,
        )


def _end(agent: subprocess.Popen[bytes]) -> None:
    """Wait for an agent that has been hung up on; kill it, and its workers, if it does not end."""
    try:
        agent.wait(AGENT_END_S)
    except subprocess.TimeoutExpired:
        children.kill_tree(agent.pid)
        agent.wait()
