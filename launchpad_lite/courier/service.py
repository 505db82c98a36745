"""What a server offers: named methods, run in a node's context, so many at a time."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Protocol

from launchpad_lite.courier import codec, messages
from launchpad_lite.courier.batching import BatchedMethod
from launchpad_lite.courier.failures import encode_failure
from launchpad_lite.courier.transport import ReplyStream
from launchpad_lite.errors import MethodNotFound, nearest
from launchpad_lite.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from launchpad_lite.config import ServerConfig
    from launchpad_lite.context import Context, Scope
    from launchpad_lite.courier.messages import Reply, Request, ServerInfo


_log = logging.getLogger(__name__)


class ValueStream(Protocol):
    """What a stream method returns."""

    def __next__(self) -> object:
        """Wait for the next value; raise StopIteration after the last."""
        ...

    def close(self) -> None:
        """Make a thread that waits in `__next__` raise StopIteration."""
        ...


class _Raises:
    """A stream that could not begin."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __next__(self) -> object:
        raise self._error

    def close(self) -> None:
        pass


class _Replies(ReplyStream):
    """A stream's values as replies; an exception is the last one."""

    def __init__(
        self,
        values: ValueStream,
        encode: Callable[[object], Reply],
        encode_failure: Callable[[BaseException], Reply],
    ) -> None:
        self._values = values
        self._encode = encode
        self._encode_failure = encode_failure
        self._ended = False

    def __next__(self) -> Reply:
        if self._ended:
            raise StopIteration
        try:
            return self._encode(next(self._values))
        except StopIteration:
            self._ended = True
            raise
        except BaseException as error:
            self.close()
            return self._encode_failure(error)

    def close(self) -> None:
        self._ended = True
        try:
            self._values.close()
        except Exception:
            _log.exception("a stream could not be closed")


class MethodService:
    """Bound methods and streams, as the listeners see them; see `transport.Service`."""

    def __init__(
        self,
        name: str,
        token: bytes,
        config: ServerConfig,
        context: Context | None,
        scope: Scope | None,
    ) -> None:
        """Make a service without methods."""
        self.token = token
        self.context = context
        self.thread_pool_size = config.thread_pool_size
        self.max_payload_bytes = config.max_payload_bytes
        self.methods: dict[str, Callable[..., Any]] = {}
        self.streams: dict[str, Callable[..., ValueStream]] = {}
        self._name = name
        self._scope = scope
        self._slots = threading.BoundedSemaphore(config.thread_pool_size)
        self._callers: set[int] = set()  # the threads that run a method

    def info(self) -> ServerInfo:
        """Return what the handshake tells."""
        return messages.ServerInfo(
            run_id=self._scope.run_id if self._scope else "",
            name=self._name,
            incarnation=self.context.incarnation if self.context else 0,
            methods=tuple(sorted(self.methods)),
            thread_pool_size=self.thread_pool_size,
            max_payload_bytes=self.max_payload_bytes,
            python=messages.PYTHON,
            package=__version__,
        )

    def _arguments(self, request: Request) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args, *rest = codec.decode(request.arguments, self._scope)
        return args, rest[0] if rest else {}

    def call(self, request: Request, later: Callable[[Reply], object]) -> Reply | None:
        """Run one call in the calling thread; see `transport.Service`."""
        method = self.methods.get(request.method)
        try:
            if method is None:
                return encode_failure(self._unknown(request.method, self.methods), self._scope)
            args, kwargs = self._arguments(request)
            if isinstance(method, BatchedMethod):
                future = method.submit(*args, **kwargs)
                future.add_done_callback(lambda done: later(self._outcome(done, request)))
                return None
            with self._slots:
                self._callers.add(threading.get_ident())
                try:
                    result = method(*args, **kwargs)
                finally:
                    self._callers.discard(threading.get_ident())
            return self._reply(result, request)
        except BaseException as error:
            return encode_failure(error, self._scope)

    def answers_later(self, method: str) -> bool:
        """Whether a method is batched."""
        return isinstance(self.methods.get(method), BatchedMethod)

    def _outcome(self, done: Future[Any], request: Request) -> Reply:
        try:
            return self._reply(done.result(), request)
        except BaseException as error:
            return encode_failure(error, self._scope)

    def is_calling(self) -> bool:
        """Whether the calling thread runs one of the methods."""
        batched = [method for method in self.methods.values() if isinstance(method, BatchedMethod)]
        return threading.get_ident() in self._callers or any(each.runs_here() for each in batched)

    def _reply(self, result: object, request: Request) -> Reply:
        try:
            content = codec.encode(result, self._scope, copy=request.local, direct=request.local)
        except Exception as error:
            message = f"the result of {self._name}.{request.method} cannot be sent: {error}"
            raise TypeError(message) from error
        what = f"the result of {self._name}.{request.method}"
        return messages.Reply(True, codec.check_size(content, self.max_payload_bytes, what))

    def _unknown(self, method: str, known: dict[str, Any]) -> MethodNotFound:
        return MethodNotFound(f"method {method} not found on {self._name}{nearest(method, known)}")

    def open_stream(self, request: Request) -> ReplyStream:
        """Begin a stream; never raises, for a failure is the stream's only reply."""
        values: ValueStream
        method = self.streams.get(request.method)
        if method is None:
            values = _Raises(self._unknown(request.method, self.streams))
        else:
            try:
                args, kwargs = self._arguments(request)
                values = method(*args, **kwargs)
            except BaseException as error:
                values = _Raises(error)
        return _Replies(
            values,
            lambda value: self._reply(value, request),
            lambda error: encode_failure(error, self._scope),
        )
