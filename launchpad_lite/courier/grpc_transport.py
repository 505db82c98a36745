"""Calls over gRPC, with its generic handlers: for whoever has a proxy, or no Unix sockets.

Every message is one frame. The token travels as metadata and is checked before a message is read.
"""

from __future__ import annotations

import threading
from concurrent import futures
from typing import TYPE_CHECKING, Any, ClassVar

import grpc
import msgspec

from launchpad_lite.courier import auth, frame
from launchpad_lite.courier.failures import encode_failure
from launchpad_lite.courier.messages import ServerInfo
from launchpad_lite.courier.pool import DaemonExecutor
from launchpad_lite.courier.transport import (
    Channel,
    Listener,
    ListenOptions,
    ReplyStream,
    Service,
    Transport,
)
from launchpad_lite.errors import (
    CallError,
    DeadlineExceeded,
    NotAuthenticated,
    PayloadTooLarge,
    Stopped,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from launchpad_lite.courier.messages import Reply, Request

_HELLO = "/launchpad_lite.Courier/Hello"
_CALL = "/launchpad_lite.Courier/Call"
_STREAM = "/launchpad_lite.Courier/Stream"
_TOKEN = "launchpad-lite-token"  # noqa: S105 - the name of the metadata, not a secret
_MAX_STREAMS = 2**12
_CONNECT_S = 20.0
_NO_LIMIT = 2**62  # what the server may answer; it keeps to its own limit

_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.so_reuseport", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
]


def _join(pieces: Sequence[frame.Bytes]) -> bytes:
    return b"".join(pieces)


class _Handlers(grpc.GenericRpcHandler):
    """Chooses the handler of a call, after its token was found right."""

    def __init__(self, service: Service) -> None:
        self._service = service
        # Handshakes and streams must not wait for a thread of the service's pool.
        self._beside = futures.ThreadPoolExecutor(
            _MAX_STREAMS, thread_name_prefix=f"lp-stream {service.info().name}"
        )
        self._streams: set[ReplyStream] = set()
        self._lock = threading.Lock()
        hello, stream = self._beside_pool(self._hello), self._beside_pool(self._stream)
        self._handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            _HELLO: grpc.unary_unary_rpc_method_handler(hello),
            _CALL: grpc.unary_unary_rpc_method_handler(self._call),
            _STREAM: grpc.unary_stream_rpc_method_handler(stream),
        }

    def _beside_pool(self, behavior: Any) -> Any:
        def run(request: bytes, context: Any) -> Any:
            return behavior(request, context)

        run.experimental_thread_pool = self._beside  # type: ignore[attr-defined]
        return run

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        metadata = dict(handler_call_details.invocation_metadata)
        given = str(metadata.get(_TOKEN, ""))
        if not auth.is_valid(given.encode(), self._service.token.hex().encode()):
            return grpc.unary_unary_rpc_method_handler(_refuse)
        return self._handlers.get(handler_call_details.method)

    def _hello(self, _: bytes, __: grpc.ServicerContext) -> bytes:
        return msgspec.msgpack.encode(self._service.info())

    def _call(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            request = frame.parse(message, self._service.max_payload_bytes).request()
        except PayloadTooLarge as error:
            return _join(frame.pack_reply(encode_failure(error, None), 0))
        except (frame.ProtocolError, ValueError):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a frame")
        del message
        if not context.is_active():  # cancelled, or its time is over, before it began
            return b""
        return _join(frame.pack_reply(self._service.call(request), 0))

    def _stream(self, message: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        request = frame.parse(message, self._service.max_payload_bytes).request()
        try:
            stream = self._service.open_stream(request)
        except CallError as error:
            yield _join(frame.pack_reply(encode_failure(error, None), 0))
            return
        with self._lock:
            self._streams.add(stream)
        context.add_callback(stream.close)
        try:
            for reply in stream:
                yield _join(frame.pack_reply(reply, 0))
        finally:
            with self._lock:
                self._streams.discard(stream)

    def stop(self) -> None:
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.close()
        self._beside.shutdown(wait=True)


def _refuse(_: bytes, context: grpc.ServicerContext) -> bytes:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is wrong")


class GrpcListener(Listener):
    """Serves one service on one TCP port of the loopback interface."""

    def __init__(self, service: Service, port: int) -> None:
        """Bind the port, 0 for any.

        Raises:
          OSError: the port is taken.
        """
        name = f"lp-serve {service.info().name}"
        self._pool = DaemonExecutor(service.thread_pool_size, name, service.context)
        self._handlers = _Handlers(service)
        # grpcio asks for the class ThreadPoolExecutor, and uses what any executor has
        self._server = grpc.server(self._pool, [self._handlers], options=_OPTIONS)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        try:
            self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        except RuntimeError as error:
            message = f"port {port} of 127.0.0.1 cannot be listened on; is it in use?"
            raise OSError(message) from error
        self.endpoint = f"grpc:127.0.0.1:{self.port}"

    def start(self) -> None:
        """See the base class."""
        self._server.start()

    def stop(self, grace: float) -> None:
        """See the base class."""
        stopped = self._server.stop(grace)
        self._handlers.stop()
        stopped.wait(grace + 1)
        self._pool.shutdown(wait=False)
        self._pool.join(0.5)


class GrpcChannel(Channel):
    """A client's way to one gRPC server."""

    def __init__(self, target: str, token: bytes, timeout: float, *, compress: bool) -> None:
        """Connect and shake hands; see `Transport.connect`."""
        self._target = target
        self._metadata = ((_TOKEN, token.hex()),)
        compression = grpc.Compression.Gzip if compress else None
        self._channel = grpc.insecure_channel(target, _OPTIONS, compression)
        self._closed = False
        channel: Any = self._channel  # no serializers: bytes in, bytes out
        self._hello: Any = channel.unary_unary(_HELLO)
        self._call: Any = channel.unary_unary(_CALL)
        self._stream: Any = channel.unary_stream(_STREAM)
        try:
            self.refresh(timeout)
        except BaseException:
            self._channel.close()
            raise

    def refresh(self, timeout: float | None) -> ServerInfo:
        """See the base class."""
        try:
            info = self._hello(b"", timeout=timeout or _CONNECT_S, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._translate(error, "the handshake", None, maybe_executed=False) from None
        self.info = msgspec.msgpack.decode(info, type=ServerInfo)
        return self.info

    def call(self, request: Request) -> Reply:
        """See the base class."""
        message = _join(frame.pack_request(request, 0))
        try:
            answer = self._call(message, timeout=request.timeout, metadata=self._metadata)
        except (grpc.RpcError, ValueError) as error:
            raise self._translate(error, request.method, request.timeout) from None
        return frame.parse(answer, _NO_LIMIT).reply()

    def submit(
        self, request: Request, done: Callable[[Reply | None, Exception | None], object]
    ) -> Callable[[], object]:
        """See the base class."""
        message = _join(frame.pack_request(request, 0))
        try:
            call = self._call.future(message, timeout=request.timeout, metadata=self._metadata)
        except ValueError as error:
            raise self._translate(error, request.method, request.timeout) from None
        cancelled = threading.Event()

        def finish(ended: Any) -> None:
            if cancelled.is_set():
                return
            try:
                reply = frame.parse(ended.result(), _NO_LIMIT).reply()
            except (grpc.RpcError, grpc.FutureCancelledError, ValueError) as error:
                done(None, self._translate(error, request.method, request.timeout))
            else:
                done(reply, None)

        call.add_done_callback(finish)

        def cancel() -> None:
            cancelled.set()
            call.cancel()

        return cancel

    def stream(self, request: Request) -> ReplyStream:
        """See the base class."""
        message = _join(frame.pack_request(request, 0))
        return _GrpcStream(self._stream(message, metadata=self._metadata))

    def _translate(
        self, error: Exception, method: str, timeout: float | None, *, maybe_executed: bool = True
    ) -> Exception:
        name = self.info.name if hasattr(self, "info") else self._target
        code = error.code() if isinstance(error, grpc.Call) else None
        if self._closed or isinstance(error, ValueError):
            return Stopped("the run has stopped")
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            limit = "the time it had" if timeout is None else f"{timeout:g} s"
            return DeadlineExceeded(f"{name}.{method} took over {limit}")
        if code == grpc.StatusCode.UNAUTHENTICATED:
            return NotAuthenticated(f"{self._target} belongs to another run, or to another user")
        detail = error.details() if isinstance(error, grpc.Call) else str(error)
        message = f"{name} cannot be reached for {method!r}: {detail}"
        return Unavailable(message, maybe_executed=maybe_executed)

    def close(self) -> None:
        """See the base class."""
        self._closed = True
        self._channel.close()


class _GrpcStream(ReplyStream):
    def __init__(self, call: Any) -> None:
        self._call = call

    def __next__(self) -> Reply:
        try:
            message = next(self._call)
        except grpc.RpcError:
            raise StopIteration from None
        return frame.parse(message, _NO_LIMIT).reply()

    def close(self) -> None:
        self._call.cancel()


class GrpcTransport(Transport):
    """Calls over gRPC on the loopback interface."""

    scheme: ClassVar[str] = "grpc"

    def listen(self, service: Service, options: ListenOptions) -> GrpcListener:
        """See the base class."""
        return GrpcListener(service, options.port)

    def connect(
        self, endpoint: str, token: bytes, timeout: float | None, *, compress: bool = False
    ) -> Channel:
        """See the base class."""
        target = endpoint.partition(":")[2]
        return GrpcChannel(target, token, timeout or _CONNECT_S, compress=compress)


TRANSPORT = GrpcTransport()
