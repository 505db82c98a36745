"""The agent: one per host and run. Starts, signals and reaps workers, and outlives none of them.

It is an interpreter that has imported what workers need and made no thread, so forking from it is
safe and quick. It does what the controller says over one socket; when that socket closes, it ends
every worker and then itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import importlib
import os
import pathlib
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any, NoReturn

from launchpad_lite import source
from launchpad_lite.endpoint import host_id, split_host
from launchpad_lite.runtime import children, link, worker

if TYPE_CHECKING:
    from collections.abc import Iterable

_PRELOADED = (
    "launchpad_lite.courier.inproc",
    "launchpad_lite.courier.unix",
    "launchpad_lite.nodes.courier",
    "launchpad_lite.nodes.multi_threading",
    "launchpad_lite.nodes.python",
)
"""What workers would otherwise import one by one, each for itself."""

_FINAL_GRACE_S = 2.0
"""Seconds between TERM and KILL when the controller is gone."""

_ANSWER_S = 2.0
"""Seconds within which a controller that lives lets itself be reached."""


@dataclasses.dataclass(slots=True)
class _Child:
    name: str
    pid: int
    line: socket.socket
    report: bytearray = dataclasses.field(default_factory=bytearray)


class Agent:
    """The workers of one host."""

    def __init__(self, controller: socket.socket, *, hears_term: bool = True) -> None:
        """Take over the socket to the controller.

        Args:
          controller: the socket.
          hears_term: whether SIGTERM ends it; else only the end of the socket, or of its parent.
        """
        self._on_sigterm: Any = self._on_term if hears_term else _ignore
        self._controller = controller
        self._reader = link.Reader(controller)
        self._children: dict[int, _Child] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(controller, selectors.EVENT_READ)
        self._wake, wake_writer = socket.socketpair()
        self._wake.setblocking(False)
        wake_writer.setblocking(False)
        self._wake_writer = wake_writer
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._parent = _watch(os.getppid())
        if self._parent is not None:
            self._selector.register(self._parent, selectors.EVENT_READ)
        self._leavings = link.Leavings([])
        self._lost = False

    def run(self) -> None:
        """Serve the controller until it hangs up; leave nothing running."""
        children.become_subreaper()
        signal.set_wakeup_fd(self._wake_writer.fileno())
        signal.signal(signal.SIGCHLD, _ignore)  # the wake-up descriptor tells
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_sigterm)
        gc.collect()
        gc.disable()  # until the user's code begins, in a worker
        gc.freeze()  # objects that never move to another page stay shared with the workers
        while not self._lost:
            self._wait(None)
        self._end_all()

    def _on_term(self, *_: object) -> None:
        self._lost = True

    def _wait(self, timeout: float | None) -> None:
        for key, _ in self._selector.select(timeout):
            if key.fileobj is self._controller:
                self._hear()
            elif key.fileobj is self._wake:
                with contextlib.suppress(BlockingIOError):
                    while self._wake.recv(4096):
                        pass
            elif key.fileobj == self._parent:
                self._lost = True
                self._selector.unregister(key.fileobj)
            else:
                self._take_report(key.data)
        self._reap()

    def _hear(self) -> None:
        try:
            for frame in self._reader.frames():
                message = link.decode_to_agent(frame)
                if isinstance(message, link.StartWorker):
                    self._start(message)
                elif isinstance(message, link.SignalWorker):
                    self._signal(message)
                else:
                    self._leavings = message
        except (EOFError, OSError):
            self._lost = True
            self._selector.unregister(self._controller)

    def _say(self, message: link.FromAgent) -> None:
        try:
            self._controller.sendall(link.encode(message))
        except OSError:
            self._lost = True

    # --- workers ---

    def _start(self, message: link.StartWorker) -> None:
        ours, theirs = socket.socketpair()
        try:
            log = os.open(message.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                pid = _spawn(message, theirs, log) if message.cold else _fork()
                if pid == 0:
                    self._become_worker(message, ours, theirs, log)
            finally:
                os.close(log)
        except (OSError, ValueError) as error:
            ours.close()
            theirs.close()
            self._say(link.StartFailed(message.name, f"cannot be started: {error}"))
            return
        theirs.close()
        ours.setblocking(False)
        child = _Child(message.name, pid, ours)
        self._children[pid] = child
        self._selector.register(ours, selectors.EVENT_READ, child)
        self._say(link.WorkerStarted(message.name, pid))

    def _become_worker(
        self, message: link.StartWorker, ours: socket.socket, line: socket.socket, log: int
    ) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            self._selector.close()
            if self._parent is not None:
                os.close(self._parent)
            # held open here, `ours` and the other workers' lines would hide the agent's end
            for sock in (self._controller, self._wake, self._wake_writer, ours):
                sock.close()
            for child in self._children.values():
                child.line.close()
            for name, value in message.env.items():
                os.environ[name] = value
            worker.main(message.boot, line, log)
        finally:
            os._exit(1)  # whatever happens, there must be no second agent

    def _signal(self, message: link.SignalWorker) -> None:
        for child in self._children.values():
            if child.name == message.name:
                if message.number == signal.SIGKILL:
                    children.kill_tree(child.pid)
                elif message.number == signal.SIGTERM:
                    _terminate(child, message.seconds)
                else:
                    children.signal_quietly(child.pid, message.number)

    def _take_report(self, child: _Child) -> None:
        try:
            received = child.line.recv(2**20)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        child.report += received
        if not received:
            self._selector.unregister(child.line)

    def _reap(self) -> None:
        ended: list[link.WorkerExited] = []
        for pid in list(self._children):
            reaped, status = os.waitpid(pid, os.WNOHANG)
            if reaped:
                child = self._children.pop(pid)
                self._drain(child)
                code = os.waitstatus_to_exitcode(status)
                ended.append(link.WorkerExited(child.name, code, bytes(child.report)))
        if ended:
            children.end_orphans(self._children)  # once for all of them: it looks at every process
        for message in ended:
            self._say(message)

    def _drain(self, child: _Child) -> None:
        while child.line in self._selector.get_map():
            before = len(child.report)
            self._take_report(child)
            if len(child.report) == before:
                with contextlib.suppress(KeyError):
                    self._selector.unregister(child.line)
        child.line.close()

    def _end_all(self) -> None:
        for child in self._children.values():
            _terminate(child, _FINAL_GRACE_S)
        deadline = time.monotonic() + _FINAL_GRACE_S
        while self._children and (left := deadline - time.monotonic()) > 0:
            self._wait(left)
        for pid in self._children:
            children.kill_tree(pid)
        for pid in self._children:
            os.waitpid(pid, 0)
        children.end_orphans(())
        leavings = self._leavings
        keeps = leavings.shared and _listens(leavings.endpoint)
        for path in [*leavings.paths, *([] if keeps else leavings.shared)]:
            _remove(pathlib.Path(path))


def _watch(pid: int) -> int | None:
    """Return a descriptor that is readable once a process is gone; None where there is none.

    The socket to the controller tells as well, unless a child that the controller's process has
    forked still holds it open.
    """
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # macOS, or a seccomp filter
        return None


def _terminate(child: _Child, seconds: float) -> None:
    """Have a worker send SIGTERM to its own main thread; see `worker.main`."""
    with contextlib.suppress(OSError):
        child.line.send(link.SECONDS.pack(seconds))


def _listens(endpoint: str) -> bool:
    """Return whether somebody listens at an endpoint, `tcp:host:port`."""
    try:
        place = split_host(endpoint.partition(":")[2])
        socket.create_connection(place, _ANSWER_S).close()
    except OSError:
        return False
    return True


def _remove(path: pathlib.Path) -> None:
    """Remove a file or a directory that may be gone."""
    with contextlib.suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _ignore(*_: object) -> None:
    """Do nothing, unlike SIG_IGN, under which children would vanish unreaped."""


def _fork() -> int:
    """Fork; the child ends at a SIGTERM until it has its own handler, and misses none."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def _spawn(message: link.StartWorker, line: socket.socket, log: int) -> int:
    """Start a worker in an interpreter of its own."""
    imports = f"sys.path[:] = {sys.path!r}"
    if message.interpreter is not None:
        imports = (
            f"sys.version_info[:2] == {sys.version_info[:2]} or sys.exit(f'{{sys.executable}} is "
            f"Python {{sys.version}}; the launching process has {sys.version}'); "
            f"sys.path[:0] = {source.users_path(sys.path)!r}"
        )
    code = (
        f"import sys; {imports}; "
        f"from launchpad_lite.runtime.worker import cold_main; cold_main({line.fileno()}, {log})"
    )
    with tempfile.TemporaryFile() as boot:  # not a pipe: the agent must not wait for its reader
        boot.write(message.boot)
        boot.seek(0)
        process = subprocess.Popen(
            [message.interpreter or sys.executable, "-c", code],
            env={**os.environ, **message.env},
            stdin=boot,
            stdout=log,  # what goes wrong before it can redirect its output
            stderr=log,
            pass_fds=(line.fileno(), log),
            start_new_session=True,
        )
    process.returncode = 0  # reaped by the agent, like every other worker
    return process.pid


def _preload(modules: Iterable[str]) -> None:
    """Import modules of the user's; what fails here will fail in the node that needs it."""
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:
            sys.stderr.write(f"warning: preload: {module} cannot be imported: {error!r}\n")
        if threading.active_count() > 1:
            sys.stderr.write(
                f"warning: preload: {module} has started threads, which forked processes lack and "
                "may wait for; do not preload it.\n"
            )
            return


def main(preload: Iterable[str] = (), *, hears_term: bool = True) -> None:
    """Run an agent whose standard input is the socket to its controller.

    Args:
      preload: modules to import beside those that all workers need.
      hears_term: whether SIGTERM ends it.
    """
    controller = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    for module in _PRELOADED:
        importlib.import_module(module)
    package = sys.modules[__name__.partition(".")[0]]
    for name in package.__all__:  # they would load on first use
        getattr(package, name)
    _preload(preload)
    host_id()  # is remembered
    worker.show_lines_at_once()
    Agent(controller, hears_term=hears_term).run()


if __name__ == "__main__":
    main()
