"""What methods raise arrives, and never harms the server."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
import numpy as np
import pytest

from launchpad_lite.courier.failures import RemoteTraceback, decode_failure
from launchpad_lite.errors import (
    BatchError,
    CallError,
    MethodNotFound,
    NotAuthenticated,
    PayloadTooLarge,
    RemoteError,
    ResourceExhausted,
    Unavailable,
)
from launchpad_lite.testing.conformance.transport_parts.base import (
    PATIENCE_S,
    Caller,
    Lab,
    TransportSuite,
)
from launchpad_lite.testing.conformance.transport_parts.values import echo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class PlainError(Exception):
    """An exception with an attribute."""

    detail: Any = None


class FieldsError(Exception):
    """An exception that its arguments do not rebuild."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")


class UnpicklableError(Exception):
    """An exception whose pickling raises."""

    def __reduce__(self) -> NoReturn:
        raise ValueError("never to be pickled")


class UnreadableError(Exception):
    """An exception whose unpickling raises."""

    def __reduce__(self) -> Any:
        return _fail_to_load, ()


class OtherThingError(Exception):
    """An exception that is unpickled as something else."""

    def __reduce__(self) -> Any:
        return str, ("no exception",)


class SilentError(Exception):
    """An exception that cannot be shown."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(first + second)

    def __str__(self) -> NoReturn:
        raise ValueError("no words")


class UntoldError(Exception):
    """An exception that nothing can be asked."""

    def __getattribute__(self, name: str) -> Any:
        raise ValueError(name)


class _NamelessType(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in {"__module__", "__qualname__"}:
            raise ValueError(name)
        return super().__getattribute__(name)


class NamelessError(Exception, metaclass=_NamelessType):
    """An exception whose class does not tell its name."""


class Unloadable:
    """A value whose unpickling raises."""

    def __reduce__(self) -> Any:
        return _fail_to_load, ()


def _fail_to_load() -> NoReturn:
    raise pickle.UnpicklingError("not to be loaded")


def _deep() -> Any:
    inner: Any = []
    for _ in range(100_000):
        inner = [inner]
    return inner


def fail_with(error: Any) -> NoReturn:
    """Raise an exception made by a function."""
    raise error()


def give(make: Any) -> Any:
    """Return a value made by a function."""
    return make()


def fail_with_note() -> NoReturn:
    """Raise an exception with an attribute, a note and a cause."""
    error = PlainError("a", 1)
    error.detail = np.arange(3)
    error.add_note("a note")
    raise error from KeyError("its cause")


def _both(caller: Caller, method: str, *args: Any) -> tuple[BaseException, BaseException]:
    """Return how a call fails, waited for and as a future."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - which one is what is returned
        caller.call(method, *args)
    failure = caller.failure(method, *args)
    assert failure is not None
    return caught.value, failure


class FailureConformance(TransportSuite):
    """Exceptions arrive as their own type or as `RemoteError`, and the server lives on."""

    @pytest.mark.parametrize("error", [PlainError("no"), ResourceExhausted("no"), BatchError("no")])
    def test_a_failure_has_the_code_of_its_exception(self, lab: Lab, error: Exception) -> None:
        def work() -> NoReturn:
            raise error

        def yield_nothing() -> Iterator[int]:
            yield work()

        caller = lab.caller(work, streams=(yield_nothing,))
        code = error.code.name if isinstance(error, CallError) else "UNKNOWN"
        assert caller.codes("work") == {code}
        assert next(caller.stream("yield_nothing").replies).code == code
        assert caller.codes("unknown") == {"NOT_FOUND"}

    def test_an_exception_arrives_as_its_own_type(self, lab: Lab) -> None:
        caller = lab.caller(fail_with_note, echo)
        for error in _both(caller, "fail_with_note"):
            assert type(error) is PlainError
            assert error.args == ("a", 1)
            assert error.detail.tolist() == [0, 1, 2]
            assert error.__notes__ == ["a note"]
            cause = error.__cause__
            assert isinstance(cause, RemoteTraceback)
            assert "in fail_with_note" in cause.text
            assert "KeyError: 'its cause'" in cause.text
        assert caller.call("echo", 1) == 1

    @pytest.mark.parametrize("kind", [ValueError, StopIteration, TimeoutError, OSError])
    def test_exceptions_that_mean_something_to_python_arrive(
        self, lab: Lab, kind: type[Exception]
    ) -> None:
        for error in _both(lab.caller(fail_with), "fail_with", kind):
            assert type(error) is kind

    def test_errors_of_ours_are_the_method_s_not_the_transport_s(self, lab: Lab) -> None:
        def call_another() -> NoReturn:
            raise Unavailable("another server is gone", maybe_executed=False)

        for error in _both(lab.caller(call_another), "call_another"):
            assert type(error) is Unavailable
            assert error.maybe_executed is False
            assert "in call_another" in str(error.__cause__)

    def test_a_local_class_arrives_by_value(self, lab: Lab) -> None:
        class LocalError(Exception):
            pass

        for error in _both(lab.caller(fail_with), "fail_with", LocalError):
            assert type(error).__name__ == "LocalError"

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: FieldsError(7, "why"), "7: why"),
            (lambda: UnpicklableError("secret"), "secret"),
            (lambda: UnreadableError("garbled"), "garbled"),
            (lambda: OtherThingError("not this"), "not this"),
            (lambda: SilentError(1, 2), "(its __str__ raised)"),
            (lambda: SystemExit(3), "3"),
            (lambda: KeyboardInterrupt("stop"), "stop"),
            (lambda: GeneratorExit("done"), "done"),
        ],
        ids=["constructor", "pickling", "unpickling", "other", "str", "exit", "interrupt", "close"],
    )
    def test_what_cannot_be_rebuilt_arrives_as_a_remote_error(
        self, lab: Lab, make: Callable[[], BaseException], message: str
    ) -> None:
        caller = lab.caller(fail_with, echo, threads=1)
        name = type(make()).__qualname__
        for error in _both(caller, "fail_with", make):
            assert type(error) is RemoteError
            assert error.type_name.endswith(f".{name}")
            assert message in str(error)
            assert "in fail_with" in error.remote_traceback
        assert caller.call("echo", 1) == 1

    @pytest.mark.parametrize("kind", [UntoldError, NamelessError], ids=["untold", "nameless"])
    def test_of_an_exception_that_cannot_be_asked_the_class_is_told(
        self, lab: Lab, kind: type[Exception]
    ) -> None:
        def fail() -> NoReturn:
            raise kind

        async def fail_later() -> NoReturn:
            raise kind

        def yield_nothing() -> Iterator[int]:
            yield fail()

        caller = lab.caller(fail, fail_later, echo, streams=(yield_nothing,), threads=1)
        failures = [*_both(caller, "fail"), *_both(caller, "fail_later")]
        (reply,) = caller.stream("yield_nothing").replies
        failures.append(decode_failure(reply.content, None))
        for error in failures:
            assert type(error) is RemoteError
            assert error.type_name == type.__repr__(kind)[8:-2]
            assert "nothing can be told of it" in str(error)
        assert caller.call("echo", 1) == 1

    def test_a_result_that_cannot_be_sent_is_named(self, lab: Lab) -> None:
        caller = lab.caller(give, echo, threads=1)
        for error in _both(caller, "give", lambda: (value for value in "abc")):
            assert type(error) is TypeError
            assert "the result of server.give cannot be sent" in str(error)
        assert caller.call("echo", 1) == 1

    def test_a_result_deeper_than_pickles_go_is_named(self, lab: Lab) -> None:
        caller = lab.caller(give, echo, threads=1)
        for error in _both(caller, "give", _deep):
            assert type(error) is TypeError
            assert "the result of server.give cannot be sent: " in str(error)
        assert caller.call("echo", 1) == 1

    def test_a_result_that_cannot_be_read_fails_its_call_only(self, lab: Lab) -> None:
        caller = lab.caller(give, echo)
        for error in _both(caller, "give", Unloadable):
            assert type(error) is pickle.UnpicklingError
        assert caller.call("echo", 1) == 1

    def test_arguments_that_cannot_be_read_fail_their_call_only(self, lab: Lab) -> None:
        caller = lab.caller(echo, threads=1)
        for error in _both(caller, "echo", Unloadable()):
            assert type(error) is pickle.UnpicklingError
            assert "not to be loaded" in str(error.__cause__)
        assert caller.call("echo", 1) == 1

    def test_wrong_arguments_raise_a_type_error(self, lab: Lab) -> None:
        for error in _both(lab.caller(give), "give", 1, 2, 3):
            assert type(error) is TypeError
            assert "give()" in str(error)

    def test_an_unknown_method_names_the_nearest(self, lab: Lab) -> None:
        caller = lab.caller(echo, give)
        for error in _both(caller, "ehco"):
            assert type(error) is MethodNotFound
            assert "method ehco not found on server; did you mean 'echo'?" in str(error)
            assert "Known: echo, give." in str(error)
            assert error.__cause__ is None

    @pytest.mark.parametrize("wrong", ["zeros", "reversed", "last"])
    def test_a_wrong_token_is_refused(self, lab: Lab, wrong: str) -> None:
        served = lab.serve(echo)
        right = lab.credentials.token
        last = bytes([right[-1] ^ 1])
        tokens = {"zeros": bytes(32), "reversed": right[::-1], "last": right[:-1] + last}
        with pytest.raises(NotAuthenticated):
            lab.connect(served, msgspec.structs.replace(lab.credentials, token=tokens[wrong]))
        assert lab.connect(served).call("echo", 1) == 1

    def test_too_large_arguments_are_refused(self, lab: Lab) -> None:
        caller = lab.caller(echo, limit=100_000, threads=1)
        for size in (100_001, 8 * 2**20):
            for error in _both(caller, "echo", np.zeros(size, np.int8)):
                assert type(error) is PayloadTooLarge
                assert "100,000" in str(error)
        assert caller.call("echo", np.zeros(90_000, np.int8)).nbytes == 90_000

    def test_too_large_results_are_refused(self, lab: Lab) -> None:
        caller = lab.caller(give, limit=100_000, threads=1)
        for error in _both(caller, "give", lambda: np.zeros(100_001, np.int8)):
            assert type(error) is PayloadTooLarge
            assert "the result of server.give" in str(error)
        assert caller.call("give", lambda: np.zeros(90_000, np.int8)).nbytes == 90_000

    def test_too_large_exceptions_are_told_in_short(self, lab: Lab) -> None:
        caller = lab.caller(fail_with, limit=100_000, threads=1)
        for error in _both(caller, "fail_with", lambda: ValueError("no" * 100_000)):
            assert type(error) is RemoteError
            assert error.type_name == "builtins.ValueError"
            assert error.summary.startswith("nonono")
            assert error.summary.endswith("no... (larger than the limit of 100,000 bytes)")
            assert len(error.message) < 2000
        for error in _both(caller, "fail_with", lambda: ValueError("no" * 10_000)):
            assert error.args == ("no" * 10_000,)

    def test_futures_that_fail_leave_the_others_alone(self, lab: Lab) -> None:
        caller = lab.caller(echo, fail_with)
        calls = [
            caller.submit("fail_with", ValueError) if number % 3 else caller.submit("echo", number)
            for number in range(60)
        ]
        for number, call in enumerate(calls):
            if number % 3:
                assert type(call.exception(PATIENCE_S)) is ValueError
            else:
                assert call.result(PATIENCE_S) == number
