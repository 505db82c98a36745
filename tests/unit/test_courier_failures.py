"""Exceptions on their way to the caller; what all transports do with them is in the suite."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

from launchpad_lite import courier
from launchpad_lite.courier import codec
from launchpad_lite.courier.failures import (
    RemoteTraceback,
    decode_failure,
    encode_failure,
    set_also_call_error,
)
from launchpad_lite.errors import (
    CallError,
    DeadlineExceeded,
    MethodNotFound,
    NodeFailed,
    PayloadTooLarge,
    RemoteError,
    StatusCode,
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


# In programs for the original Courier, a method's exceptions are errors of the call as well.


class SealedError(Exception):
    def __init_subclass__(cls) -> None:
        raise TypeError("no subclasses")


class LoudError(Exception):
    """Has a constructor of its own, and what a call's error has too."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.message = message.upper()
        self.code = code

    def __str__(self) -> str:
        return f"loud: {self.message}"


def fail() -> NoReturn:
    raise KeyError("key")


@pytest.fixture
def also() -> Iterator[None]:
    set_also_call_error(True)
    yield
    set_also_call_error(False)


def sent_also(error: Exception) -> Any:
    result = sent(raised(error))
    assert isinstance(result, type(error))
    assert isinstance(result, RemoteError)
    assert type(result).__name__ == type(error).__name__
    assert (str(result), repr(result)) == (str(error), repr(error))
    assert repr(result.args) == repr(error.args)
    assert isinstance(result.__cause__, RemoteTraceback)
    assert result.type_name == f"{type(error).__module__}.{type(error).__qualname__}"
    assert "in method" in result.remote_traceback
    plain = pickle.loads(pickle.dumps(result))
    assert type(plain) is type(error)
    assert vars(plain) == vars(error)
    return result


@pytest.mark.usefixtures("also")
@pytest.mark.parametrize(
    "error",
    [
        ValueError("wrong", 2),
        KeyError("key"),
        FileNotFoundError(2, "no such file", "/data"),
        UnicodeDecodeError("utf-8", b"x\xff", 1, 2, "invalid"),
        ExceptionGroup("several", [ValueError("one")]),
        StopIteration(3),
        ImportError("no", name="module", path="/m"),
        SyntaxError("bad", ("file.py", 1, 2, "text", 1, 3)),
        UsageError("of ours, but of no call"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_is_an_error_of_the_call_too(error: Exception) -> None:
    result = sent_also(error)
    for name in ("errno", "filename", "object", "reason", "exceptions", "value", "name", "lineno"):
        assert repr(getattr(result, name, None)) == repr(getattr(error, name, None))
    assert result.code is StatusCode.UNKNOWN
    assert result.message == str(error) or isinstance(error, ExceptionGroup)


@pytest.mark.usefixtures("also")
def test_its_own_attributes_go_first() -> None:
    error = LoudError("words", 7)
    error.add_note("noted")
    result = sent_also(error)
    assert (result.message, result.code) == ("WORDS", 7)
    assert result.__notes__ == ["noted"]


@pytest.mark.usefixtures("also")
def test_another_of_its_class_is_a_plain_one() -> None:
    again = type(sent_also(LoudError("words")))("other words", code=3)
    assert type(again) is LoudError
    assert again.code == 3


@pytest.mark.usefixtures("also")
def test_it_is_passed_on_as_what_it_was() -> None:
    result = sent(sent_also(ValueError("x")))
    assert isinstance(result, RemoteError)
    assert type(result) is type(sent(ValueError("y")))


@pytest.mark.usefixtures("also")
def test_what_cannot_be_both_is_what_it_is() -> None:
    result = sent(raised(SealedError("x")))
    assert type(result) is SealedError
    assert isinstance(result.__cause__, RemoteTraceback)


@pytest.mark.usefixtures("also")
def test_errors_of_the_call_stay_as_they_are() -> None:
    assert type(sent(raised(DeadlineExceeded("late")))) is DeadlineExceeded
    assert type(sent(raised(TwoPartError("one", "two")))) is RemoteError


@pytest.mark.usefixtures("also")
def test_calls_and_futures_raise_both() -> None:
    server = courier.Server()
    server.Bind("fail", fail)
    server.Start()
    client = courier.Client(server.address)
    try:
        for result in (client.fail, client.futures.fail().result):
            with pytest.raises(CallError, match="key") as caught:
                result()
            assert isinstance(caught.value, KeyError)
            assert caught.value.message == "'key'"
    finally:
        server.Stop()


def test_natively_an_exception_is_only_what_it_is() -> None:
    assert type(sent(raised(ValueError("x")))) is ValueError
