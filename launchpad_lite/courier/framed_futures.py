"""Futures of the framed protocol: calls that share one connection, each with a number.

Each switch between threads costs far more than a call does. So what is submitted while others are
on their way is only noted down, and a thread sends all of it in one system call, together with the
numbers of calls that were given up; and the thread that reads takes all replies there are at once.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import itertools
import queue
import threading
from typing import TYPE_CHECKING

from launchpad_lite import forks
from launchpad_lite.courier import frame, threads
from launchpad_lite.courier.byte_stream import keep
from launchpad_lite.courier.deadlines import deadlines
from launchpad_lite.courier.frame_reader import NotReceived
from launchpad_lite.errors import PayloadTooLarge, ResourceExhausted, Stopped, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.courier.byte_stream import Bytes
    from launchpad_lite.courier.connection import Connection
    from launchpad_lite.courier.messages import Reply, Request, ServerInfo

BROKEN = (OSError, EOFError, frame.ProtocolError, PayloadTooLarge)
"""What reading from a connection raises when it is of no use any more."""

_CALL, _STOPPING = frame.Kind.CALL, frame.Kind.STOPPING

_BATCH_CALLS = 16  # so many that wait are sent by who submits the last of them
_SEND_BYTES = 2**17  # to be gathered for one system call
_COPY_BYTES = 2**14  # arrays up to here are copied rather than sent at once


class _Call:
    """A call whose reply a future waits for."""

    __slots__ = ("_futures", "done", "end", "keep_time", "method", "number", "pieces")

    def __init__(
        self,
        futures: FramedFutures,
        number: int,
        method: str,
        done: Callable[[Reply | None, Exception | None], object],
        pieces: list[Bytes],
    ) -> None:
        self._futures = futures
        self.number = number
        self.method = method
        self.done = done
        self.pieces = pieces
        self.end: int | None = None  # bytes that were sent once all of it was; None while it waits
        self.keep_time: Callable[[], object] | None = None

    def cancel(self) -> None:
        self._futures.cancel(self.number)


class FramedFutures:
    """The connection that a channel's futures share."""

    def __init__(
        self, connection: Connection, info: ServerInfo, closed: Callable[[], bool]
    ) -> None:
        """Take over a connection.

        Args:
          connection: the connection.
          info: what the server said of itself.
          closed: tells whether the channel was closed.

        Raises:
          ResourceExhausted: there can be no thread to read it.
        """
        self.broken = False
        self.over = False
        self._connection = connection
        self._info = info
        self._closed = closed
        self._ids = itertools.count(1)
        # Its operations are atomic. Who submits adds a call and then looks whether it is too late;
        # who breaks off says so and then looks for calls. Either takes the call out, and tells.
        self._pending: dict[int, _Call] = {}
        self._retired = False
        self._waiting: collections.deque[_Call] = collections.deque()
        self._given_up: collections.deque[int] = collections.deque()
        forks.track(self)
        self._sending = threading.Lock()  # of what follows, for whoever sends
        self._rest: list[Bytes] = []  # gathered and not yet sent
        self._gathered = connection.sent_bytes
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._writes = threading.Lock()  # once it is taken, there is a writer
        self._start("lp-futures", self._read)

    def _start(self, name: str, function: Callable[[], object]) -> None:
        threads.start(f"{name} {self._info.name}", function)

    def begin(self) -> None:
        """Leave all calls to the parent of a forked process; see `forks`."""
        self.broken = self.over = True
        self._sending = threading.Lock()
        self._pending = {}

    def submit(
        self, request: Request, done: Callable[[Reply | None, Exception | None], object]
    ) -> Callable[[], object]:
        """Send a call now or soon; see `Channel.submit`."""
        pending = self._pending
        number = next(self._ids) & 0xFFFFFFFF
        while number in pending:  # after four billion others
            number = next(self._ids) & 0xFFFFFFFF
        pieces = frame.pack_request(request, number, _CALL, self._connection.sharing)
        call = _Call(self, number, request.method, done, pieces)
        alone = not pending
        pending[number] = call
        try:
            if request.timeout is not None:
                self._keep_time(call, request, request.timeout)
            mine = len(pieces) > 1 and self._secure_arrays(call)
            if not (self.broken or self._retired):
                self._go(call, mine=mine, alone=alone)
                return call.cancel
        except ResourceExhausted:
            if self._take(number) is not None:
                raise
            return call.cancel  # it was told already
        except BaseException:  # this thread is interrupted, or there is no memory
            self._take(number)
            raise
        if mine:
            self._sending.release()
        if self._take(number) is not None:
            self._connection.take_back(call.pieces)
            raise self._failure(call, maybe_executed=False)
        return call.cancel

    def _go(self, call: _Call, *, mine: bool, alone: bool) -> None:
        """See to it that a call is sent: by this thread if that is `mine` to do, or it is `alone`.

        Raises:
          ResourceExhausted: there can be no thread for that.
        """
        waiting = self._waiting
        waiting.append(call)
        if not mine and (alone or len(waiting) >= _BATCH_CALLS):
            mine = self._sending.acquire(blocking=False)
        if mine:
            self._send_now()
        if waiting or self._rest or self._connection.unsent:
            self._ring()

    def _keep_time(self, call: _Call, request: Request, timeout: float) -> None:
        late = functools.partial(self._late, call.number, request)
        call.keep_time = deadlines.call_later(timeout, late)
        if call.number not in self._pending:  # it has ended before it had the timer
            call.keep_time()

    def _secure_arrays(self, call: _Call) -> bool:
        """See to it that arrays may change: copy them, or return that this thread is to send now.

        It holds `_sending` then.
        """
        mine = not self._copy(call, _COPY_BYTES)
        if mine and not self._sending.acquire(blocking=False):
            mine = not self._copy(call, None)
        return mine

    def _copy(self, call: _Call, most: int | None) -> bool:
        """Make one piece of a call's, if it is not too large; return whether it was done."""
        small = most is None or sum(map(len, call.pieces)) <= most
        if small:
            call.pieces = keep(call.pieces)
        return small

    # Sending.

    def _send_now(self) -> None:
        """Send what goes without waiting, and let others send; the rest is for the writer."""
        try:
            while self._gather():
                self._connection.send_now(self._rest)
                if self._rest:
                    self._rest = keep(self._rest)
                    return
        except OSError:
            self._connection.hang_up()
        except BaseException:  # this thread is interrupted, or there is no memory
            self._break_off()
            raise
        finally:
            self._sending.release()
        if self._connection.worn:
            self.over = True

    def _break_off(self) -> None:
        """Hang up when it is not known what has gone: nothing may go twice, and all may have."""
        self._connection.sent_bytes = self._gathered
        self._connection.hang_up()

    def _gather(self) -> bool:
        """Add to `_rest` what waits, as much as goes at a time; return whether there is any."""
        rest, size = self._rest, 0
        small: list[Bytes] = []
        if self._given_up:
            ids = [self._given_up.popleft() for _ in range(len(self._given_up))]
            small += frame.pack_ids(frame.Kind.CANCEL, ids)
            size += len(small[0])
        while self._waiting and size < _SEND_BYTES:
            call = self._waiting.popleft()
            if call.number not in self._pending:  # it was cancelled
                self._connection.take_back(call.pieces)
                continue
            if len(call.pieces) == 1:
                small += call.pieces
            else:
                rest += [b"".join(small), *call.pieces]
                small.clear()
            size += sum(map(len, call.pieces))
            call.end = self._gathered + size
            call.pieces = []
        if small:
            rest.append(small[0] if len(small) == 1 else b"".join(small))
        self._gathered += size
        return bool(rest)

    def _ring(self) -> None:
        """Let the writer see that there is something to do.

        Raises:
          ResourceExhausted: there can be no writer, and so no more of this connection.
        """
        if not self._writes.locked() and self._writes.acquire(blocking=False):
            try:
                self._start("lp-send", self._write)
            except ResourceExhausted:
                self._connection.hang_up()  # which ends the calls that wait
                raise
        if self._bell.empty():
            self._bell.put(None)

    def _write(self) -> None:
        try:
            while not self.broken:
                self._bell.get()
                with self._sending:
                    while self._gather() or self._connection.unsent:
                        self._connection.send(self._rest)
                if self._connection.worn:
                    self.over = True
        except OSError:
            self._connection.hang_up()
        except BaseException:
            self._break_off()
            raise

    # Receiving.

    def _take(self, number: int) -> _Call | None:
        call = self._pending.pop(number, None)
        if call is not None:
            if call.keep_time is not None:
                call.keep_time()
            if self._retired:
                self._hang_up_after_last()
        return call

    def _hang_up_after_last(self) -> None:
        if not self._pending:
            self._connection.hang_up()

    def _late(self, number: int, request: Request) -> None:
        call = self._take(number)
        if call is not None:
            self._give_up(call)
            call.done(None, request.late(self._info.name))

    def cancel(self, number: int) -> None:
        """Give a call up, if it has not ended."""
        call = self._take(number)
        if call is not None:
            self._give_up(call)

    def _give_up(self, call: _Call) -> None:
        """Tell the server that nobody waits for a call, if it knows of it."""
        if call.end is not None and not self.broken:
            self._given_up.append(call.number)
            with contextlib.suppress(ResourceExhausted):  # the connection ends, and so the call
                self._ring()

    def _read(self) -> None:
        connection, pending = self._connection, self._pending
        try:
            while True:
                try:
                    answer = connection.next() or connection.read()
                except NotReceived as error:
                    self._lose(error)
                    continue
                if answer.kind == _STOPPING:
                    self._stop_waiting(answer.ids())
                    continue
                call = self._take(answer.call_id)
                if call is not None:
                    call.done(answer.reply(), None)
                del answer, call  # they hold arrays and the client, and the next one may be far off
        except BROKEN:
            pass
        finally:
            self.broken = self.over = True
            calls = list(pending)
            connection.hang_up()
            self._bell.put(None)
            with self._sending:
                connection.close()
            sent = connection.sent_bytes
            for number in calls:
                self._fail(number, lambda call: call.end is not None and call.end <= sent)

    def _lose(self, error: NotReceived) -> None:
        """Fail the call whose reply there was no memory for."""
        call = self._take(error.call_id)
        if call is not None:
            call.done(None, error.reason)

    def _stop_waiting(self, begun: set[int]) -> None:
        """Give up the calls that a server which stops will never begin."""
        self.over = True
        self.retire()  # those that run may still be cancelled
        for number in [each for each in list(self._pending) if each not in begun]:
            self._fail(number, lambda _: False)

    def _fail(self, number: int, maybe_executed: Callable[[_Call], bool]) -> None:
        call = self._take(number)
        if call is not None:
            call.done(None, self._failure(call, maybe_executed=maybe_executed(call)))

    def _failure(self, call: _Call, *, maybe_executed: bool) -> Exception:
        if self._closed():
            return stopped()
        return gone(self._info, call.method, maybe_executed=maybe_executed)

    def retire(self) -> None:
        """Hang up after the last call."""
        self._retired = True
        self._hang_up_after_last()

    def close(self) -> None:
        """Hang up; the reader tells all who wait."""
        self._connection.hang_up()


def stopped() -> Stopped:
    """Return the error of a call on a channel that was closed."""
    return Stopped("the run has stopped")


def gone(info: ServerInfo, method: str, *, maybe_executed: bool) -> Unavailable:
    """Return the error of a call whose server went away."""
    what = "during the call of" if maybe_executed else "before the call of"
    message = f"{info.name or 'the server'} went away {what} {method!r}"
    if maybe_executed:
        message += ": it may have run, or not, and is not made again"
    return Unavailable(message, maybe_executed=maybe_executed)
