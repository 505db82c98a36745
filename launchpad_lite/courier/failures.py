"""How an exception crosses from the method to its caller."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from launchpad_lite.courier import codec
from launchpad_lite.courier.messages import Reply
from launchpad_lite.errors import CallError, RemoteError
from launchpad_lite.frames import format_error, from_user_code

if TYPE_CHECKING:
    from launchpad_lite.context import Scope


class RemoteTraceback(Exception):
    """Shows the traceback of the process where an exception was raised."""

    def __init__(self, text: str) -> None:
        """Keep the traceback's text."""
        self.text = text
        super().__init__(text)

    def __str__(self) -> str:
        """Return the text so that it stands out in a printed chain."""
        return f"\n\n{self.text}"


@dataclasses.dataclass(frozen=True, slots=True)
class _Failure:
    """An exception in parts that can always be sent.

    The exception itself is pickled by itself, so that one that cannot be rebuilt spoils no more.
    """

    type_name: str
    message: str
    trace: str
    exception: codec.Payload | None


def _trace(error: BaseException) -> str:
    """Return the traceback; there is no need of one for what we raise ourselves."""
    if isinstance(error, CallError) and from_user_code(error) is None:
        return ""
    return format_error(error)


def encode_failure(error: BaseException, scope: Scope | None) -> Reply:
    """Encode an exception with its traceback."""
    kind = type(error)
    exception: codec.Payload | None = None
    if isinstance(error, Exception):  # SystemExit and its like must not end the caller
        try:
            exception = codec.encode(error, scope, copy=True)
        except BaseException:  # code of the exception's class runs, and may do anything
            exception = None
    try:
        message = f"{error}"
    except BaseException:
        message = "(its __str__ raised)"
    failure = _Failure(f"{kind.__module__}.{kind.__qualname__}", message, _trace(error), exception)
    return Reply(False, codec.encode(failure))


def decode_failure(reply: Reply, scope: Scope | None) -> Exception:
    """Return the exception as its own type, or as `RemoteError` when it cannot be rebuilt."""
    failure = codec.decode(reply.content)
    error: object = None
    if failure.exception is not None:
        try:
            error = codec.decode(failure.exception, scope)
        except BaseException:
            error = None
    if not isinstance(error, Exception):
        return RemoteError(failure.type_name, failure.message, failure.trace)
    if failure.trace:
        error.__cause__ = RemoteTraceback(failure.trace)
    return error
