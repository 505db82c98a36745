"""Sends the items of a writer, one frame after the other, in a thread that lives while it must."""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading
import time
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

from launchpad_lite import forks
from launchpad_lite.context import get_context
from launchpad_lite.courier.deadline import Deadline, deadline
from launchpad_lite.errors import (
    CallError,
    ContextError,
    DeadlineExceeded,
    LaunchpadError,
    Stopped,
    Unavailable,
    UsageError,
)
from launchpad_lite.replay.service.outgoing import items
from launchpad_lite.replay.service.protocol import StreamLost

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from launchpad_lite.courier.client import Client
    from launchpad_lite.replay.service.outgoing import Batch, Outgoing
    from launchpad_lite.replay.service.protocol import Frame
    from launchpad_lite.stop_token import StopToken

_log = logging.getLogger(__name__)

TOLD_AFTER_S = 5.0
"""Seconds after which the log says that a writer waits; then after twice as many."""

_LINGER_S = 0.005  # how long a small frame waits for more items, unless somebody waits for it
_IDLE_S = 1.0  # how long the thread waits for more
_LET_GO_S = 5.0  # how long a writer that was let go still sends
_CLOSE_S = 1.0  # for a server to forget the stream; it would also do so by itself
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.02, 0.5
_RETRY_FOR_S = 3.0  # while the server says that it does not take calls
_UNDECIDED = (Unavailable, DeadlineExceeded, Stopped)  # of which the items are not given up


class Sender:
    """Sends what is `outgoing`, and tells how far that is. Thread-safe.

    One frame is under way; what is added meanwhile is the next one. A frame whose fate is unknown
    is sent again: while the server lives, each item is inserted once; a server that was restarted
    does not know what the one before had done, and gets the whole frame. What fails otherwise is
    raised in the thread that uses the writer, once; nothing is sent before that has happened.

    Attributes:
      outgoing: the items.
      lock: that of `outgoing`.
      changed: the condition of the lock; notified when something has ended.
    """

    def __init__(self, courier: Client, outgoing: Outgoing) -> None:
        """Prepare to send; the thread begins with the first item."""
        self.outgoing = outgoing
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.failure: Exception | None = None
        self._courier = courier
        self._batch: Batch | None = None  # what is under way, or is to be tried again
        self._future: Future[int] | None = None
        self._awaits: int | None = None  # how many items the server tells of that are left
        self._enough = 0  # how many may be left for whoever waits
        self._thread: threading.Thread | None = None
        self._resting = False  # the thread waits for something to send
        self._lingering = False  # it waits for more of it
        self._hurry = 0  # how many wait for it
        self._run_ends: StopToken | None = None
        self._ended = False
        self._patient = True
        self._born = forks.number()

    # For the thread that uses the writer.

    def check(self) -> None:
        """Raise what has failed since this was asked last.

        Raises:
          UsageError: items were refused, or this is a forked process.
          Exception: what else went wrong.
        """
        failure = self.failure
        if failure is not None:
            if not isinstance(failure, Stopped):
                self.failure = None
            raise failure

    def wake(self) -> None:
        """Let the thread go on; the caller has the lock."""
        if self._resting:
            self._resting = False
            self.changed.notify_all()
        elif self._lingering:
            if self._hurry or not self.outgoing.small:
                self._lingering = False
                self.changed.notify_all()
        elif self._thread is None:
            self._check_process()
            thread = threading.Thread(target=self._run, name="lp-replay-writer", daemon=True)
            atexit.register(self.let_go)
            with contextlib.suppress(ContextError):
                self._run_ends = get_context().scope.stop
            thread.start()
            self._thread = thread

    def _stop(self) -> None:
        """The run has stopped: nobody waits any longer."""
        with self.changed:
            self.failure = Stopped("the run has stopped")
            future = self._future
            self.changed.notify_all()
        if future is not None:
            future.cancel()

    def wait(self, done: Callable[[], bool], timeout_s: float | None, why: str) -> None:
        """Wait until something is so; the caller has the lock.

        Args:
          done: whether it is.
          timeout_s: seconds; None for no limit. An enclosing `lp.deadline` holds too.
          why: who waits, for people.

        Raises:
          DeadlineExceeded: it is not so in time; the items are still being sent.
          Exception: what has failed meanwhile.
        """
        self._check_process()
        self._hurry += 1
        try:
            self._wait(done, timeout_s, why)
        finally:
            self._hurry -= 1

    def _wait(self, done: Callable[[], bool], timeout_s: float | None, why: str) -> None:
        until, told_at, began = Deadline.of_call(timeout_s), TOLD_AFTER_S, time.monotonic()
        while True:
            self.check()
            if done():
                return
            if self.outgoing.items:
                self.wake()
            left, waited = until.left(), time.monotonic() - began
            if left == 0.0:
                raise DeadlineExceeded(
                    f"{why}: {self._pending()} not inserted within {until}; still being sent"
                )
            if waited >= told_at:
                told_at *= 2
                _log.warning(
                    "%s has waited for %.0f s: %s not inserted", why, waited, self._pending()
                )
            self.changed.wait(min(told_at - waited, left if left is not None else told_at))

    def _check_process(self) -> None:
        forks.check(self._born, "this replay writer", "Make one in each process.")

    def _pending(self) -> str:
        under_way = f" ({self._batch} under way)" if self._batch is not None else ""
        return f"{items(self.outgoing.items)}{under_way}"

    def flush(self, at_most: int, timeout_s: float | None) -> None:
        """Wait until no more than `at_most` items are not inserted; see `wait`."""
        with self.changed:
            self._enough = at_most
            asks = self._future if self._awaits not in (None, self._target()) else None
        if asks is not None:
            asks.cancel()  # it is asked again, for more items to be left
        with self.changed:
            try:
                self.wait(lambda: self.outgoing.items <= at_most, timeout_s, "flush")
            finally:
                self._enough = 0

    def _target(self) -> int:
        """Return how many items of the frame under way may be left; the caller has the lock."""
        batch = self._batch
        behind = self.outgoing.items - (batch.items if batch is not None else 0)
        return max(0, self._enough - behind)

    def close(self, *, patient: bool = True) -> None:
        """Send everything, and let the server forget the stream.

        Args:
          patient: whether to wait for a server that is away.

        Raises:
          Exception: the first failure; the items that it is not about were sent nevertheless.
        """
        self._check_process()
        self._patient = patient
        first: Exception | None = None
        while True:
            try:
                self.flush(0, None)
            except Exception as error:
                first = first or error
                if not isinstance(error, _UNDECIDED):  # some were refused; go on with the others
                    continue
            break
        self.end()
        if first is not None:
            raise first

    def end(self) -> None:
        """Send nothing any more, and let the server forget the stream."""
        with self.changed:
            if self._ended:
                return
            self._ended = True
            future, self._resting = self._future, False
            self.changed.notify_all()
        if future is not None:
            future.cancel()
        if self.outgoing.begun and not isinstance(self.failure, Stopped):
            with contextlib.suppress(CallError, LaunchpadError), deadline(_CLOSE_S):
                self._courier.close_stream(self.outgoing.stream)
        if self.outgoing.items:
            level = logging.INFO if isinstance(self.failure, Stopped) else logging.WARNING
            told = items(self.outgoing.items)
            _log.log(level, "a replay writer ended with %s not inserted", told)

    def let_go(self) -> None:
        """Send what there is to send for a moment, then end; for a writer that nobody has."""
        with self.changed:
            if self._born == forks.number() and not self._over:
                self.changed.wait_for(lambda: not self.outgoing.items or self._over, _LET_GO_S)
        if self._born == forks.number():
            self.end()

    @property
    def _over(self) -> bool:
        return self._ended or self.failure is not None

    # In the thread.

    def _run(self) -> None:
        stop = self._run_ends
        if stop is not None:  # what the client calls may be outside of the run
            stop.on_close(self._stop)
        try:
            self._send_all()
        finally:
            if stop is not None:
                stop.forget(self._stop)

    def _send_all(self) -> None:
        while (frame := self._next()) is not None:
            failure: Exception | None = None
            try:
                self._send(frame)
            except Exception as error:
                failure = error
            self._settle(failure)

    def _next(self) -> Frame | None:
        """Return the next frame, once there is one; None to end the thread."""
        outgoing = self.outgoing
        with self.changed:
            while not self._ended and self.failure is None:
                if self._batch is None and outgoing.waiting:
                    if outgoing.small and not self._hurry:
                        self._lingering = True
                        self.changed.wait(_LINGER_S)
                        self._lingering = False
                        if self._over:
                            break
                    self._batch = outgoing.take()
                if self._batch is not None:
                    return outgoing.frame(self._batch)
                self._resting = True
                woken = self.changed.wait(_IDLE_S)
                self._resting = False
                if not woken and not outgoing.waiting:
                    break
            self._thread = None
            atexit.unregister(self.let_go)
            return None

    def _send(self, frame: Frame) -> None:
        """Send a frame, as often as it has to be, until its items are inserted."""
        batch = self._batch
        assert batch is not None  # noqa: S101 - it is this frame's
        pause, refused_at, left = _FIRST_PAUSE_S, 0.0, -1
        while left and not self._ended:
            try:
                left = self._send_once(frame) if left < 0 else self._await_items(frame)
                with self.changed:
                    self.outgoing.left(batch, left)
                    self.changed.notify_all()
            except CancelledError:
                if self._over:
                    raise
            except StreamLost:
                left = -1
                with self.changed:
                    self.outgoing.lost()
                    frame = self.outgoing.frame(batch)
            except Unavailable as error:
                left = -1
                now = time.monotonic()
                refused_at = now if error.maybe_executed else refused_at or now
                if not self._is_patient or now - refused_at > _RETRY_FOR_S:
                    raise
                with self.changed:
                    self.changed.wait(pause)
                pause = min(2 * pause, _LAST_PAUSE_S)

    @property
    def _is_patient(self) -> bool:
        """Whether to wait for a server that is away; when the run stops it does not come back."""
        return self._patient and not (self._run_ends is not None and self._run_ends.stopping)

    def _send_once(self, frame: Frame) -> int:
        """Send a frame; return how many of its items have to wait."""
        return self._result(self._courier.futures.write(frame))

    def _await_items(self, frame: Frame) -> int:
        """Wait until fewer items of a frame are left: as few as somebody waits for, or none."""
        with self.changed:
            target = self._target()
        future = self._courier.futures.await_items(frame.stream, frame.sequence, target)
        try:
            return self._result(future, target)
        finally:
            self._awaits = None

    def _result(self, future: Future[int], awaits: int | None = None) -> int:
        """Wait for a call, which `_over` or another target ends."""
        with self.changed:
            self._future, self._awaits = future, awaits
            useless = self._over or awaits not in (None, self._target())  # just now
        if useless:
            future.cancel()
        try:
            return future.result()
        finally:
            self._future = None

    def _settle(self, failure: Exception | None) -> None:
        with self.changed:
            batch = self._batch
            if self._ended or batch is None or isinstance(failure, CancelledError):
                return
            if failure is None:
                self.outgoing.inserted(batch)
                self._batch = None
            elif isinstance(failure, _UNDECIDED):
                self.failure = failure  # the batch is sent again
            else:
                self.outgoing.refused(batch)
                self._batch = None
                self.failure = _refusal(batch, failure)
            self.changed.notify_all()


def _refusal(batch: Batch, error: Exception) -> Exception:
    told = f"{batch} may not have been inserted"
    if isinstance(error, UsageError):
        return UsageError(f"{told}: {error}")
    error.add_note(f"{told}.")
    return error
