"""A worker: one process that runs one node. Forked by the agent, or started cold by it."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import gc
import io
import os
import pickle
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from launchpad_lite import context, source
from launchpad_lite.errors import ContextError
from launchpad_lite.runtime import children, link, ray_guest
from launchpad_lite.runtime.control import RemoteControl
from launchpad_lite.runtime.events import Failure
from launchpad_lite.runtime.outcome import run_node
from launchpad_lite.runtime.scope import RunScope
from launchpad_lite.stop_token import StopToken

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

    from launchpad_lite.config import RunConfig
    from launchpad_lite.credentials import Credentials
    from launchpad_lite.node import Node
    from launchpad_lite.runtime.postmortem import Debugger
    from launchpad_lite.runtime.status import Notice
    from launchpad_lite.scope import HasName


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerBoot:
    """What a worker is told at its start.

    Attributes:
      program: the program's name.
      label: the node's group.
      index: its place there.
      group_size: how many nodes the group has.
      run_id: the run.
      incarnation: how often the worker was started before.
      seed: 32 bits.
      has_run: whether the node does something of its own.
      payload: the pickled node.
      source: the pickled `ProgramSource`: where the user's code lives.
      config: the run's settings.
      controller: its endpoint.
      credentials: what the run's servers and clients prove to each other.
      schemes: the transports that its server listens on.
      host: the address that it listens on for other hosts.
      hears_term: whether SIGTERM from outside ends it; else only the agent does.
      socket_dir: the private directory for sockets.
      checkpoint: where the node saves and restores.
      debugger: lets the user look at the node when it has failed; None for no debugger.
    """

    program: str
    label: str
    index: int
    group_size: int
    run_id: str
    incarnation: int
    seed: int
    has_run: bool
    payload: bytes = dataclasses.field(repr=False)
    source: bytes = dataclasses.field(repr=False)
    config: RunConfig
    controller: str
    credentials: Credentials
    schemes: tuple[str, ...]
    host: str
    hears_term: bool
    socket_dir: str
    checkpoint: pathlib.Path | None
    debugger: Debugger | None


_INTERRUPT_RETRY_S = 0.1

_for_good = contextlib.ExitStack()
"""Never left: threads that outlive the node's own code still belong to it."""


class _Interrupts:
    """Turns SIGTERM into the end of the user's code, and of nothing else."""

    def __init__(self, token: StopToken, *, hears_term: bool) -> None:
        self._token = token
        self._hears_term = hears_term
        self._main = threading.get_ident()
        self._in_user_code = True
        self._seconds = 0.0
        self._requests: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._closer = threading.Thread(target=self._close, name="lp-terminate", daemon=True)
        self._closer.start()
        self._heard = False
        self.requested = False

    def _close(self) -> None:
        self._requests.get()
        self._token.close(self._seconds)

    def on_term(self, *_: object) -> None:
        if not self._hears_term and not self.requested:
            return  # a scheduler's, to all processes: what it means is the controller's to say
        self._heard = self.requested = True
        # closing takes locks that the interrupted code may hold, and so does starting a thread
        self._requests.put(None)
        if self._in_user_code:
            raise SystemExit

    def send(self, seconds: float = 0.0) -> None:
        """Close the token and send SIGTERM to the main thread.

        Args:
          seconds: what is left to stop handlers and `save`.
        """
        self._seconds = seconds
        self.requested = True
        self._requests.put(None)
        threading.Thread(target=self._interrupt, name="lp-interrupt", daemon=True).start()

    def _interrupt(self) -> None:
        """Send the signal until it is heard.

        Python runs the handler in the main thread. A signal that another thread gets does not wake
        that one, nor does one that comes just before it falls asleep.
        """
        while self._in_user_code and not self._heard:
            signal.pthread_kill(self._main, signal.SIGTERM)
            time.sleep(_INTERRUPT_RETRY_S)

    def leave(self) -> None:
        """Interrupt no more; if that was asked for, wait for the stop handlers."""
        self._in_user_code = False
        if self.requested:
            self._closer.join()


def main(boot: bytes, line: socket.socket, log: int) -> NoReturn:
    """Run a worker in a process that was just forked, and end the process.

    Args:
      boot: the pickled `WorkerBoot`.
      line: to the agent: the seconds from it end the node; it takes the report, and closes when the
        agent dies.
      log: the descriptor of the log file.
    """
    os.setsid()
    status = 1
    try:
        _redirect(log)
        status = _run(boot, line)
        _end_like_an_interpreter()
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def cold_main(line: int, log: int) -> NoReturn:
    """Run a worker in an interpreter of its own; standard input holds the `WorkerBoot`."""
    status = 1
    try:
        boot = sys.stdin.buffer.read()
        _redirect(log)
        status = _run(boot, socket.socket(fileno=line))
    except BaseException:
        traceback.print_exc()
    _end_like_an_interpreter()
    os._exit(status)


def _redirect(log: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    for descriptor, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, target)
    os.close(null)
    os.close(log)
    show_lines_at_once()


def show_lines_at_once() -> None:
    """Let what is printed reach the log line by line; an agent has done it for its workers."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.line_buffering:
            stream.reconfigure(line_buffering=True)


def _end_like_an_interpreter() -> None:
    """Join the user's threads and run exit functions, as the end of a script would."""
    threading._shutdown()  # type: ignore[attr-defined] # noqa: SLF001 - what multiprocessing does
    atexit._run_exitfuncs()  # noqa: SLF001 - a forked process never reaches the interpreter's end


def _watch_agent(line: socket.socket, terminate: Callable[[float], object]) -> None:
    """End the node when the agent says so; the process, and all it started, when it is gone."""
    with contextlib.suppress(OSError):
        while seconds := line.recv(link.SECONDS.size, socket.MSG_WAITALL):
            terminate(*link.SECONDS.unpack(seconds))
    children.kill_descendants()
    os._exit(1)


def _run(boot_bytes: bytes, line: socket.socket) -> int:
    children.become_subreaper()
    boot: WorkerBoot = pickle.loads(boot_bytes)
    token = StopToken()
    interrupts = _Interrupts(token, hears_term=boot.hears_term)
    signal.signal(signal.SIGTERM, interrupts.on_term)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the launcher's to hear
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    failure: Failure | None
    try:
        try:
            threading.Thread(
                target=_watch_agent, args=(line, interrupts.send), name="lp-lifeline", daemon=True
            ).start()
            failure = _run_node(boot, token, interrupts)
        finally:
            interrupts.leave()
    except BaseException as error:
        summary = "".join(traceback.format_exception_only(error)).strip()
        ended = isinstance(error, SystemExit) and interrupts.requested
        failure = None if ended else Failure(summary, traceback.format_exc())
    line.sendall(pickle.dumps(failure))
    if failure is not None:
        with contextlib.suppress(Exception):  # the node may have closed it
            sys.stderr.write(failure.trace)
            sys.stderr.flush()
    return 0 if failure is None else 1


def _run_node(boot: WorkerBoot, token: StopToken, interrupts: _Interrupts) -> Failure | None:
    control = RemoteControl(
        boot.controller, boot.credentials, boot.run_id, f"{boot.label}/{boot.index}"
    )

    held: list[str] = []  # why this host leaves, of which this node has heard, and goes on

    def on_notice(notice: Notice) -> None:
        attentive = token.attentive
        if notice.ends:
            held.clear()
        elif attentive:
            held.append(notice.reason)
        else:
            return
        token.notice(notice.seconds, notice.reason)
        if boot.has_run and not attentive:
            interrupts.send()  # it would only waste the time

    control.attach(on_notice)
    gc.enable()  # the agent does without; from here on it is the user's to switch
    program: source.ProgramSource = pickle.loads(boot.source)
    if lack := program.lack():
        return Failure(lack)
    source.install(program)
    ray_guest.expect()
    node: Node[Any] = pickle.loads(boot.payload)
    scope = RunScope(
        run_id=boot.run_id,
        stop=token,
        config=boot.config,
        credentials=boot.credentials,
        schemes=boot.schemes,
        host=boot.host,
        socket_dir=boot.socket_dir,
        incarnation=boot.incarnation,
        directory=control.directory,
        follow=control.follow,
        control=control,
        names=_own_name,
        debugger=boot.debugger,
    )
    node_context = context.Context(
        program=boot.program,
        label=boot.label,
        index=boot.index,
        group_size=boot.group_size,
        run_id=boot.run_id,
        incarnation=boot.incarnation,
        seed=boot.seed,
        checkpoint=boot.checkpoint,
        scope=scope,
    )
    _for_good.enter_context(context.running(node_context, whole_process=True))
    failure, _ = run_node(node, node_context, interrupts.leave)
    if failure is None and held:
        return Failure(f"it ended for it was told: {held[0]}")
    return failure


def _own_name(address: HasName) -> str:
    if address.name is None:
        message = f"{address!r} was made in this node; it has no place in the run."
        raise ContextError(message)
    return address.name
