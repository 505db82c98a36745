"""`grpc.health.v1`: what load balancers and `grpc_health_probe` ask.

Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from launchpad_lite.courier import protobuf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launchpad_lite.courier.grpc_calls import GrpcCalls

_CHECK = "/grpc.health.v1.Health/Check"
_WATCH = "/grpc.health.v1.Health/Watch"
_SERVICES = ("", "launchpad_lite.Courier", "launchpad_lite.courier.v1.Courier")
_SERVING, _NOT_SERVING, _SERVICE_UNKNOWN = (protobuf.enum_field(1, each) for each in (1, 2, 3))


class Health:
    """Tells whether a server takes calls.

    Attributes:
      handlers: by method.
      handlers_for_strangers: the same for callers that have proved nothing: what they send is not
        even received, so they hear of the server as a whole.
    """

    def __init__(self, calls: GrpcCalls) -> None:
        """Tell of the server whose calls these are."""
        self._calls = calls
        self.handlers: dict[str, Any] = {
            _CHECK: grpc.unary_unary_rpc_method_handler(self._check),
            _WATCH: grpc.unary_stream_rpc_method_handler(self._watch),
        }
        self.handlers_for_strangers: dict[str, Any] = {
            _CHECK: grpc.stream_unary_rpc_method_handler(self._check_whole),
            _WATCH: grpc.stream_stream_rpc_method_handler(self._watch_whole),
        }

    def _status(self) -> bytes:
        return _NOT_SERVING if self._calls.stopping else _SERVING

    def _check(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        if not _is_known(message, context):
            context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service")
        return self._status()

    def _check_whole(self, _: object, context: grpc.ServicerContext) -> bytes:
        return self._check(b"", context)

    def _watch_whole(self, _: object, context: grpc.ServicerContext) -> Iterator[bytes]:
        return self._watch(b"", context)

    def _watch(self, message: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        known = _is_known(message, context)
        yield self._status() if known else _SERVICE_UNKNOWN
        self._calls.wait_for_stop(context)
        if known:
            yield _NOT_SERVING


def _is_known(message: bytes, context: grpc.ServicerContext) -> bool:
    try:
        return protobuf.read_text(protobuf.read_bytes_fields(message).get(1)) in _SERVICES
    except protobuf.ProtobufError as error:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
