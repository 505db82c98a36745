"""The calls and streams of one gRPC server, until it stops."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import grpc

from launchpad_lite.courier.call import ServerCall
from launchpad_lite.courier.grpc_channel import CALLER, STREAM_NUMBER, STREAM_NUMBER_BYTES
from launchpad_lite.courier.stream_window import Window
from launchpad_lite.courier.transport import ReplyStream, Where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent import futures

    from launchpad_lite.courier.callers import Caller
    from launchpad_lite.courier.messages import Reply, Request
    from launchpad_lite.courier.transport import Service

GONE = "the server has stopped"
"""What clients are told then."""


class _Call(ServerCall):
    """A call, and what takes its answer."""

    __slots__ = ("_context", "_end", "_forget")

    def __init__(
        self,
        request: Request,
        origin: Caller,
        context: grpc.ServicerContext,
        end: Callable[[Reply | None], object],
        forget: Callable[[_Call], object],
    ) -> None:
        super().__init__(request, origin)
        self._context = context
        self._end = end
        self._forget = forget

    def answer(self, reply: Reply) -> None:
        self._end(reply)
        self._forget(self)

    def refuse(self) -> None:
        self._end(None)
        self._forget(self)

    def hung_up(self) -> bool:
        return not self._context.is_active()

    def watch(self) -> None:
        if not self._context.add_callback(self.cancel):
            self.cancel()

    def on_cancel(self, callback: Callable[[], object]) -> None:
        super().on_cancel(callback)
        self._context.add_callback(self.cancel)  # which does nothing after the call has ended


class _Stream(ReplyStream):
    """A stream that is not further ahead of its reader than that wants."""

    def __init__(self, replies: ReplyStream, *, told: bool) -> None:
        self.window = Window()
        self._told = told
        self._replies = replies

    def __next__(self) -> Reply:
        if not self.window.wait():
            raise StopIteration
        reply = next(self._replies)
        if self._told:
            self.window.note(reply.content.size)
        return reply

    def close(self) -> None:
        self._replies.close()
        self.closed = self._replies.closed
        self.window.close()


class GrpcCalls:
    """Gives calls to a service, and knows which have not ended."""

    def __init__(self, service: Service) -> None:
        """Begin with none."""
        self._service = service
        self._changed = threading.Condition()
        self._calls: set[_Call] = set()
        self._streams: dict[bytes, _Stream] = {}
        self._at_stop: dict[grpc.ServicerContext, Callable[[], object]] = {}
        self._stopping = False

    @property
    def stopping(self) -> bool:
        """Whether no more calls begin."""
        return self._stopping

    def begin(
        self,
        request: Request,
        context: grpc.ServicerContext,
        end: Callable[[Reply | None], object],
    ) -> None:
        """Give a call to the service.

        Args:
          request: the call.
          context: gRPC's.
          end: called once, from any thread, with the reply; or with None when the call will not
            begin, for the server stops.
        """
        call = _Call(request, self._caller(context), context, end, self._forget)
        with self._changed:
            self._calls.add(call)
        if not context.is_active():  # cancelled, or its time is over, before it began
            call.refuse()
        elif not self._service.begin(call, Where.HERE):
            call.answer(self._service.exhausted(call))  # gRPC cannot be told to wait

    def _caller(self, context: grpc.ServicerContext) -> Caller:
        name = dict(context.invocation_metadata()).get(CALLER, b"")
        return self._service.caller(
            name.decode(errors="replace") if isinstance(name, bytes) else ""
        )

    def _forget(self, call: _Call) -> None:
        with self._changed:
            self._calls.discard(call)
            self._changed.notify_all()

    def stream(
        self, request: Request, context: grpc.ServicerContext, *, told: bool = True
    ) -> Iterator[Reply]:
        """Begin a stream of the service; it ends with the server, or when its client is gone.

        Args:
          request: which stream.
          context: gRPC's.
          told: whether its reader tells how much it has read; otherwise gRPC's windows must do.
        """
        stream = _Stream(self._service.open_stream(request, self._caller(context)), told=told)
        number = os.urandom(STREAM_NUMBER_BYTES)
        with self._changed:
            self._streams[number] = stream
            over = self._stopping
        context.send_initial_metadata(((STREAM_NUMBER, number),))  # it has begun
        if over or not context.add_callback(stream.close):
            stream.close()
        try:
            yield from stream
            if stream.closed and self._stopping:
                context.abort(grpc.StatusCode.UNAVAILABLE, GONE)
        finally:
            stream.close()
            with self._changed:
                del self._streams[number]

    def hear(self, number: bytes, count: int) -> None:
        """Note that the reader of a stream, if it goes on, has read so many values more."""
        stream = self._streams.get(number)
        if stream is not None:
            stream.window.give(count)

    def at_stop(self, context: grpc.ServicerContext, callback: Callable[[], object]) -> None:
        """Call a quick function when the server stops, unless the client has gone by then."""
        with self._changed:
            self._at_stop[context] = callback
            over = self._stopping
        if over:
            self._take_back(context)
            callback()
        elif not context.add_callback(lambda: self._take_back(context)):
            self._take_back(context)

    def _take_back(self, context: grpc.ServicerContext) -> None:
        with self._changed:
            self._at_stop.pop(context, None)

    @property
    def waiting_for_stop(self) -> int:
        """How many clients wait for the server's end."""
        return len(self._at_stop)

    def refuse(self) -> None:
        """Begin no more calls, and end the streams."""
        with self._changed:
            self._stopping = True
            streams = list(self._streams.values())
            told, self._at_stop = list(self._at_stop.values()), {}
            self._changed.notify_all()
        self._service.refuse()
        for stream in streams:
            stream.close()
        for callback in told:
            callback()

    def wait(self, timeout: float) -> None:
        """Wait for the calls that run."""
        with self._changed:
            self._changed.wait_for(lambda: not self._calls, timeout)


def sends_itself(behavior: Any, threads: futures.ThreadPoolExecutor | None = None) -> Any:
    """Let a streaming handler return before it has sent anything.

    Args:
      behavior: takes what a handler takes, and a function that sends; None for the end.
      threads: which run it; None for the server's.
    """

    def run(request: Any, context: Any, send: Any) -> None:
        behavior(request, context, send)

    # all that grpcio looks for
    setattr(run, "experimental_non_blocking", True)  # noqa: B010
    setattr(run, "experimental_thread_pool", threads)  # noqa: B010
    return run
