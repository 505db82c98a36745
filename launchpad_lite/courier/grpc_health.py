"""`grpc.health.v1`: what load balancers and `grpc_health_probe` ask.

Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import grpc

from launchpad_lite.courier import protobuf
from launchpad_lite.courier.grpc_calls import GrpcCalls, sends_itself
from launchpad_lite.courier.pool import DaemonExecutor

if TYPE_CHECKING:
    from collections.abc import Callable

    _Send = Callable[[bytes | None], object]

_CHECK = "/grpc.health.v1.Health/Check"
_WATCH = "/grpc.health.v1.Health/Watch"
_SERVICES = ("", "launchpad_lite.Courier", "launchpad_lite.courier.v1.Courier")
_SERVING, _NOT_SERVING, _SERVICE_UNKNOWN = (protobuf.enum_field(1, each) for each in (1, 2, 3))


_THREADS = 4
"""Of its own, for a caller that reads nothing keeps the thread that sends."""

MAX_WATCHERS = 1024
"""Callers who wait for a server's end, at a time."""


class Health:
    """Tells whether a server takes calls.

    Whoever watches keeps no thread, and whoever reads nothing keeps none that calls need.

    Attributes:
      executor: the threads that the handlers run in.
      handlers: by method.
      handlers_for_strangers: the same for callers that have proved nothing: what they send is not
        even received, so they hear of the server as a whole.
    """

    def __init__(self, calls: GrpcCalls, name: str) -> None:
        """Tell of the server whose calls these are; the name is that of the threads."""
        self._calls = calls
        self.executor = DaemonExecutor(_THREADS, name, None)
        watch, watch_whole = (
            sends_itself(behavior, self.executor) for behavior in (self._watch, self._watch_whole)
        )
        self.handlers: dict[str, Any] = {
            _CHECK: grpc.unary_unary_rpc_method_handler(self._check),
            _WATCH: grpc.unary_stream_rpc_method_handler(watch),
        }
        self.handlers_for_strangers: dict[str, Any] = {
            _CHECK: grpc.stream_unary_rpc_method_handler(self._check_whole),
            _WATCH: grpc.stream_stream_rpc_method_handler(watch_whole),
        }

    def _status(self) -> bytes:
        return _NOT_SERVING if self._calls.stopping else _SERVING

    def _check(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        if not _is_known(message, context):
            context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service")
        return self._status()

    def _check_whole(self, _: object, context: grpc.ServicerContext) -> bytes:
        return self._check(b"", context)

    def _watch_whole(self, _: object, context: grpc.ServicerContext, send: _Send) -> None:
        self._watch(b"", context, send)

    def _watch(self, message: bytes, context: grpc.ServicerContext, send: _Send) -> None:
        known = _is_known(message, context)
        if self._calls.waiting_for_stop >= MAX_WATCHERS:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watch this server")
        send(self._status() if known else _SERVICE_UNKNOWN)

        def end() -> None:
            if known:
                send(_NOT_SERVING)
            send(None)

        def end_soon() -> None:
            with contextlib.suppress(
                RuntimeError
            ):  # the threads have ended, and the calls with them
                self.executor.submit(end)

        self._calls.at_stop(context, end_soon)


def _is_known(message: bytes, context: grpc.ServicerContext) -> bool:
    try:
        return protobuf.read_text(protobuf.read_bytes_fields(message).get(1)) in _SERVICES
    except protobuf.ProtobufError as error:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
