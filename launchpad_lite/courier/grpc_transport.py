"""Calls over gRPC, with its generic handlers: for whoever has a proxy, or no Unix sockets.

Every message is one frame. The token travels as metadata and is checked before a message is read.
"""

from __future__ import annotations

import threading
import time
from concurrent import futures
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import grpc
import msgspec

from launchpad_lite.courier import auth, frame
from launchpad_lite.courier.call import ServerCall
from launchpad_lite.courier.grpc_channel import (
    CALL,
    CONNECT_S,
    HELLO,
    METHOD,
    NOT_BEGUN,
    OPTIONS,
    STREAM,
    TOKEN,
    GrpcChannel,
    join,
)
from launchpad_lite.courier.pool import DaemonExecutor
from launchpad_lite.courier.transport import (
    Channel,
    Listener,
    ListenOptions,
    ReplyStream,
    Service,
    Transport,
    Where,
)
from launchpad_lite.endpoint import join_host, published
from launchpad_lite.errors import PayloadTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launchpad_lite.courier.messages import Reply, Request
    from launchpad_lite.credentials import Credentials

_LATER = "later"  # the handler of calls to methods that answer later
_MAX_THREADS = 2**12
_LAST_S = 0.5  # for threads that have nothing left to do


class _Handlers(grpc.GenericRpcHandler):
    """Chooses the handler of a call, after its token was found right."""

    def __init__(self, service: Service) -> None:
        self._service = service
        # How many calls run at a time is the service's to say; streams and handshakes never wait.
        name = f"lp-grpc {service.info().name}"
        self.executor = DaemonExecutor(_MAX_THREADS, name, service.context)
        self._streams: set[ReplyStream] = set()
        self._changed = threading.Condition()
        self._calls: set[_Call] = set()
        self._stopping = False
        self._handlers: dict[str, Any] = {
            HELLO: grpc.unary_unary_rpc_method_handler(self._hello),
            CALL: grpc.unary_unary_rpc_method_handler(self._call),
            _LATER: grpc.unary_stream_rpc_method_handler(_sends_itself(self._call_later)),
            STREAM: grpc.unary_stream_rpc_method_handler(self._stream),
        }
        # streaming, so that the message of a stranger is not even received
        self._refusal: Any = grpc.stream_unary_rpc_method_handler(_refuse)

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        metadata = dict(handler_call_details.invocation_metadata)
        given = str(metadata.get(TOKEN, ""))
        handler: grpc.RpcMethodHandler[bytes, bytes] | None = self._refusal
        if auth.is_valid(given.encode(), self._service.credentials.token.hex().encode()):
            called = handler_call_details.method
            method = metadata.get(METHOD, b"")
            if (
                called == CALL
                and isinstance(method, bytes)
                and self._service.answers_later(method.decode(errors="replace"))
            ):
                called = _LATER
            handler = self._handlers.get(called)
        return handler

    def _hello(self, _: bytes, context: grpc.ServicerContext) -> bytes:
        if self._stopping:
            _abort_unbegun(context)
        return msgspec.msgpack.encode(self._service.info())

    def _call(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        answered: futures.Future[bytes | None] = futures.Future()
        self._begin(message, context, answered.set_result)
        answer = answered.result()
        if answer is None:
            _abort_unbegun(context)
        return answer

    def _call_later(
        self, message: bytes, context: grpc.ServicerContext, send: Callable[[bytes | None], object]
    ) -> None:
        """Answer with a stream of one, which to a client is the same, and needs no thread."""

        def end(answer: bytes | None) -> None:
            if answer is None:
                _set_unbegun(context)
            else:
                send(answer)
            send(None)

        # which may wait for a slow client
        self._begin(message, context, lambda answer: self.executor.submit(end, answer))

    def _begin(
        self,
        message: bytes,
        context: grpc.ServicerContext,
        end: Callable[[bytes | None], object],
    ) -> None:
        """Give a call to the service; `end` gets the answer, or None when it will not begin."""
        try:
            request = frame.parse(message, self._service.max_payload_bytes).request()
        except PayloadTooLarge as error:
            end(join(frame.pack_reply(self._service.failure(error), 0)))
            return
        except frame.ProtocolError:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a frame")
        del message
        call = _Call(request, context, end, self.forget)
        with self._changed:
            self._calls.add(call)
        if not context.is_active():  # cancelled, or its time is over, before it began
            call.refuse()
        elif not self._service.begin(call, Where.HERE):
            call.answer(self._service.exhausted(call))  # gRPC cannot be told to wait

    def forget(self, call: _Call) -> None:
        """Do not wait for a call any more: it was answered or refused."""
        with self._changed:
            self._calls.discard(call)
            self._changed.notify_all()

    def _stream(self, message: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        try:
            request = frame.parse(message, self._service.max_payload_bytes).request()
        except (frame.ProtocolError, PayloadTooLarge):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a frame")
        context.send_initial_metadata(())  # it has begun
        stream = self._service.open_stream(request)
        with self._changed:
            self._streams.add(stream)
            over = self._stopping
        if over or not context.add_callback(stream.close):
            stream.close()
        try:
            for reply in stream:
                yield join(frame.pack_reply(reply, 0))
        finally:
            with self._changed:
                self._streams.discard(stream)

    def refuse(self) -> None:
        """Begin no more calls, and end the streams."""
        with self._changed:
            self._stopping = True
            streams = list(self._streams)
        self._service.refuse()
        for stream in streams:
            stream.close()

    def wait(self, timeout: float) -> None:
        """Wait for the calls that run."""
        with self._changed:
            self._changed.wait_for(lambda: not self._calls, timeout)

    def close(self) -> None:
        """Give the threads back, after the last call."""
        self.executor.shutdown(wait=False)
        self.executor.join(_LAST_S)


class _Call(ServerCall):
    """A call, and what takes its answer."""

    __slots__ = ("_context", "_end", "_forget")

    def __init__(
        self,
        request: Request,
        context: grpc.ServicerContext,
        end: Callable[[bytes | None], object],
        forget: Callable[[_Call], object],
    ) -> None:
        super().__init__(request)
        self._context = context
        self._end = end
        self._forget = forget

    def answer(self, reply: Reply) -> None:
        self._forget(self)
        self._end(join(frame.pack_reply(reply, 0)))

    def refuse(self) -> None:
        self._forget(self)
        self._end(None)

    def hung_up(self) -> bool:
        return not self._context.is_active()

    def on_cancel(self, callback: Callable[[], object]) -> None:
        super().on_cancel(callback)
        self._context.add_callback(self.cancel)  # which does nothing after the call has ended


def _sends_itself(behavior: Any) -> Any:
    """Let a streaming handler return before it has sent anything."""

    def run(request: Any, context: Any, send: Any) -> None:
        behavior(request, context, send)

    setattr(run, "experimental_non_blocking", True)  # noqa: B010 - all that grpcio looks for
    return run


_GONE = "the server has stopped"


def _set_unbegun(context: grpc.ServicerContext) -> None:
    context.set_trailing_metadata(((NOT_BEGUN, "1"),))
    context.set_code(grpc.StatusCode.UNAVAILABLE)
    context.set_details(_GONE)


def _abort_unbegun(context: grpc.ServicerContext) -> NoReturn:
    _set_unbegun(context)
    context.abort(grpc.StatusCode.UNAVAILABLE, _GONE)


def _refuse(_: object, context: grpc.ServicerContext) -> bytes:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is wrong")


class GrpcListener(Listener):
    """Serves one service on one TCP port, with mutual TLS where there are certificates."""

    def __init__(self, service: Service, host: str, port: int) -> None:
        """Bind the port, 0 for any.

        Raises:
          OSError: the port is taken.
        """
        self._service = service
        self._handlers = _Handlers(service)
        self._server = grpc.server(self._handlers.executor, [self._handlers], options=OPTIONS)
        try:
            self.port = self._bind(join_host(host, port), service.credentials)
        except RuntimeError as error:
            message = f"port {port} of {host} cannot be listened on; is it in use?"
            raise OSError(message) from error
        self.endpoint = f"grpc:{join_host(published(host), self.port)}"
        self._started = False

    def _bind(self, place: str, credentials: Credentials) -> int:
        if not credentials.tls:
            return self._server.add_insecure_port(place)
        certificate = credentials.certificate
        pairs = [(credentials.key or b"", certificate or b"")]
        secure = grpc.ssl_server_credentials(pairs, certificate, require_client_auth=True)
        return self._server.add_secure_port(place, secure)

    def start(self) -> None:
        """See the base class."""
        self._server.start()
        self._started = True

    def stop(self, grace: float) -> None:
        """See the base class."""
        deadline = time.monotonic() + grace
        if not self._started:  # or else it would keep its port
            self.start()
        # gRPC itself would cancel what comes while it stops, and not tell whether it has begun
        self._handlers.refuse()
        self._handlers.wait(grace)
        left = max(_LAST_S, deadline - time.monotonic())
        self._server.stop(left).wait(left + 1)
        self._handlers.close()
        self._service.join(_LAST_S)


class GrpcTransport(Transport):
    """Calls over gRPC."""

    scheme: ClassVar[str] = "grpc"

    def listen(self, service: Service, options: ListenOptions) -> GrpcListener:
        """See the base class."""
        return GrpcListener(service, options.host, options.port)

    def connect(
        self,
        endpoint: str,
        credentials: Credentials,
        timeout: float | None,
        *,
        compress: bool = False,
    ) -> Channel:
        """See the base class."""
        target = endpoint.partition(":")[2]
        timeout = CONNECT_S if timeout is None else timeout
        return GrpcChannel(target, credentials, timeout, compress=compress)


TRANSPORT = GrpcTransport()
