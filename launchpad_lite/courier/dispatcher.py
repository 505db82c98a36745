"""Which calls run when: so many at a time, priority first, the others in a bounded queue.

It decides and does no I/O. The threads are those of whoever offers a call, or of its executor.
"""

from __future__ import annotations

import collections
import enum
import threading
import time
from typing import TYPE_CHECKING

from launchpad_lite.courier.deadlines import deadlines
from launchpad_lite.courier.method import Lane
from launchpad_lite.courier.pool import DaemonExecutor
from launchpad_lite.courier.waiting_calls import Line, WaitingCalls

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.config import ServerConfig
    from launchpad_lite.context import Context
    from launchpad_lite.courier.call import ServerCall
    from launchpad_lite.courier.method import Method
    from launchpad_lite.metrics import CallStats


class Verdict(enum.Enum):
    """What becomes of a call that is offered."""

    RUN = enum.auto()
    """It runs now: whoever offered it sees to that, and then calls `finish`."""
    WAIT = enum.auto()
    """It is in the queue; a `finish` will return it."""
    FULL = enum.auto()
    """There is no room for it now; see `when_space`."""
    CLOSED = enum.auto()
    """No call begins any more."""


_RUN = Verdict.RUN  # to ask an enum takes long


class _Lane:
    """The slots that some calls share, and those that wait for one."""

    __slots__ = ("in_use", "ready", "slots")

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.in_use = 0
        self.ready: Line = collections.deque()


class Dispatcher:
    """The slots and the queue of one server.

    A call that waits for its method's limit does not keep others waiting: it waits beside the
    queue, and enters it when a call of the method has ended. One that is given up, or whose time is
    over, keeps no other from waiting.
    """

    def __init__(
        self,
        name: str,
        config: ServerConfig,
        context: Context | None,
        drop: Callable[[ServerCall], object],
    ) -> None:
        """Make it, with an executor.

        Args:
          name: of the executor's threads.
          config: how many calls may run and wait.
          context: what the threads run in.
          drop: ends a call that waited and will not begin, for nobody wants its answer any more.
        """
        slots = config.thread_pool_size
        self._lanes = {
            Lane.ORDINARY: _Lane(slots),
            Lane.PRIORITY: _Lane(slots),
            Lane.LATER: _Lane(config.max_waiting_calls),
        }
        # one more, so that calls which soon give their thread back always find one
        self._executor = DaemonExecutor(2 * slots + 1, name, context)
        self._drop = drop
        self._waiting = WaitingCalls(config.max_waiting_calls)
        self._lock = threading.Lock()
        self._limited: dict[Method, Line] = {}  # wait for their methods
        self._on_space: list[Callable[[], object]] = []
        self._watches = False  # for the end of a call's time
        self._closed = False

    def offer(self, call: ServerCall) -> Verdict:
        """Let a call run, or wait for its turn."""
        method = call.method
        lane = self._lanes[method.lane]
        late: list[ServerCall] = []
        with self._lock:
            if self._closed:
                return Verdict.CLOSED
            if method.running >= method.limit:
                line = self._limited.setdefault(method, collections.deque())
            elif lane.in_use >= lane.slots:
                line = lane.ready
            else:
                lane.in_use += 1
                method.running += 1
                call.begun = True
                return _RUN
            if self._waiting.full:
                late = self._take_late()
                if not late:
                    return Verdict.FULL
            call.waits(self._withdraw)
            self._waiting.add(call, line)
        self._drop_all(late)
        return Verdict.WAIT

    def finish(self, call: ServerCall) -> ServerCall | None:
        """Note that a call has ended; return one that runs in its place, as after `offer`."""
        method = call.method
        lane = self._lanes[method.lane]
        with self._lock:
            lane.in_use -= 1
            method.running -= 1
            if not self._waiting:
                return None
            self._let_next_wait(method)
            following = self._next(lane)
            callbacks = self._take_callbacks()
        for callback in callbacks:
            callback()
        return following

    def _let_next_wait(self, method: Method) -> None:
        """Let the first call that waits for its method's limit wait for a slot, if it may."""
        limited = self._limited.get(method)
        if limited and method.running < method.limit:
            first = self._waiting.first(limited)
            if first is not None:
                self._lanes[method.lane].ready.append(first.number_in_line)

    def _next(self, lane: _Lane) -> ServerCall | None:
        found: ServerCall | None = None
        passed: list[ServerCall] = []
        while found is None and lane.in_use < lane.slots:
            call = self._waiting.first(lane.ready)
            if call is None:
                break
            method = call.method
            if method.running >= method.limit:  # others began first
                passed.append(call)
                continue
            self._waiting.remove(call)
            lane.in_use += 1
            method.running += 1
            call.begun = True
            found = call
        for call in reversed(passed):  # they came before those that wait beside the queue
            line = self._limited.setdefault(call.method, collections.deque())
            line.appendleft(call.number_in_line)
        return found

    def _withdraw(self, call: ServerCall) -> None:
        """Note that a call is given up which waits, or has begun just now."""
        with self._lock:
            waited = self._waiting.remove(call)
            if waited:
                self._let_next_wait(call.method)  # it may have waited for a slot, ahead of them
            callbacks = self._take_callbacks() if waited else []
        if waited:
            self._drop(call)
        for callback in callbacks:
            callback()

    def _take_late(self) -> list[ServerCall]:
        """Remove the calls whose time is over, and return them."""
        late = self._waiting.take_late()
        for call in late:
            self._let_next_wait(call.method)
        return late

    def _drop_all(self, calls: list[ServerCall]) -> None:
        for call in calls:
            self._drop(call)

    def waiting(self) -> collections.Counter[CallStats]:
        """Return how many calls wait for their turn, by what counts them."""
        with self._lock:
            return self._waiting.counted()

    def when_space(self, callback: Callable[[], object]) -> None:
        """Call a quick function once, in any thread, when a call waits no more."""
        with self._lock:
            now = not self._waiting.full or self._closed
            if not now:
                self._on_space.append(callback)
                self._watch()
        if now:
            callback()

    def _take_callbacks(self) -> list[Callable[[], object]]:
        if not self._on_space or self._waiting.full:
            return []
        callbacks, self._on_space = self._on_space, []
        return callbacks

    def _watch(self) -> None:
        """Look for calls whose time is over as soon as there may be one."""
        end = None if self._watches else self._waiting.next_end()
        if end is not None:
            self._watches = True
            deadlines.call_later(max(0.0, end - time.monotonic()), self._look)

    def _look(self) -> None:
        with self._lock:
            self._watches = False
            late = self._take_late() if self._on_space else []
            callbacks = self._take_callbacks()
            if self._on_space:
                self._watch()
        self._drop_all(late)
        for callback in callbacks:
            callback()

    def run(self, function: Callable[[ServerCall], object], call: ServerCall) -> None:
        """Run `function(call)`, which never raises, in a thread of the executor."""
        try:
            self._executor.submit(function, call)
        except RuntimeError:  # it has just been closed, or there can be no more threads
            function(call)

    def close(self) -> list[ServerCall]:
        """Let no call begin any more; return those that waited."""
        with self._lock:
            self._closed = True
            callbacks, self._on_space = self._on_space, []
            waiting = list(self._waiting.clear())
        for callback in callbacks:
            callback()
        self._executor.shutdown(wait=False)
        return waiting

    def join(self, timeout: float) -> None:
        """Wait for the threads to end, after `close`."""
        self._executor.join(timeout)
