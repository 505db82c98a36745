"""Calls from other languages, as `courier.proto` describes them, for servers with `codec="data"`.

Each request is made into one of our own, so that outsiders meet the same queues and limits.
"""

from __future__ import annotations

from concurrent import futures
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import grpc
import msgspec

from launchpad_lite.courier import plain_values, protobuf
from launchpad_lite.courier.data_codec import DataCodec
from launchpad_lite.courier.deadline import Deadline
from launchpad_lite.courier.failures import message_of, type_name
from launchpad_lite.courier.messages import Request
from launchpad_lite.errors import (
    CallError,
    PayloadTooLarge,
    RemoteError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launchpad_lite.courier.grpc_calls import GrpcCalls
    from launchpad_lite.courier.messages import Reply
    from launchpad_lite.courier.transport import Service

_SERVICE = "/launchpad_lite.courier.v1.Courier/"
_METHOD, _JSON, _MSGPACK = 1, 2, 3  # fields of CallRequest
_REPLY_JSON, _REPLY_MSGPACK = 1, 2  # fields of CallReply
TOKEN = "launchpad-lite-token"  # noqa: S105 - the name of the metadata, not a secret
ERROR = "launchpad-lite-error"  # metadata: the class of what the method raised
_MAX_DETAILS = 2000  # characters; gRPC's metadata are small
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_DATA = DataCodec()


class _Asked(NamedTuple):
    """A request, and whether its result is to be JSON."""

    request: Request
    text: bool


class Outside:
    """Answers programs that are not ours.

    Attributes:
      handlers: by method.
    """

    def __init__(self, service: Service, calls: GrpcCalls) -> None:
        """Answer for a service."""
        self._service = service
        self._calls = calls
        self.handlers: dict[str, Any] = {
            f"{_SERVICE}Call": grpc.unary_unary_rpc_method_handler(self._call),
            f"{_SERVICE}Stream": grpc.unary_stream_rpc_method_handler(self._stream),
            f"{_SERVICE}ListMethods": grpc.unary_unary_rpc_method_handler(self._list),
        }

    def _check_codec(self, context: grpc.ServicerContext) -> None:
        if self._service.info().codec != _DATA.name:
            message = (
                "this server talks to Python programs of its own kind only: it has no codec='data'"
            )
            context.abort(grpc.StatusCode.UNIMPLEMENTED, message)

    def _list(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        self._check_codec(context)
        names = self._service.info().methods
        return b"".join(protobuf.bytes_field(1, name.encode()) for name in names)

    def _call(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        asked = self._read(message, context)
        answered: futures.Future[Reply | None] = futures.Future()
        self._calls.begin(asked.request, context, answered.set_result)
        reply = answered.result()
        if reply is None:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the server has stopped")
        return self._write(reply, asked, context)

    def _stream(self, message: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        asked = self._read(message, context)
        for reply in self._calls.stream(asked.request, context, told=False):
            yield self._write(reply, asked, context)

    def _read(self, message: bytes, context: grpc.ServicerContext) -> _Asked:
        self._check_codec(context)
        limit = self._service.max_payload_bytes
        try:
            if len(message) > limit:
                excess = f"a request of {len(message):,} bytes exceeds the limit of {limit:,}"
                raise PayloadTooLarge(excess)
            fields = protobuf.read_bytes_fields(message)
            method = protobuf.read_text(fields.get(_METHOD))
            args, kwargs = plain_values.arguments(_decode(fields))
            payload = _DATA.encode_arguments(args, kwargs, None, method)
        except CallError as error:
            _abort(error, context)
        except (ValueError, TypeError, RecursionError) as error:  # msgspec's and protobuf's too
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, _short(str(error)))
        timeout = Deadline(context.time_remaining()).timeout
        return _Asked(Request(method, payload, timeout), _MSGPACK not in fields)

    def _write(self, reply: Reply, asked: _Asked, context: grpc.ServicerContext) -> bytes:
        if not reply.ok:
            _abort(_DATA.decode_failure(reply.content, None), context)
        try:
            value = plain_values.to_plain(_DATA.decode(reply.content), text=asked.text)
            if asked.text:
                return protobuf.bytes_field(_REPLY_JSON, msgspec.json.encode(value))
            return protobuf.bytes_field(_REPLY_MSGPACK, msgspec.msgpack.encode(value))
        except Exception as error:
            message = f"the result of {asked.request.method} cannot be sent: {error}"
            context.abort(grpc.StatusCode.INTERNAL, _short(message))


def _decode(fields: dict[int, memoryview]) -> Any:
    if _MSGPACK in fields:
        return msgspec.msgpack.decode(fields[_MSGPACK])
    return msgspec.json.decode(fields[_JSON]) if fields.get(_JSON) else []


def _abort(error: Exception, context: grpc.ServicerContext) -> NoReturn:
    """End a call with the status of an error."""
    name, details = type_name(type(error)), message_of(error)
    code = grpc.StatusCode.UNKNOWN  # an exception of the method's own
    if isinstance(error, RemoteError):
        name = error.type_name
    elif isinstance(error, CallError):
        code = _CODES[error.code]
    else:
        details = f"{type(error).__name__}: {details}"
    context.set_trailing_metadata(((ERROR, ascii(name)[1:-1]),))
    context.abort(code, _short(details))


def _short(details: str) -> str:
    return details if len(details) <= _MAX_DETAILS else f"{details[:_MAX_DETAILS]}..."
