"""Which calls run when: so many at a time, priority first, the others in a bounded queue.

It decides and does no I/O. The threads are those of whoever offers a call, or of its executor.
"""

from __future__ import annotations

import collections
import enum
import threading
from typing import TYPE_CHECKING

from launchpad_lite.courier.method import Lane
from launchpad_lite.courier.pool import DaemonExecutor

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
        self.ready: collections.deque[ServerCall] = collections.deque()


class Dispatcher:
    """The slots and the queue of one server.

    A call that waits for its method's limit does not keep others waiting: it waits beside the
    queue, and enters it when a call of the method has ended.
    """

    def __init__(self, name: str, config: ServerConfig, context: Context | None) -> None:
        """Make it, with an executor whose threads run in `context` and are called `name`."""
        slots = config.thread_pool_size
        self._lanes = {
            Lane.ORDINARY: _Lane(slots),
            Lane.PRIORITY: _Lane(slots),
            Lane.LATER: _Lane(config.max_waiting_calls),
        }
        # one more, so that calls which soon give their thread back always find one
        self._executor = DaemonExecutor(2 * slots + 1, name, context)
        self._max_waiting = config.max_waiting_calls
        self._waiting = 0
        self._lock = threading.Lock()
        self._limited: dict[Method, collections.deque[ServerCall]] = {}  # wait for their methods
        self._on_space: list[Callable[[], object]] = []
        self._closed = False

    def offer(self, call: ServerCall) -> Verdict:
        """Let a call run, or wait for its turn."""
        method = call.method
        lane = self._lanes[method.lane]
        with self._lock:
            if self._closed:
                return Verdict.CLOSED
            if method.running >= method.limit:
                queue = self._limited.setdefault(method, collections.deque())
            elif lane.in_use >= lane.slots:
                queue = lane.ready
            else:
                lane.in_use += 1
                method.running += 1
                call.begun = True
                return _RUN
            if self._waiting >= self._max_waiting:
                return Verdict.FULL
            self._waiting += 1
            call.waited = True
            queue.append(call)
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
            limited = self._limited.get(method)
            if limited:
                lane.ready.append(limited.popleft())
            following = self._next(lane)
            space = self._waiting < self._max_waiting
            callbacks = self._on_space if space else []
            if callbacks:
                self._on_space = []
        for callback in callbacks:
            callback()
        return following

    def _next(self, lane: _Lane) -> ServerCall | None:
        found: ServerCall | None = None
        passed: list[ServerCall] = []
        while found is None and lane.ready and lane.in_use < lane.slots:
            call = lane.ready.popleft()
            method = call.method
            if method.running >= method.limit:  # others began first
                passed.append(call)
                continue
            self._waiting -= 1
            lane.in_use += 1
            method.running += 1
            call.begun = True
            found = call
        for call in reversed(passed):  # they came before those that wait beside the queue
            self._limited.setdefault(call.method, collections.deque()).appendleft(call)
        return found

    def waiting(self) -> collections.Counter[CallStats]:
        """Return how many calls wait for their turn, by what counts them."""
        with self._lock:
            queues = [*(lane.ready for lane in self._lanes.values()), *self._limited.values()]
            return collections.Counter(call.stats for queue in queues for call in queue)

    def when_space(self, callback: Callable[[], object]) -> None:
        """Call a quick function once, in any thread, when a call that waits has begun."""
        with self._lock:
            now = self._waiting < self._max_waiting or self._closed
            if not now:
                self._on_space.append(callback)
        if now:
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
            waiting: list[ServerCall] = []
            callbacks, self._on_space = self._on_space, []
            queues = [lane.ready for lane in self._lanes.values()]
            for queue in (*queues, *self._limited.values()):
                waiting += queue
                queue.clear()
            self._waiting = 0
        for callback in callbacks:
            callback()
        self._executor.shutdown(wait=False)
        return waiting

    def join(self, timeout: float) -> None:
        """Wait for the threads to end, after `close`."""
        self._executor.join(timeout)
