"""One framed connection as its server sees it: requests in, replies out."""

from __future__ import annotations

import collections
import logging
import select
import threading
from typing import TYPE_CHECKING

from launchpad_lite.courier import frame
from launchpad_lite.courier.call import ServerCall
from launchpad_lite.courier.frame_reader import NotReceived
from launchpad_lite.courier.outbox import Outbox
from launchpad_lite.courier.stream_sender import StreamSender
from launchpad_lite.courier.transit import TransitTimes
from launchpad_lite.courier.transport import Where
from launchpad_lite.courier.unix_stream import reader_of, sharing_of
from launchpad_lite.errors import PayloadTooLarge, ResourceExhausted

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.courier.byte_stream import ByteStream
    from launchpad_lite.courier.event_loop import EventLoop, Turn
    from launchpad_lite.courier.messages import Reply, Request
    from launchpad_lite.courier.transport import Service

_FLUSH_REPLIES = 64  # that the leader collects before it sends them
_TURN_BYTES = 2**20  # of a large request that are received before others have their turn
_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
_GONE = select.EPOLLHUP | select.EPOLLERR
_CALL = frame.Kind.CALL  # to ask an enum takes long
_HERE_IF_QUICK = Where.HERE_IF_QUICK

_log = logging.getLogger(__name__)


class ServedCall(ServerCall):
    """A call, and the connection that it came over."""

    __slots__ = ("_connection", "number")

    def __init__(self, request: Request, connection: ServedConnection, number: int) -> None:
        """Take a call that has just arrived."""
        super().__init__(request, connection.caller)
        self.number = number
        self._connection = connection

    def answer(self, reply: Reply) -> None:
        """See the base class."""
        self._connection.answer(self, reply)

    def refuse(self) -> None:
        """See the base class; the client hears it from the connection's goodbye."""
        self._connection.forget(self)

    def hung_up(self) -> bool:
        """See the base class."""
        return self._connection.peer_is_gone()


class ServedConnection:
    """A connection of an authenticated client; a subject of its listener's loop.

    Attributes:
      caller: the client.
      calls: those that are not answered yet.
      outbox: what goes to the client.
    """

    def __init__(
        self,
        stream: ByteStream,
        service: Service,
        loop: EventLoop,
        *,
        changed: Callable[[], object],
        closed: Callable[[ServedConnection], object],
    ) -> None:
        """Take over a stream; `start` begins to read.

        Args:
          stream: the bytes.
          service: what the client may call.
          loop: tells of the stream's events.
          changed: is called when it may be `busy` no longer.
          closed: is called in the end.
        """
        self.caller = service.caller("")
        self.calls: set[ServedCall] = set()
        self.outbox = Outbox(stream, self._choose_events, self._tell_why)
        self._stream = stream
        self._descriptor = stream.fileno()
        self._sharing = sharing_of(stream)
        self._transit = TransitTimes(one_clock=self._sharing is not None)
        self._reader = reader_of(stream, service.max_payload_bytes)
        self._service = service
        self._loop = loop
        self._when_changed = changed
        self._when_closed = closed
        self._server = 0  # the thread that serves a batch of requests, and flushes in the end
        self._held: collections.deque[ServedCall] = collections.deque()  # the service is full
        self._sender: StreamSender | None = None  # a stream has the connection to itself
        self._parting = False  # the client was told which calls it may still wait for
        self._lock = threading.Lock()  # of what the loop is told
        self._closed = False

    def start(self) -> None:
        """Listen to the client."""
        self._loop.register(self._descriptor, self, _IN)
        if self._stream.pending:
            self._loop.soon(self)

    def _choose_events(self) -> None:
        with self._lock:
            if not self._closed:
                mask = _OUT if self.outbox.blocked else 0
                self._loop.modify(self._descriptor, mask if self._paused else _IN)
        if not self._paused:
            self._when_changed()
            self._loop.soon(self)  # something may have been received before

    def _tell_why(self, why: str) -> None:
        server, client = self._service.info().name, self.caller.name
        _log.warning("%s drops the connection of %s: %s", server, client, why)

    @property
    def _paused(self) -> bool:
        """Whether no more requests are read for now."""
        return self.outbox.blocked or bool(self._held)

    # What the leader does.

    def ready(self, mask: int, turn: Turn) -> bool:
        """See `event_loop.Subject`."""
        if mask & _OUT:
            self.outbox.resume()
        if mask & _IN:
            return self._receive(turn)
        if mask & _GONE:
            self.close()
        return True

    def resume(self, turn: Turn) -> bool:
        """See `event_loop.Subject`."""
        self._part_after_last()
        if self._held:
            if not self._begin(self._held.popleft(), turn):
                return False
            self._choose_events()
        return self._serve(turn) and (not self._stream.pending or self._receive(turn))

    def _receive(self, turn: Turn) -> bool:
        reader, stream, left = self._reader, self._stream, _TURN_BYTES
        while not self._closed and not self._paused:
            space = reader.space()
            if not space:  # it is full of what had come when this was paused
                if not self._serve(turn):
                    return False
                continue
            try:
                count = stream.receive_now(space)
            except BlockingIOError:
                break
            except OSError:
                count = 0
            if count == 0:
                self.close()
                break
            reader.received(count)
            if not self._serve(turn):
                return False
            left -= count
            if not stream.pending and (left <= 0 or not reader.more_expected):
                break
        return True

    def _serve(self, turn: Turn) -> bool:
        """Begin the calls that have been received; return whether this thread still leads."""
        self._server = threading.get_ident()
        try:
            while not self._paused and not self._closed:
                found = self._next()
                if found is None:
                    break
                if found.kind == _CALL:
                    call = ServedCall(found.request(), self, found.call_id)
                    if found.detail:
                        call.age(self._transit.of(found.detail))
                    self.calls.add(call)
                    if not self._begin(call, turn):
                        return False
                else:
                    self._hear(found)
        except PayloadTooLarge as error:
            failure = self._service.failure(error.with_traceback(None))
            self.outbox.put(frame.pack_reply(failure, 0))
            self.outbox.part()
            self.close()
        except frame.ProtocolError:
            self.close()
        except Exception:
            _log.exception("a connection is dropped")
            self.close()
        self._server = 0
        self.outbox.flush()
        return True

    def _next(self) -> frame.Frame | None:
        while True:
            try:
                return self._reader.next()
            except NotReceived as error:
                failure = self._service.failure(error.reason)
                self.outbox.put(frame.pack_reply(failure, error.call_id))

    def _hear(self, found: frame.Frame) -> None:
        """Do what a frame says that is no call."""
        if found.kind == frame.Kind.CANCEL:
            self._cancel(found.ids())
        elif found.kind == frame.Kind.CALLER:
            if found.detail:
                self._transit.of(found.detail)
            self.caller = self._service.caller(found.method)
        elif found.kind == frame.Kind.STREAM and self._sender is None:
            self._start_stream(found.request())
        elif found.kind == frame.Kind.READ and self._sender is not None:
            self._sender.hear(found.call_id)
        else:
            self.close()

    def _begin(self, call: ServedCall, turn: Turn) -> bool:
        turn.leave()
        taken = self._service.begin(call, _HERE_IF_QUICK)
        leads = turn.back()
        if not taken:
            self._held.append(call)
            self._choose_events()
            self._service.when_space(lambda: self._loop.soon(self))
        if not leads or len(self.outbox) >= _FLUSH_REPLIES:
            self.outbox.flush()
        return leads

    def _cancel(self, numbers: set[int]) -> None:
        for call in list(self.calls):
            if call.number in numbers:
                call.cancel()

    def close(self) -> None:
        """Drop the client; for the leader, or when there is none any more."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._loop.unregister(self._descriptor)
            sender = self._sender
        self._held.clear()
        self.outbox.close()
        if sender is not None:
            sender.close()
        for call in list(self.calls):
            call.cancel()
        self._when_closed(self)

    # What any thread does.

    def answer(self, call: ServedCall, reply: Reply) -> None:
        """Send a reply."""
        pieces = frame.pack_reply(reply, call.number, self._sharing)
        self.outbox.put(pieces)
        # arrays may change when the next call runs
        if self._server != threading.get_ident() or len(pieces) > 1:
            self.outbox.flush()
        self.forget(call)

    def forget(self, call: ServedCall) -> None:
        """Do not wait for a call any more."""
        self.calls.discard(call)
        self._part_after_last()
        self._when_changed()

    def _part_after_last(self) -> None:
        """Hang up when the client has got all that it was promised, or it would go on to call."""
        if self._parting and not self.busy:
            self.outbox.part()

    def say_goodbye(self, *, last: bool) -> None:
        """Tell the client which of its calls have begun, for no other will.

        Args:
          last: hang up, even though some are not answered.
        """
        begun = [call.number for call in list(self.calls) if call.begun]
        self.outbox.put(frame.pack_ids(frame.Kind.STOPPING, begun))
        self._parting = self._sender is None
        if self._sender is not None:
            self.outbox.hang_up()
        elif last or not self.busy:
            self.outbox.part()
        else:
            self.outbox.flush()

    @property
    def busy(self) -> bool:
        """Whether a call has begun and is not answered, or an answer waits for the client."""
        return self.outbox.blocked or any(call.begun for call in list(self.calls))

    def peer_is_gone(self) -> bool:
        """Whether the client has hung up, as far as can be told without reading."""
        with self._lock:
            if self._closed:
                return True
            poll = select.poll()
            poll.register(self._descriptor, select.POLLRDHUP)
            return bool(poll.poll(0))

    def _start_stream(self, request: Request) -> None:
        sender = StreamSender(self._service, self.outbox, self._sharing)
        with self._lock:
            self._sender = sender
        try:
            sender.start(request, self.caller)
        except ResourceExhausted as error:
            self.outbox.put(frame.pack_reply(self._service.failure(error), 0))
            self.outbox.part()
            self.close()
