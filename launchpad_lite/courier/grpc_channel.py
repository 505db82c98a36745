"""The client's side of calls over gRPC, and what both sides call things."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import grpc

from launchpad_lite import forks
from launchpad_lite.courier import frame, grpc_chunks, grpc_session, threads
from launchpad_lite.courier.codec import check_size
from launchpad_lite.courier.deadline import Deadline, shown
from launchpad_lite.courier.deadlines import deadlines
from launchpad_lite.courier.grpc_stream import GrpcStream
from launchpad_lite.courier.messages import decode_info
from launchpad_lite.courier.transport import Channel
from launchpad_lite.credentials import SERVER_NAME
from launchpad_lite.errors import (
    DeadlineExceeded,
    NotAuthenticated,
    ResourceExhausted,
    Stopped,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launchpad_lite.courier.byte_stream import Bytes
    from launchpad_lite.courier.grpc_session import Exchange, Session
    from launchpad_lite.courier.messages import Reply, Request, ServerInfo
    from launchpad_lite.courier.transport import ConnectOptions, ReplyStream
    from launchpad_lite.credentials import Credentials

HELLO = "/launchpad_lite.Courier/Hello"
CALL = "/launchpad_lite.Courier/Call"
BULK = "/launchpad_lite.Courier/CallInPieces"
FETCH = "/launchpad_lite.Courier/Fetch"
STREAM = "/launchpad_lite.Courier/Stream"
READ = "/launchpad_lite.Courier/Read"
STREAM_NUMBER = "launchpad-lite-stream-bin"  # metadata of a stream, for who reads it to name it
STREAM_NUMBER_BYTES = 8
NONCE = "launchpad-lite-nonce-bin"  # metadata of a handshake: what the client adds to it
TICKET = "launchpad-lite-ticket-bin"  # metadata of a call: that its client has the secret
METHOD = "launchpad-lite-method-bin"  # metadata that lets the server choose before it reads
CALLER = "launchpad-lite-caller-bin"  # metadata: who calls, for people
NOT_BEGUN = "launchpad-lite-not-begun"  # metadata of a call that the server will not begin
_NOT_CONNECTED = "failed to connect to all addresses"  # what gRPC says when it sent nothing
CONNECT_S = 20.0
_OTHER_SERVER = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED)
"""What a server answers that has not shaken hands with this client."""
_FAILED = (grpc.RpcError, ValueError, frame.ProtocolError)
"""What a call raises that got no answer; ValueError from a channel that was closed."""
_NO_LIMIT = 2**62  # what the server may answer; it keeps to its own limit

OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.so_reuseport", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
]
SECURE_OPTIONS = [*OPTIONS, ("grpc.ssl_target_name_override", SERVER_NAME)]


class GrpcChannel(Channel):
    """A client's way to one gRPC server."""

    def __init__(
        self,
        target: str,
        credentials: Credentials,
        timeout: float,
        options: ConnectOptions,
    ) -> None:
        """Connect and shake hands; see `Transport.connect`."""
        sealed = grpc_session.is_sealed(credentials)
        self._target = target = grpc_session.one_place(target) if sealed else target
        self._credentials = credentials
        self._caller = (CALLER, options.caller.encode())
        # what is sealed cannot be compressed
        compression = grpc.Compression.Gzip if options.compress and not sealed else None
        if credentials.tls:
            secure = grpc.ssl_channel_credentials(
                credentials.certificate, credentials.key, credentials.certificate
            )
            self._channel = grpc.secure_channel(target, secure, SECURE_OPTIONS, compression)
        else:
            self._channel = grpc.insecure_channel(target, OPTIONS, compression)
        self._lock = threading.Lock()
        self._calls: set[Any] = set()  # for futures
        forks.track(self)
        self._running = 0
        self._retired = False
        self._closed = False
        channel: Any = self._channel  # no serializers: bytes in, bytes out
        self._hello: Any = channel.unary_unary(HELLO)
        self._call: Any = channel.unary_unary(CALL)
        self._bulk: Any = channel.stream_unary(BULK)
        self._fetch: Any = channel.unary_stream(FETCH)
        self._stream: Any = channel.unary_stream(STREAM)
        self._tells: Any = channel.unary_unary(READ)
        try:
            self.refresh(timeout)
        except BaseException:
            self._channel.close()
            raise

    def begin(self) -> None:
        """Leave the connection to the parent of a forked process; see `forks`."""
        for each in (self._channel, *self._calls):
            forks.abandon(each)
        self._calls.clear()

    def refresh(self, timeout: float | None) -> ServerInfo:
        """See the base class."""
        timeout = CONNECT_S if timeout is None else timeout
        nonce = grpc_session.new_nonce()
        try:
            answer = self._hello(b"", timeout=timeout, metadata=((NONCE, nonce), self._caller))
        except (grpc.RpcError, ValueError) as error:
            if isinstance(error, grpc.Call) and error.code() in _OTHER_SERVER:
                message = f"{self._target} belongs to a server of another kind"
                raise NotAuthenticated(message) from None
            failure = self._translate(error, f"the handshake with {self._target}", timeout)
            if isinstance(failure, Unavailable):
                failure.maybe_executed = False
            raise failure from None
        session, info = grpc_session.greet(self._credentials, self._target, nonce, answer)
        self.info = decode_info(info, self._target)
        self._session = session
        return self.info

    def _begin(self, request: Request) -> list[Bytes]:
        what = f"the arguments of {self._title(request)}"
        check_size(request.arguments, self.info.max_payload_bytes, what)
        pieces = frame.pack_request(request, 0)
        with self._lock:
            if self._retired and not self._closed:
                message = f"{self.info.name} went away before the call of {request.method!r}"
                raise Unavailable(message, maybe_executed=False)
            self._running += 1
        return pieces

    def _metadata_of(self, session: Session, method: str = "") -> tuple[tuple[str, bytes], ...]:
        return ((TICKET, session.ticket), self._caller, (METHOD, method.encode()))

    def _prepare(
        self, request: Request, *, keep: bool
    ) -> tuple[Any, bytes | Iterator[bytes], dict[str, Any], Exchange]:
        """Return what sends a call, what to send, with which options, and how to read the answer.

        Args:
          request: the call.
          keep: it is sent after this has returned, when arrays may have changed.
        """
        pieces = self._begin(request)
        try:
            session = self._session
            large = grpc_chunks.size(pieces) > grpc_chunks.LARGE
            exchange = session.exchange(BULK if large else CALL, client=True)
            options = {
                "timeout": request.timeout,
                "metadata": self._metadata_of(session, request.method),
            }
            if not large:
                return self._call, exchange.seal(b"".join(pieces)), options, exchange
            if keep:
                pieces = [bytes(piece) for piece in pieces]
            return self._bulk, map(exchange.seal, grpc_chunks.cut(pieces)), options, exchange
        except BaseException:  # there may be no memory for a copy
            self._end()
            raise

    def _end(self) -> None:
        with self._lock:
            self._running -= 1
            last = self._retired and not self._running
        if last:
            self._close_beside()

    def _close_beside(self) -> None:
        # gRPC's own threads, which call back, must not wait for themselves
        with contextlib.suppress(ResourceExhausted):  # then it goes with its last user
            threads.start("lp-close", self._channel.close)

    def call(self, request: Request) -> Reply:
        """See the base class."""
        send, message, options, exchange = self._prepare(request, keep=False)
        deadline = Deadline(request.timeout)
        try:
            return self._read(exchange.open(send(message, **options)), deadline)
        except _FAILED as error:
            raise self._translate(error, self._title(request), request.given) from None
        finally:
            self._end()

    def _read(self, answer: bytes, deadline: Deadline) -> Reply:
        """Return the reply in a message, fetching it first where it is large."""
        number = grpc_chunks.held_number(answer)
        if number is None:
            return frame.parse(answer, _NO_LIMIT).reply()
        session = self._session
        exchange = session.exchange(FETCH, client=True)
        metadata = self._metadata_of(session)
        messages = self._fetch(exchange.seal(number), timeout=deadline.left(), metadata=metadata)
        return grpc_chunks.read(map(exchange.open, messages), _NO_LIMIT).reply()

    def submit(
        self, request: Request, done: Callable[[Reply | None, Exception | None], object]
    ) -> Callable[[], object]:
        """See the base class."""
        send, message, options, exchange = self._prepare(request, keep=True)
        deadline = Deadline(request.timeout)
        first = threading.Lock()  # who takes it tells of the end, or nobody

        def end(reply: Reply | None, failure: Exception | None) -> None:
            if first.acquire(blocking=False):
                self._end()
                done(reply, failure)

        def fail(error: Exception) -> None:
            end(None, self._translate(error, self._title(request), request.given))

        def read(answer: bytes) -> None:
            try:
                reply = self._read(answer, deadline)
            except Exception as error:
                fail(error)
            else:
                end(reply, None)

        call, forget = self._start(lambda: send.future(message, **options), request, end)

        def finish(ended: Any) -> None:
            self._calls.discard(ended)
            forget()
            _read_soon(ended, exchange, read, fail)

        call.add_done_callback(finish)

        def cancel() -> None:
            if first.acquire(blocking=False):
                self._end()
            self._cancel(call)

        return cancel

    def _start(
        self,
        start: Callable[[], Any],
        request: Request,
        end: Callable[[Reply | None, Exception | None], object],
    ) -> tuple[Any, Callable[[], object]]:
        """Start a call for a future; return it, and what forgets when its time is over.

        Which gRPC does not tell of while it writes to a server that stands still.
        """
        try:
            call = start()
        except ValueError as error:
            self._end()
            raise self._translate(error, self._title(request), request.given) from None
        except BaseException:
            self._end()
            raise
        self._calls.add(call)

        def over() -> None:
            end(None, request.late(self.info.name))
            self._cancel(call)

        try:
            return call, deadlines.call_later(request.timeout, over) if request.timeout else _ignore
        except ResourceExhausted:
            self._end()
            self._cancel(call)
            self._calls.discard(call)
            raise

    def _cancel(self, call: Any) -> None:
        if call in self._calls:  # it has not ended, and is this process's
            call.cancel()

    def stream(self, request: Request) -> ReplyStream:
        """See the base class."""
        pieces = self._begin(request)
        session = self._session
        exchange = session.exchange(STREAM, client=True)
        try:
            message = exchange.seal(b"".join(pieces))
            call = self._stream(message, metadata=self._metadata_of(session))
            call.initial_metadata()  # waits until it has begun, or failed
        except ValueError as error:
            self._end()
            raise self._translate(error, self._title(request), None) from None
        except BaseException:
            self._end()
            raise
        if not call.is_active() and call.code() != grpc.StatusCode.OK:
            self._end()
            raise self._translate(call, self._title(request), None)
        if not call.add_callback(self._end):
            self._end()
        title = self._title(request)
        metadata: dict[str, bytes] = dict(call.initial_metadata() or ())
        number = metadata.get(STREAM_NUMBER, b"")
        return GrpcStream(
            call,
            lambda message: self._read(exchange.open(message), Deadline(None)),
            lambda count: self._tell(number, count),
            lambda error: self._translate(error, title, None),
        )

    def _tell(self, stream: bytes, count: int) -> None:
        """Tell the server that so many values more of a stream were read."""
        session = self._session
        message = session.exchange(READ, client=True).seal(stream + count.to_bytes(4, "little"))
        with contextlib.suppress(ValueError):  # the channel is closed, and so the stream
            told = self._tells.future(message, metadata=self._metadata_of(session))
            told.add_done_callback(_ignore)  # which keeps it from being dropped, and so cancelled

    def _title(self, request: Request) -> str:
        return f"{self.info.name}.{request.method}"

    def _translate(self, error: Exception, what: str, timeout: float | None) -> Exception:
        if self._closed or isinstance(error, ValueError):
            return Stopped("the run has stopped")
        if not isinstance(error, grpc.Call):
            return Unavailable(f"{what} got no answer: {error}", maybe_executed=True)
        code, detail = error.code(), error.details() or ""
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded(f"{what} did not end within {shown(timeout)}")
        if code in _OTHER_SERVER:
            message = f"{self._target} belongs to another server now, since {what} began"
            return Unavailable(message, maybe_executed=False)
        not_begun = any(key == NOT_BEGUN for key, _ in error.trailing_metadata() or ())
        return Unavailable(
            f"{what} got no answer: {detail}",
            maybe_executed=not not_begun and not detail.startswith(_NOT_CONNECTED),
        )

    def retire(self) -> None:
        """See the base class."""
        with self._lock:
            self._retired = True
            last = not self._running
        if last:
            self._close_beside()

    def close(self) -> None:
        """See the base class."""
        self._closed = True
        self._channel.close()


def _read_soon(
    ended: Any,
    exchange: Exchange,
    read: Callable[[bytes], object],
    fail: Callable[[Exception], object],
) -> None:
    """Read the answer of a call that has ended, in a thread of gRPC's own."""
    try:
        answer = exchange.open(ended.result())
    except Exception as error:
        fail(error)
        return
    if grpc_chunks.held_number(answer) is None:
        read(answer)
        return
    try:  # this thread must not wait for more of them
        threads.start("lp-fetch", read, answer)
    except ResourceExhausted as error:
        fail(error)


def _ignore(*_: object) -> None:
    """Do nothing."""
