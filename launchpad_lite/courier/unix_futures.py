"""Futures over a Unix socket: calls that share one connection, each with a number."""

from __future__ import annotations

import functools
import itertools
import threading
from typing import TYPE_CHECKING

from launchpad_lite.courier import frame
from launchpad_lite.courier.connection import Outbox
from launchpad_lite.courier.deadlines import deadlines
from launchpad_lite.errors import PayloadTooLarge, Stopped, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.courier.connection import Connection
    from launchpad_lite.courier.messages import Reply, Request, ServerInfo

BROKEN = (OSError, EOFError, frame.ProtocolError, PayloadTooLarge)
"""What reading from a connection raises when it is of no use any more."""


class _Pending:
    """A call whose reply a future waits for."""

    __slots__ = ("done", "end", "keep_time", "method")

    def __init__(
        self, method: str, done: Callable[[Reply | None, Exception | None], object]
    ) -> None:
        self.method = method
        self.done = done
        self.end = 0
        self.keep_time: Callable[[], object] | None = None


class UnixFutures:
    """The connection that a channel's futures share."""

    def __init__(
        self, connection: Connection, info: ServerInfo, closed: Callable[[], bool]
    ) -> None:
        """Take over a connection.

        Args:
          connection: the connection.
          info: what the server said of itself.
          closed: tells whether the channel was closed.
        """
        self._connection = connection
        self._info = info
        self._closed = closed
        self._outbox = Outbox(connection, f"lp-send {self._info.name}")
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self._retired = False
        self.broken = False
        name = f"lp-futures {self._info.name}"
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(
        self, request: Request, done: Callable[[Reply | None, Exception | None], object]
    ) -> Callable[[], object]:
        """Send a call now or soon; see `Channel.submit`."""
        number = next(self._ids) & 0xFFFFFFFF
        call = _Pending(request.method, done)
        if request.timeout is not None:
            late = functools.partial(self._late, number, request)
            call.keep_time = deadlines.call_later(request.timeout, late)
        with self._lock:
            usable = not self.broken and not self._retired
            if usable:
                self._pending[number] = call
        if not usable:
            if call.keep_time is not None:
                call.keep_time()
            raise self._failure(call, maybe_executed=False)
        self._outbox.post(frame.pack_request(request, number), call)
        return lambda: self._take(number)

    def _take(self, number: int) -> _Pending | None:
        with self._lock:
            call = self._pending.pop(number, None)
            last = self._retired and not self._pending
        if last:
            self._connection.hang_up()
        if call is not None and call.keep_time is not None:
            call.keep_time()
        return call

    def _late(self, number: int, request: Request) -> None:
        call = self._take(number)
        if call is not None:
            call.done(None, request.late(self._info.name))

    def _run(self) -> None:
        try:
            while True:
                answer = self._connection.read()
                if answer.kind == frame.Kind.STOPPING:
                    self._stop_waiting(answer.begun())
                    continue
                call = self._take(answer.call_id)
                if call is not None:
                    call.done(answer.reply(), None)
                del answer, call  # they hold arrays and the client, and the next one may be far off
        except BROKEN:
            pass
        finally:
            with self._lock:
                self.broken = True
                calls = list(self._pending)
            self._connection.close()
            sent = self._connection.sent_bytes
            for number in calls:
                self._fail(number, lambda call: call.end <= sent)

    def _stop_waiting(self, begun: set[int]) -> None:
        """Give up the calls that a server which stops will never begin."""
        with self._lock:
            self.broken = True
            never = [number for number in self._pending if number not in begun]
        for number in never:
            self._fail(number, lambda _: False)

    def _fail(self, number: int, maybe_executed: Callable[[_Pending], bool]) -> None:
        call = self._take(number)
        if call is not None:
            call.done(None, self._failure(call, maybe_executed=maybe_executed(call)))

    def _failure(self, call: _Pending, *, maybe_executed: bool) -> Exception:
        if self._closed():
            return stopped()
        return gone(self._info, call.method, maybe_executed=maybe_executed)

    def retire(self) -> None:
        """Hang up after the last call."""
        with self._lock:
            self._retired = True
            last = not self._pending
        if last:
            self._connection.hang_up()

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
    return Unavailable(message, maybe_executed=maybe_executed)
