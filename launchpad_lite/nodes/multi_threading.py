"""Several nodes as threads of one worker."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar

from launchpad_lite.context import Context
from launchpad_lite.errors import LaunchpadError, NodeFailed
from launchpad_lite.node import Node, Problem
from launchpad_lite.nodes import standalone
from launchpad_lite.nodes.colocation import Colocation
from launchpad_lite.runtime import events as ev
from launchpad_lite.runtime import supervisor as sv
from launchpad_lite.runtime.node_threads import NodeThread, NodeThreads
from launchpad_lite.runtime.rundir import file_name
from launchpad_lite.stop_token import StopToken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_log = logging.getLogger(__name__)


class MultiThreadingColocation(Colocation):
    """Runs several nodes as threads of one worker; calls between them cross no process.

    It ends when all of them have ended, and fails, as the member that failed, with the first one.
    """

    kind: ClassVar[str] = "MultiThreadingColocation"

    def __init__(
        self,
        nodes: Iterable[Node[Any]] = (),
        return_on_first_completed: bool = False,  # noqa: FBT001, FBT002 - as in the original
    ) -> None:
        """Make a colocation of nodes.

        Args:
          nodes: its members; none of them is added to the program itself.
          return_on_first_completed: end with the first member that ends; the others are told to
            stop, as by `lp.stop()`.

        Raises:
          ProgramError: one of them is no node.
        """
        super().__init__(nodes)
        self._ends_with_first = return_on_first_completed

    def check(self) -> Iterator[Problem]:
        """Yield what cannot be colocated."""
        yield from super().check()
        for index, member in enumerate(self.members):
            if member.env:
                yield Problem(
                    f"its nodes[{index}] ({member.title}, {member.place}) sets env, but shares a "
                    f"process. Give the {self.kind} .options(env=...)."
                )

    def run(self) -> None:
        """Run the members by themselves to their end, in the calling thread, as in a test.

        Their addresses must have been bound; see `address.bind_addresses`.

        Raises:
          BaseException: a member has failed with it.
        """
        with standalone.running(self.title, has_run=self.has_run) as alone:
            try:
                self.run_in(alone)
            except NodeFailed as failure:
                raise failure.__cause__ or failure from None

    def run_in(self, context: Context) -> None:
        """Run the members to their end.

        Raises:
          NodeFailed: a member has failed; its exception is the cause.
        """
        colocated = _Colocated(self.members, context, ends_with_first=self._ends_with_first)
        context.instance.set_result(colocated.instances)
        colocated.run()


class _Colocated:
    """The members of one colocation while they run."""

    def __init__(
        self, members: Iterable[Node[Any]], context: Context, *, ends_with_first: bool
    ) -> None:
        self._context = context
        self._scope = context.scope
        self._ends_with_first = ends_with_first
        # None says that the colocation's own time is over
        self._events: queue.SimpleQueue[ev.Event | None] = queue.SimpleQueue()
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._nodes = {f"{context.name}/{i}": node for i, node in enumerate(members)}
        self._threads = [
            NodeThread(node, self._context_of(index), self._events.put)
            for index, node in enumerate(self._nodes.values())
        ]
        self._group = NodeThreads()
        has_run = {name: node.has_run for name, node in self._nodes.items()}
        self._supervisor = sv.Supervisor(has_run, self._scope.config)

    @property
    def instances(self) -> tuple[object, ...]:
        """Futures of the objects that the members make."""
        return tuple(thread.context.instance for thread in self._threads)

    def _context_of(self, index: int) -> Context:
        own = self._context
        name = f"{own.name}/{index}"
        place = own.checkpoint.with_name(file_name(name)) if own.checkpoint else None
        return Context(
            program=own.program,
            label=own.name,
            index=index,
            group_size=len(self._nodes),
            run_id=own.run_id,
            incarnation=own.incarnation,
            seed=self._scope.config.seed_of(name),
            checkpoint=place,
            launch_type=own.launch_type,
            scope=self._scope.inner(StopToken(), lambda node: self._events.put(ev.RunEnded(node))),
        )

    def run(self) -> None:
        """Run the members to their end; raise what failed."""
        stop = self._scope.stop
        stop.register(self._pass_notice_on)
        stop.on_close(self._on_close)
        # the calling thread may be interrupted at any place, and the members must be seen to an end
        name = f"lp-colocation {self._context.name}"
        supervising = threading.Thread(target=self._run, name=name, daemon=True)
        supervising.start()
        try:
            while not self._over.is_set():
                with contextlib.suppress(SystemExit):
                    self._over.wait()
        finally:
            stop.unregister(self._pass_notice_on)
            stop.forget(self._on_close)
        supervising.join()
        if self._error is not None:
            raise self._error

    def _pass_notice_on(self) -> None:
        """Give notice to the members; those that only serve go on, for other nodes may call."""
        stop = self._scope.stop
        self._group.notify(stop.seconds_left() or 0.0, stop.reason)

    def _on_close(self) -> None:
        self._events.put(None)

    def _run(self) -> None:
        try:
            self._group.start(self._threads)
            if self._scope.stop.stopping:
                self._pass_notice_on()  # it may have come before there was anyone to tell
            while self._supervisor.phase is not sv.Phase.ENDED:
                for command in self._next():
                    self._do(command)
            self._error = self._failure()
        except BaseException as error:
            self._error = error
        finally:
            self._group.close()
            self._over.set()

    def _next(self) -> list[ev.Command]:
        deadline = self._supervisor.deadline
        wait = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            event = self._events.get(timeout=wait)
        except queue.Empty:
            return self._supervisor.tick(time.monotonic())
        if event is None:
            return self._end(self._scope.stop.reason)
        commands = self._supervisor.handle(event, time.monotonic())
        if self._ends_with_first and isinstance(event, ev.WorkerEnded):
            stop = ev.StopRequested(f"{event.name} has ended")
            commands += self._supervisor.handle(stop, time.monotonic())
        return commands

    def _end(self, reason: str) -> list[ev.Command]:
        """Stop the members now: they have had notice as long as the colocation has."""
        now = time.monotonic()
        commands = self._supervisor.handle(ev.StopRequested(reason), now)
        if self._supervisor.phase is sv.Phase.NOTICE and self._supervisor.deadline is not None:
            commands += self._supervisor.tick(self._supervisor.deadline)
        return commands

    def _do(self, command: ev.Command) -> None:
        if isinstance(command, ev.Notify):
            self._group.notify(command.seconds, command.reason)
        elif isinstance(command, ev.Terminate):
            self._group.terminate(command.names, command.seconds)
        elif isinstance(command, ev.Kill):
            self._group.kill(command.names)
        elif isinstance(command, ev.Retire):
            self._retire(command)
        elif isinstance(command, ev.Hint):
            with contextlib.suppress(LaunchpadError):  # the run ends
                self._scope.run_ended(self._context.name)
        elif isinstance(command, ev.Finish) and command.stuck:
            _log.warning("%s did not end in time and are left behind", ", ".join(command.stuck))

    def _retire(self, command: ev.Retire) -> None:
        if self._supervisor.phase is not sv.Phase.RUNNING:
            return  # the colocation ends, and with it all that it serves
        for address in self._nodes[command.name].addresses:
            with contextlib.suppress(LaunchpadError):  # the run ends
                self._scope.retire(self._scope.name_of(address), command.reason)

    def _failure(self) -> NodeFailed | None:
        if self._supervisor.failed is None:
            return None
        name, failure = self._supervisor.failed
        error = NodeFailed(failure.node or name, failure.summary, remote_traceback=failure.trace)
        error.__cause__ = self._group[name].cause
        return error
