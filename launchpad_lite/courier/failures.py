"""How an exception crosses from the method to its caller, as a pickle."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import types
from typing import TYPE_CHECKING, Any, SupportsIndex, cast

from launchpad_lite.courier import codec
from launchpad_lite.errors import CallError, RemoteError
from launchpad_lite.frames import format_error, from_user_code

if TYPE_CHECKING:
    from launchpad_lite.scope import Scope

_TOLD = 1000  # characters of an exception that is too large

_also_call_error = False


def set_also_call_error(also: bool) -> None:  # noqa: FBT001 - the name says what it is
    """Let the exceptions that methods raise arrive as `RemoteError`s too, in this process.

    Programs for the original Courier expect its error for all that goes wrong in a call. With this,
    `except CallError` and `except ValueError` both catch a method's ValueError.
    """
    global _also_call_error  # noqa: PLW0603 - one process, one program
    _also_call_error = also


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


def type_name(kind: type[BaseException]) -> str:
    """Return a class of exceptions as `module.QualifiedName`."""
    return f"{kind.__module__}.{kind.__qualname__}"


def message_of(error: BaseException) -> str:
    """Return an exception's text, whatever its class does."""
    try:
        return f"{error}"
    except BaseException:
        return "(its __str__ raised)"


def trace_of(error: BaseException) -> str:
    """Return the traceback; there is no need of one for what we raise ourselves."""
    if isinstance(error, CallError) and from_user_code(error) is None:
        return ""
    return format_error(error)


def untold(error: BaseException) -> RemoteError:
    """Return what is said instead of an exception that nothing can be said of.

    None of its own code runs, nor that of its class.
    """
    name = type.__repr__(type(error)).removeprefix("<class '").removesuffix("'>")
    return RemoteError(
        name, "(nothing can be told of it: its class, or a lack of memory, raised)", ""
    )


def shortened(error: BaseException, limit: int) -> RemoteError:
    """Return what is said instead of an exception that is larger than a result may be.

    Args:
      error: the exception.
      limit: what it exceeds, in bytes.
    """
    message = f"{message_of(error)[:_TOLD]}... (larger than the limit of {limit:,} bytes)"
    return RemoteError(type_name(type(error)), message, "")


def encode_failure(error: BaseException, scope: Scope | None) -> codec.Payload:
    """Encode an exception with its traceback."""
    exception: codec.Payload | None = None
    if isinstance(error, Exception):  # SystemExit and its like must not end the caller
        try:
            exception = codec.encode(error, scope, copy=True)
        except BaseException:  # code of the exception's class runs, and may do anything
            exception = None
    name, message = type_name(type(error)), message_of(error)
    failure = _Failure(name, message, trace_of(error), exception)
    return codec.encode(failure)


def decode_failure(encoded: codec.Payload, scope: Scope | None) -> Exception:
    """Return the exception as its own type, or as `RemoteError` when it cannot be rebuilt."""
    failure = codec.decode(encoded)
    error: object = None
    if failure.exception is not None:
        try:
            error = codec.decode(failure.exception, scope)
        except BaseException:
            error = None
    if not isinstance(error, Exception):
        return RemoteError(failure.type_name, failure.message, failure.trace)
    return arrived(error, failure.trace)


def arrived(error: Exception, trace: str) -> Exception:
    """Return an exception that was rebuilt as its own type as the caller gets it.

    Args:
      error: the exception.
      trace: the traceback of the process where it was raised; empty if it is not told.
    """
    if _also_call_error and not isinstance(error, CallError):
        error = _as_call_error(error, trace)
    if trace:
        error.__cause__ = RemoteTraceback(trace)
    return error


_FIELDS = (types.MemberDescriptorType, types.GetSetDescriptorType)


@functools.lru_cache(maxsize=256)
def _call_error_class(kind: type[Exception]) -> type[Exception]:
    """Return a class of `kind`s that are `RemoteError`s too; what it makes are plain ones."""

    def new(_: type, *args: Any, **kwargs: Any) -> Exception:
        return kind(*args, **kwargs)

    def reduce_ex(error: Any, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        plain: Exception = error._lp_plain  # noqa: SLF001 - a field of this very class
        return plain.__reduce_ex__(protocol)

    members = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__slots__": ("_lp_plain", "remote_traceback", "summary"),
        "__new__": new,
        "__reduce_ex__": reduce_ex,
        "type_name": type_name(kind),
    }
    bases: tuple[Any, ...] = (kind, RemoteError)
    return cast("type[Exception]", type(kind.__name__, bases, members))


def _as_call_error(plain: Exception, trace: str) -> Exception:
    """Return the exception as one that is a `RemoteError` too, or itself where that cannot be."""
    kind = type(plain)
    try:
        # no constructor runs: its `super().__init__` would now be that of RemoteError
        error: Any = kind.__new__(_call_error_class(cast("Any", kind)), *plain.args)
        for base in kind.__mro__:
            for field in vars(base).values():
                if isinstance(field, _FIELDS):
                    with contextlib.suppress(AttributeError, TypeError):  # not set, or read-only
                        value = field.__get__(plain, kind)
                        if value is not None:  # which may mean "not set", and be no value to set
                            field.__set__(error, value)
        error._lp_plain = plain  # noqa: SLF001 - a field of the class above
        error.summary, error.remote_traceback = message_of(plain), trace
    except Exception:  # code of the exception's class runs, and may do anything
        return plain
    return cast("Exception", error)
