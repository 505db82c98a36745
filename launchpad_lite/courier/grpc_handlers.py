"""What a gRPC server answers: our own clients, programs in other languages, and health checks."""

from __future__ import annotations

import functools
import time
from concurrent import futures
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
import msgspec

from launchpad_lite.courier import auth, frame, grpc_chunks, grpc_session
from launchpad_lite.courier.grpc_calls import GONE, GrpcCalls, sends_itself
from launchpad_lite.courier.grpc_channel import (
    BULK,
    CALL,
    FETCH,
    HELLO,
    METHOD,
    NONCE,
    NOT_BEGUN,
    READ,
    STREAM,
    STREAM_NUMBER_BYTES,
    TICKET,
)
from launchpad_lite.courier.grpc_health import Health
from launchpad_lite.courier.grpc_outside import TOKEN, Outside
from launchpad_lite.courier.messages import Reply
from launchpad_lite.courier.pool import DaemonExecutor
from launchpad_lite.errors import PayloadTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launchpad_lite.courier.messages import Request
    from launchpad_lite.courier.transport import Service

    _Handler = grpc.RpcMethodHandler[Any, Any]

_LATER = "later"  # the handler of calls to methods that answer later
_MAX_THREADS = 2**12
_LAST_S = 0.5  # for threads that have nothing left to do


class Handlers(grpc.GenericRpcHandler):
    """Chooses the handler of a call, by what its caller has proved.

    Attributes:
      executor: the threads that the handlers run in.
      sessions: those of the service's clients.
    """

    def __init__(self, service: Service) -> None:
        """Make the handlers of a service."""
        self._service = service
        self._expected = service.credentials.token.hex().encode()
        self.sessions = grpc_session.Sessions(service.credentials)
        # How many calls run at a time is the service's to say; streams and handshakes never wait.
        name = f"lp-grpc {service.info().name}"
        self.executor = DaemonExecutor(_MAX_THREADS, name, service.context)
        self._calls = GrpcCalls(service)
        self._held = grpc_chunks.HeldReplies()
        self._health = Health(self._calls, f"lp-health {service.info().name}")
        outside = Outside(service, self._calls)
        self._of_clients: dict[str, tuple[Callable[..., _Handler], Any]] = {
            CALL: (grpc.unary_unary_rpc_method_handler, self._call),
            _LATER: (grpc.unary_stream_rpc_method_handler, sends_itself(self._call_later)),
            BULK: (grpc.stream_unary_rpc_method_handler, self._call_in_pieces),
            FETCH: (grpc.unary_stream_rpc_method_handler, self._fetch),
            STREAM: (grpc.unary_stream_rpc_method_handler, self._stream),
            READ: (grpc.unary_unary_rpc_method_handler, self._hear),
        }
        self._of_friends: dict[str, _Handler] = {**outside.handlers, **self._health.handlers}
        self._of_others: dict[str, _Handler] = self._health.handlers_for_strangers
        if service.credentials.tls:  # their certificates have proved that they may call
            self._of_others = self._of_friends
        # streaming, so that the message of a stranger is not even received
        self._refusal: _Handler = grpc.stream_unary_rpc_method_handler(_refuse)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> _Handler | None:
        """Return the handler of a call; None for a method that there is not."""
        metadata = dict(handler_call_details.invocation_metadata)
        called = handler_call_details.method
        ticket = metadata.get(TICKET)
        if isinstance(ticket, bytes):
            return self._for_client(called, ticket, metadata.get(METHOD, b""))
        if called == HELLO:
            hello = functools.partial(self._hello, metadata.get(NONCE))
            return grpc.stream_unary_rpc_method_handler(hello)
        if auth.is_valid(str(metadata.get(TOKEN, "")).encode(), self._expected):
            return self._of_friends.get(called)
        return self._of_others.get(called, self._refusal)

    def _for_client(self, called: str, ticket: bytes, method: str | bytes) -> _Handler | None:
        session = self.sessions.find(ticket)
        if session is None:
            return self._refusal
        exchange = session.exchange(called, client=False)
        if (
            called == CALL
            and isinstance(method, bytes)
            and self._service.answers_later(method.decode(errors="replace"))
        ):
            called = _LATER
        make, behavior = self._of_clients.get(called, (None, None))
        return None if make is None else make(behavior, exchange.open, exchange.seal)

    def _hello(self, nonce: object, _: object, context: grpc.ServicerContext) -> bytes:
        if self._calls.stopping:
            _abort_unbegun(context)
        if not isinstance(nonce, bytes) or len(nonce) != grpc_session.NONCE_BYTES:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "this is no handshake")
        return self.sessions.answer(nonce, msgspec.msgpack.encode(self._service.info()))

    def _request(
        self, read: Callable[[Any, int], frame.Frame], source: Any, context: grpc.ServicerContext
    ) -> Request | Reply:
        """Return a request, or at once the reply to one that is too large."""
        try:
            return read(source, self._service.max_payload_bytes).request()
        except PayloadTooLarge as error:
            return self._service.failure(error)
        except frame.ProtocolError:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a frame")

    def _message(self, reply: Reply, context: grpc.ServicerContext) -> bytes:
        if not context.is_active():  # nobody would fetch it
            return b""
        return self._held.message(frame.pack_reply(reply, 0), context.time_remaining())

    def _call(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        return self._answer(self._request(frame.parse, message, context), context)

    def _call_in_pieces(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        return self._answer(self._request(grpc_chunks.read, messages, context), context)

    def _answer(self, request: Request | Reply, context: grpc.ServicerContext) -> bytes:
        if isinstance(request, Reply):
            return self._message(request, context)
        answered: futures.Future[bytes | None] = futures.Future()

        def end(reply: Reply | None) -> None:
            answered.set_result(None if reply is None else self._message(reply, context))

        self._calls.begin(request, context, end)
        del request
        answer = answered.result()
        if answer is None:
            _abort_unbegun(context)
        return answer

    def _call_later(
        self, message: bytes, context: grpc.ServicerContext, send: Callable[[bytes | None], object]
    ) -> None:
        """Answer with a stream of one, which to a client is the same, and needs no thread."""

        def end(reply: Reply | None) -> None:
            if reply is None:
                _set_unbegun(context)
            else:
                send(self._message(reply, context))
            send(None)

        def end_beside(reply: Reply | None) -> None:
            try:  # to answer may mean to wait for a slow client
                self.executor.submit(end, reply)
            except RuntimeError:  # no thread: the server has stopped, or there can be no more
                context.cancel()

        request = self._request(frame.parse, message, context)
        if isinstance(request, Reply):
            end(request)
        else:
            self._calls.begin(request, context, end_beside)

    def _fetch(self, number: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        pieces = self._held.fetch(number)
        if pieces is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "this reply is not held any more")
        yield from grpc_chunks.cut(pieces)

    def _stream(self, message: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        try:
            request = frame.parse(message, self._service.max_payload_bytes).request()
        except (frame.ProtocolError, PayloadTooLarge):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a frame")
        held: list[bytes] = []
        context.add_callback(lambda: self._held.drop(held))
        for reply in self._calls.stream(request, context):
            message = self._message(reply, context)
            number = grpc_chunks.held_number(message)
            if number is not None:
                held.append(number)
                if not context.is_active():  # since just now, so that it may not have been dropped
                    self._held.drop(held)
            yield message
        held.clear()  # its client may still fetch the last

    def _hear(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        if len(message) != STREAM_NUMBER_BYTES + 4:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "this is about no stream")
        count = int.from_bytes(message[STREAM_NUMBER_BYTES:], "little")
        self._calls.hear(message[:STREAM_NUMBER_BYTES], count)
        return b""

    def refuse(self) -> None:
        """Begin no more calls, and end the streams."""
        self._calls.refuse()

    def wait(self, timeout: float) -> None:
        """Wait for the calls that run, and for clients to fetch their replies."""
        deadline = time.monotonic() + timeout
        self._calls.wait(timeout)
        self._held.wait(max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        """Give the threads back, after the last call."""
        for executor in (self.executor, self._health.executor):
            executor.shutdown(wait=False)
            executor.join(_LAST_S)


def _set_unbegun(context: grpc.ServicerContext) -> None:
    context.set_trailing_metadata(((NOT_BEGUN, "1"),))
    context.set_code(grpc.StatusCode.UNAVAILABLE)
    context.set_details(GONE)


def _abort_unbegun(context: grpc.ServicerContext) -> NoReturn:
    _set_unbegun(context)
    context.abort(grpc.StatusCode.UNAVAILABLE, GONE)


def _refuse(_: object, context: grpc.ServicerContext) -> bytes:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, "the caller has not proved that it may call")
