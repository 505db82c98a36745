"""Exceptions on their way to the caller; what all transports do with them is in the suite."""

from __future__ import annotations

import traceback
from typing import NoReturn

import pytest

from launchpad_lite.courier import codec
from launchpad_lite.courier.failures import RemoteTraceback, decode_failure, encode_failure
from launchpad_lite.errors import (
    MethodNotFound,
    NodeFailed,
    PayloadTooLarge,
    RemoteError,
    Unavailable,
    UsageError,
)


class TwoPartError(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def raised(error: BaseException) -> BaseException:
    """The error, as a method raises it."""

    def method() -> NoReturn:
        raise error

    try:
        method()
    except BaseException as caught:
        return caught


def sent(error: BaseException) -> Exception:
    return decode_failure(encode_failure(error, None), None)


def test_a_failure_is_no_result() -> None:
    assert not encode_failure(ValueError("x"), None).ok


def test_the_remote_traceback_is_printed_above() -> None:
    error = sent(raised(KeyError("key")))
    assert type(error) is KeyError
    text = "".join(traceback.format_exception(error))
    assert text.index("in method") < text.index("direct cause") < text.rindex("KeyError: 'key'")


def test_the_traceback_has_the_cause_and_the_notes() -> None:
    error = ValueError("outer")
    error.__cause__ = raised(OSError("inner"))
    error.add_note("look here")
    cause = sent(raised(error)).__cause__
    assert isinstance(cause, RemoteTraceback)
    assert "OSError: inner" in cause.text
    assert "look here" in cause.text


@pytest.mark.parametrize(
    "error",
    [
        UsageError("wrong"),
        Unavailable("gone", maybe_executed=True),
        NodeFailed("a/0", "died", log_tail="last words"),
        RemoteError("m.X", "lost", "its traceback"),
        PayloadTooLarge("too large"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_of_ours_keep_what_they_know(error: Exception) -> None:
    result = sent(raised(error))
    assert type(result) is type(error)
    assert vars(result) == vars(error)
    assert str(result) == str(error)
    assert isinstance(result.__cause__, RemoteTraceback)  # a method of the user's raised it


def test_what_we_make_ourselves_needs_no_traceback() -> None:
    assert sent(MethodNotFound("no such method")).__cause__ is None


def test_an_exception_that_cannot_be_rebuilt_is_told_in_full() -> None:
    error = sent(raised(TwoPartError("one", "two")))
    assert isinstance(error, RemoteError)
    assert error.type_name == f"{__name__}.TwoPartError"
    assert "one two" in str(error)
    assert "in method" in error.remote_traceback
    again = sent(error)
    assert isinstance(again, RemoteError)
    assert str(again) == str(error)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_would_end_the_caller_does_not(kind: type[BaseException]) -> None:
    error = sent(raised(kind("now")))
    assert isinstance(error, RemoteError)
    assert error.type_name == f"builtins.{kind.__name__}"


def test_text_that_is_no_text() -> None:
    error = sent(raised(ValueError("\ud800")))
    assert error.args == ("\ud800",)


def test_a_traceback_can_be_pickled_on() -> None:
    cause = sent(raised(ValueError("x"))).__cause__
    assert isinstance(cause, RemoteTraceback)
    assert codec.decode(codec.encode(cause)).text == cause.text
