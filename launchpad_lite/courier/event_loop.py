"""Events of many descriptors, in one thread at a time.

That thread, the *leader*, also runs what is expected to be quick: with Python's global lock, to
hand a small piece of work to another thread takes longer than the work. Should such a piece be
slow for once, another thread, the *guard*, leads from then on. It looks every few milliseconds
while there are events, and sleeps while there are none.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import queue
import select
import threading
import time
from typing import TYPE_CHECKING, Protocol

from launchpad_lite import context as node_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.context import Context

_log = logging.getLogger(__name__)

TICK_S = 0.005
"""Seconds between the guard's looks: a leader that is inside one piece of work for so long, and at
most twice as long, leads no more."""

_IDLE_TICKS = 10  # without events, before the guard sleeps
_EVENTS = 64  # of one system call


class Subject(Protocol):
    """What the events of one descriptor are for; only the leader calls it."""

    def ready(self, mask: int, turn: Turn) -> bool:
        """Do what an event asks for; return whether this thread still leads."""
        ...

    def resume(self, turn: Turn) -> bool:
        """Go on with what was begun; return whether this thread still leads."""
        ...


class Turn:
    """The time for which one thread leads.

    The leader holds the lock, except inside work that may turn out to be slow. Whoever takes the
    lock meanwhile ends the turn.

    Attributes:
      subject: what the leader is busy with, for the next leader to go on with.
      given_up: whether the leader itself ended it.
    """

    __slots__ = ("_lock", "_loop", "given_up", "subject")

    def __init__(self, loop: EventLoop) -> None:
        """Begin it."""
        self._loop = loop
        self._lock = threading.Lock()
        self._lock.acquire()
        self.subject: Subject | None = None
        self.given_up = False

    def leave(self) -> None:
        """Let others lead if this thread is not back soon; for the leader, before some work."""
        loop = self._loop
        loop.steps += 1
        self._lock.release()
        if not loop.watched:
            loop.watch()

    def back(self) -> bool:
        """Return whether this thread still leads; for the leader, after the work."""
        return self._lock.acquire(blocking=False)

    def take(self, *, wait: bool) -> bool:
        """End the turn; return whether that was done, which it is not while the leader leads."""
        return self._lock.acquire(blocking=wait)

    def give_up(self) -> None:
        """End the turn; for the leader, which may be followed by who takes it."""
        self.given_up = True
        if not self.away:
            self._lock.release()

    @property
    def away(self) -> bool:
        """Whether the leader is inside some work."""
        return not self._lock.locked()


class EventLoop:
    """Tells subjects of the events of their descriptors.

    Attributes:
      steps: how often the leader has begun some work.
      watched: whether the guard looks.
    """

    def __init__(self, name: str, context: Context | None, busy_poll_us: int = 0) -> None:
        """Make it.

        Args:
          name: of the threads.
          context: the node that they work for.
          busy_poll_us: microseconds to look for the next events before sleeping.
        """
        self._busy_poll_s = busy_poll_us / 1e6
        self.steps = 0
        self.watched = False
        self._name = name
        self._context = context
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._subjects: dict[int, Subject] = {}
        self._soon: collections.deque[Subject] = collections.deque()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._turn = Turn(self)
        self._leading: threading.Thread | None = None
        self._guarding: threading.Thread | None = None
        self._guardless = False  # for want of a thread
        self._begun = False
        self._ending = False
        self._closed = False

    def start(self) -> None:
        """Begin, in threads of its own."""
        self._leading = self._spawn(self._begin)
        self._guarding = self._spawn(self._guard)

    def _spawn(self, function: Callable[..., object], *args: object) -> threading.Thread:
        thread = threading.Thread(target=function, args=args, name=self._name, daemon=True)
        thread.start()
        return thread

    def register(self, descriptor: int, subject: Subject, mask: int) -> None:
        """Tell a subject of events.

        Raises:
          OSError: there is no room for more.
        """
        self._subjects[descriptor] = subject
        try:
            self._epoll.register(descriptor, mask)
        except OSError:
            del self._subjects[descriptor]
            raise

    def modify(self, descriptor: int, mask: int) -> None:
        """Tell the descriptor's subject of other events."""
        self._epoll.modify(descriptor, mask)

    def unregister(self, descriptor: int) -> None:
        """Tell of no more events; that subject may still be resumed."""
        del self._subjects[descriptor]
        self._epoll.unregister(descriptor)

    def soon(self, subject: Subject) -> None:
        """Let the leader resume a subject; from any thread."""
        self._soon.append(subject)
        with self._lock:
            if not self._closed:
                os.eventfd_write(self._wake, 1)

    def watch(self) -> None:
        """Wake the guard."""
        self.watched = True
        self._bell.put(None)

    def _begin(self) -> None:
        with self._lock:
            if self._ending:  # a signal has interrupted the start, say
                return
            self._begun = True
        self._lead(self._turn)

    def _lead(self, turn: Turn) -> None:
        node_context.adopt(self._context)
        following: Turn | None = turn
        while following is not None:
            following = self._lead_in(following)
        if self._guardless:  # others led meanwhile, and none was left to look after them
            self._guardless = False
            self._guarding = threading.current_thread()
            self._guard()

    def _lead_in(self, turn: Turn) -> Turn | None:
        """Lead until another thread does; return a turn in which this one has to go on."""
        try:
            subject = turn.subject
            leads = subject is None or self._tell(subject, None, turn)
            leads = leads and self._resume_all(turn)
            while leads and not self._ending:
                leads = self._sweep(turn)
        except BaseException:
            _log.exception("%s: a subject raised", self._name)
            return self._replace(turn)
        if leads:
            turn.give_up()
        return None

    def _replace(self, turn: Turn) -> Turn | None:
        """Lead anew after a failure, unless another thread does so already."""
        with self._lock:
            if self._turn is not turn:
                return None
            if self._ending:
                turn.give_up()
                return None
            self._turn = Turn(self)
            return self._turn

    def _sweep(self, turn: Turn) -> bool:
        for descriptor, mask in self._events():
            subject = self._subjects.get(descriptor)
            if subject is not None:
                leads = self._tell(subject, mask, turn)
            else:  # it may also be one that was closed just now
                leads = descriptor != self._wake or self._resume_all(turn)
            if not leads:
                return False
        return True

    def _events(self) -> list[tuple[int, int]]:
        poll = self._epoll.poll
        if self._busy_poll_s:
            until = time.monotonic() + self._busy_poll_s
            while time.monotonic() < until:
                if found := poll(0, _EVENTS):
                    return found
                os.sched_yield()  # the client may have no other core
        return poll(-1, _EVENTS)

    def _resume_all(self, turn: Turn) -> bool:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        return all(self._tell(self._soon.popleft(), None, turn) for _ in range(len(self._soon)))

    def _tell(self, subject: Subject, mask: int | None, turn: Turn) -> bool:
        turn.subject = subject
        leads = subject.resume(turn) if mask is None else subject.ready(mask, turn)
        if leads:
            turn.subject = None
        return leads

    def _guard(self) -> None:
        """Lead from the time on when the leader is stuck."""
        idle = _IDLE_TICKS
        while not self._ending:
            if idle == _IDLE_TICKS:
                self.watched = False
                if not self._turn.away:  # it rings when it goes away
                    self._bell.get()
                self.watched, idle = True, 0
            seen = self.steps
            time.sleep(TICK_S)
            idle = idle + 1 if self.steps == seen else 0
            if idle and (turn := self._take_over()) is not None:
                try:
                    self._guarding = self._spawn(self._guard)
                except RuntimeError:  # there can be no more threads: whoever is free guards
                    self._guardless = True
                self._lead(turn)
                return

    def _take_over(self) -> Turn | None:
        with self._lock:
            before = self._turn
            if self._ending or not before.take(wait=False):
                return None
            self._turn = Turn(self)
            self._turn.subject = before.subject
            self._leading, self._guarding = self._guarding, None
            return self._turn

    def end(self) -> None:
        """Stop telling of events.

        Nobody leads when it returns. Who is stuck in some work, though, goes on with that.
        """
        with self._lock:
            self._ending = True
            os.eventfd_write(self._wake, 1)
        self._bell.put(None)
        if not self._begun:
            return
        self._turn.take(wait=True)
        for thread in (self._guarding, self._leading if self._turn.given_up else None):
            if thread is not None and thread is not threading.current_thread():
                thread.join()

    def close(self) -> None:
        """Give the descriptors back, after the end."""
        with self._lock:
            self._closed = True
            self._epoll.close()
            os.close(self._wake)
