"""What a server offers: named methods, run in a node's context, so many at a time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

from launchpad_lite.courier import codec, messages
from launchpad_lite.courier.failures import encode_failure
from launchpad_lite.courier.transport import ReplyStream
from launchpad_lite.errors import MethodNotFound, nearest
from launchpad_lite.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.config import ServerConfig
    from launchpad_lite.context import Context, Scope
    from launchpad_lite.courier.messages import Reply, Request, ServerInfo


class ValueStream(Protocol):
    """What a stream method returns."""

    def __next__(self) -> object:
        """Wait for the next value; raise StopIteration after the last."""
        ...

    def close(self) -> None:
        """Make a thread that waits in `__next__` raise StopIteration."""
        ...


class _Replies(ReplyStream):
    def __init__(self, values: ValueStream, encode: Callable[[object], Reply]) -> None:
        self._values = values
        self._encode = encode

    def __next__(self) -> Reply:
        return self._encode(next(self._values))

    def close(self) -> None:
        self._values.close()


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

    def info(self) -> ServerInfo:
        """Return what the handshake tells."""
        return messages.ServerInfo(
            run_id=self._scope.run_id if self._scope else "",
            name=self._name,
            incarnation=self.context.incarnation if self.context else 0,
            methods=tuple(sorted(self.methods)),
            max_payload_bytes=self.max_payload_bytes,
            python=messages.PYTHON,
            package=__version__,
        )

    def _arguments(self, request: Request) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args, *rest = codec.decode(request.arguments, self._scope)
        return args, rest[0] if rest else {}

    def call(self, request: Request) -> Reply:
        """Run one call in the calling thread; never raises."""
        method = self.methods.get(request.method)
        try:
            if method is None:
                return encode_failure(self._unknown(request.method, self.methods), self._scope)
            args, kwargs = self._arguments(request)
            with self._slots:
                result = method(*args, **kwargs)
            return self._reply(result, request)
        except BaseException as error:
            return encode_failure(error, self._scope)

    def _reply(self, result: object, request: Request) -> Reply:
        try:
            content = codec.encode(result, self._scope, copy=request.local, direct=request.local)
        except Exception as error:
            message = f"the result of {self._name}.{request.method} cannot be sent: {error}"
            raise TypeError(message) from error
        what = f"the result of {self._name}.{request.method}"
        return messages.Reply(True, codec.check_size(content, self.max_payload_bytes, what))

    def _unknown(self, method: str, known: dict[str, Any]) -> MethodNotFound:
        return MethodNotFound(f"{self._name} has no method {method!r}{nearest(method, known)}")

    def open_stream(self, request: Request) -> ReplyStream:
        """Begin a stream.

        Raises:
          MethodNotFound: there is none of that name.
        """
        method = self.streams.get(request.method)
        if method is None:
            raise self._unknown(request.method, self.streams)
        args, kwargs = self._arguments(request)
        return _Replies(method(*args, **kwargs), lambda value: self._reply(value, request))
