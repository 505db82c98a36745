"""`codec="data"`: values without code, for servers that outsiders may reach. There is no pickle.

Decoding runs nothing but the constructors of registered dataclasses, and makes nothing larger than
what came: lengths are checked against the bytes that are there.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any, ClassVar, cast

import msgspec

from launchpad_lite.courier import arrays
from launchpad_lite.courier.codec import Codec, Payload, check_bytes, said
from launchpad_lite.courier.data_apart import Apart, Refused
from launchpad_lite.courier.data_marks import read_mark
from launchpad_lite.courier.data_together import Together
from launchpad_lite.courier.failures import arrived, message_of, trace_of, type_name
from launchpad_lite.errors import (
    BatchError,
    CallError,
    CodecError,
    DeadlineExceeded,
    MethodNotFound,
    PayloadTooLarge,
    RemoteError,
    ResourceExhausted,
)

if TYPE_CHECKING:
    from launchpad_lite.scope import Scope

_CARRIED = (
    "codec='data' carries None, bools, numbers, text, bytes, lists, tuples, sets, dicts, dates and "
    "times, NumPy arrays and registered dataclasses"
)
_OUR_ERRORS = {
    type_name(kind): kind
    for kind in (
        BatchError,
        CodecError,
        DeadlineExceeded,
        MethodNotFound,
        PayloadTooLarge,
        ResourceExhausted,
    )
}
_NEVER = (StopIteration, StopAsyncIteration)  # they would end the loop of who gets them


class _Failure(msgspec.Struct, frozen=True, array_like=True):
    """An exception in parts; `texts` are the arguments of one that can be made again."""

    type_name: str
    message: str
    trace: str
    texts: tuple[str, ...] | None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ext_hook=read_mark)
_failures = msgspec.msgpack.Decoder(_Failure)


def _known_class(name: str) -> type[Exception] | None:
    """Return the class of exceptions that arrive as themselves."""
    if name in _OUR_ERRORS:
        return _OUR_ERRORS[name]
    kind: object = getattr(builtins, name.removeprefix("builtins."), None)
    if not isinstance(kind, type) or not issubclass(kind, Exception) or type_name(kind) != name:
        return None
    return None if issubclass(kind, _NEVER) else kind


def _rebuild(failure: _Failure) -> Exception | None:
    kind = _known_class(failure.type_name)
    if kind is None or failure.texts is None:
        return None
    try:
        if issubclass(kind, CallError):  # whose constructors add to what they are given
            error = kind.__new__(kind, *failure.texts)
            error.args = failure.texts
            return error
        return kind(*failure.texts)
    except TypeError:  # it wants other arguments, such as UnicodeDecodeError
        return None


def _pack(taken: object, apart: Apart, *, copy: bool, limit: int | None) -> Payload:
    encoded = _encoder.encode(taken)
    check_bytes(len(encoded) + sum(array.nbytes for array in apart.arrays), limit)
    buffers = [arrays.raw(array) for array in apart.arrays]
    return Payload(encoded, [bytearray(each) for each in buffers] if copy else buffers)


def _are_arguments(value: Any) -> bool:
    """Whether this is a list of arguments and a dict of keyword arguments."""
    if not isinstance(value, list):
        return False
    parts = cast("list[Any]", value)
    return [type(part) for part in parts] == [list, dict] and all(type(k) is str for k in parts[1])


class DataCodec(Codec):
    """Values without code."""

    name: ClassVar[str] = "data"

    def __init__(self, *, tracebacks: bool = False) -> None:
        """Make the codec.

        Args:
          tracebacks: send those of exceptions, which show the server's code to its callers.
        """
        self._tracebacks = tracebacks

    def encode(
        self,
        value: object,
        scope: Scope | None = None,
        *,
        copy: bool = False,
        direct: bool = False,
        limit: int | None = None,
    ) -> Payload:
        """See the base class.

        Raises:
          CodecError: something in it does not travel; the message says where it is.
          PayloadTooLarge: it exceeds the limit.
        """
        apart = Apart()
        try:
            taken = apart.take(value)
        except Refused as refused:
            message = f"it{refused}. {_CARRIED}"
            raise CodecError(message) from None
        return _pack(taken, apart, copy=copy, limit=limit)

    def encode_arguments(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        scope: Scope | None,
        title: str,
        *,
        copy: bool = False,
        direct: bool = False,
        limit: int | None = None,
    ) -> Payload:
        """See the base class."""
        apart = Apart()
        name = "args"
        try:
            positional = apart.sequence(args)
            named: dict[str, Any] = {}
            for name, value in kwargs.items():
                named[apart.take(name)] = apart.take(value)
        except Refused as refused:
            message = f"{title}: {name}{refused}. {_CARRIED}."
            raise CodecError(message) from None
        try:
            return _pack([positional, named], apart, copy=copy, limit=limit)
        except PayloadTooLarge as error:
            raise said(error, "the arguments of a call to ", title) from None

    def decode(self, encoded: Payload, scope: Scope | None = None) -> Any:
        """See the base class.

        Raises:
          CodecError: these bytes do not hold a value of this codec.
        """
        together = Together(encoded.buffers)
        try:
            value = together.put(_decoder.decode(encoded.pickled))
        except CodecError:
            raise
        except (
            msgspec.MsgspecError,
            TypeError,
            ValueError,
            OverflowError,
            RecursionError,
        ) as error:
            message = f"what came is not encoded by codec='data': {error}"
            raise CodecError(message) from error
        together.finish()
        return value

    def decode_arguments(
        self, encoded: Payload, scope: Scope | None = None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """See the base class."""
        value = self.decode(encoded, scope)
        if not _are_arguments(value):
            message = "what came are not a call's arguments"
            raise CodecError(message)
        return tuple(value[0]), value[1]

    def encode_failure(self, error: BaseException, scope: Scope | None) -> Payload:
        """See the base class."""
        name, message = type_name(type(error)), message_of(error)
        if type(error) is RemoteError:  # of another server, or instead of what cannot be told
            name, message = error.type_name, error.summary
        texts: tuple[str, ...] | None = None
        if _known_class(name) is type(error) and all(type(each) is str for each in error.args):
            texts = error.args
        trace = trace_of(error) if self._tracebacks else ""
        try:
            content = _encoder.encode(_Failure(name, message, trace, texts))
        except UnicodeEncodeError:
            content = _encoder.encode(_Failure(name, ascii(message), "", None))
        return Payload(content)

    def decode_failure(self, encoded: Payload, scope: Scope | None) -> Exception:
        """See the base class."""
        try:
            failure = _failures.decode(encoded.pickled)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return CodecError(f"the server's failure is not encoded by codec='data': {error}")
        rebuilt = _rebuild(failure)
        if rebuilt is None:
            return RemoteError(failure.type_name, failure.message, failure.trace)
        return arrived(rebuilt, failure.trace)
