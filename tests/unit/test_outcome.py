"""How a node's end is judged."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Generator

import pytest

from launchpad_lite.context import Context
from launchpad_lite.errors import NodeFailed, Stopped, Unavailable
from launchpad_lite.nodes.python import PyNode
from launchpad_lite.runtime.events import Failure
from launchpad_lite.runtime.outcome import run_node
from tests.unit.fake_scope import FakeScope


def make_context() -> Context:
    return Context(
        program="program",
        label="node",
        index=0,
        group_size=1,
        run_id="run",
        incarnation=0,
        seed=0,
        checkpoint=None,
        scope=FakeScope(),
    )


def outcome(
    function: Callable[[], object], context: Context | None = None
) -> tuple[Failure | None, BaseException | None]:
    return run_node(PyNode(function), context or make_context(), lambda: None)


def boom() -> None:
    raise ValueError("boom")


def unavailable() -> None:
    raise Unavailable("it has ended", maybe_executed=False)


def stopped() -> None:
    raise Stopped("the run has stopped")


def test_a_node_that_returns() -> None:
    assert outcome(lambda: 1) == (None, None)


def test_a_node_that_raises() -> None:
    failure, cause = outcome(boom)
    assert failure is not None
    assert failure.summary == "ValueError: boom"
    assert "in boom" in failure.trace
    assert isinstance(cause, ValueError)


def test_the_traceback_begins_in_the_users_code() -> None:
    failure, _ = outcome(boom)
    assert failure is not None
    assert "outcome.py" in failure.trace  # this file
    assert "runtime/outcome.py" not in failure.trace
    assert "launchpad_lite/nodes/" not in failure.trace


def test_the_cause_of_an_exception_is_shown() -> None:
    def chained() -> None:
        try:
            boom()
        except ValueError as error:
            raise KeyError("key") from error

    failure, _ = outcome(chained)
    assert failure is not None
    assert failure.summary == "KeyError: 'key'"
    assert "in boom" in failure.trace


@pytest.mark.parametrize(
    ("code", "summary"),
    [(None, None), (0, None), (3, "SystemExit: 3"), ("sorry", "SystemExit: sorry")],
)
def test_exit_codes(code: object, summary: str | None) -> None:
    failure, _ = outcome(lambda: sys.exit(code))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert (failure.summary if failure else None) == summary


def test_an_interrupt_is_a_failure() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    failure, _ = outcome(interrupt)
    assert failure is not None
    assert failure.summary == "KeyboardInterrupt"


@pytest.mark.parametrize("function", [unavailable, stopped])
def test_calls_that_fail_are_failures_unless_the_run_stops(function: Callable[[], None]) -> None:
    failure, _ = outcome(function)
    assert failure is not None
    context = make_context()
    context.scope.stop.notice(1.0, "done")
    assert outcome(function, context) == (None, None)


def test_exit_while_the_run_stops_is_no_failure() -> None:
    context = make_context()
    context.scope.stop.notice(1.0, "done")
    assert outcome(lambda: sys.exit(3), context) == (None, None)


def test_an_exception_while_the_run_stops_is_a_failure() -> None:
    context = make_context()
    context.scope.stop.notice(1.0, "done")
    failure, _ = outcome(boom, context)
    assert failure is not None


@pytest.mark.parametrize(
    ("function", "debugged"),
    [
        (boom, ["ValueError"]),
        (lambda: sys.exit(3), ["SystemExit"]),
        (lambda: sys.exit(0), []),
        (lambda: None, []),
    ],
)
def test_a_failure_is_debugged_before_the_node_is_closed(
    function: Callable[[], object], debugged: list[str]
) -> None:
    context = make_context()
    steps: list[str] = []
    assert isinstance(context.scope, FakeScope)
    context.scope.debugger = lambda name, error, stop: steps.append(type(error).__name__)
    context.cleanup.callback(steps.append, "closed")
    outcome(function, context)
    assert steps == [*debugged, "closed"]


def test_a_failure_inside_another_node_has_been_debugged_there() -> None:
    def fail() -> None:
        raise NodeFailed("node/0/1", "ValueError: boom", remote_traceback="")

    context = make_context()
    debugged: list[str] = []
    assert isinstance(context.scope, FakeScope)
    context.scope.debugger = lambda name, error, stop: debugged.append(name)
    failure, _ = outcome(fail, context)
    assert failure is not None
    assert debugged == []


def test_what_the_node_opened_is_closed() -> None:
    context = make_context()
    steps: list[str] = []
    context.cleanup.callback(steps.append, "closed")
    run_node(PyNode(steps.append, "ran"), context, lambda: steps.append("left"))
    assert steps == ["ran", "left", "closed"]


@pytest.mark.parametrize("error", [OSError("disk full"), SystemExit(3)])
def test_a_clean_up_that_fails_fails_the_node(error: BaseException) -> None:
    @contextlib.contextmanager
    def closing() -> Generator[None]:
        yield
        raise error

    context = make_context()
    context.cleanup.enter_context(closing())
    failure, cause = outcome(lambda: None, context)
    assert failure is not None
    assert type(error).__name__ in failure.summary
    assert cause is error


def test_the_first_failure_counts() -> None:
    context = make_context()
    context.cleanup.callback(sys.exit, 3)
    failure, _ = outcome(boom, context)
    assert failure is not None
    assert failure.summary == "ValueError: boom"


def test_whoever_waits_for_the_object_is_told() -> None:
    context = make_context()
    _, cause = outcome(boom, context)
    assert context.instance.exception(0) is cause
    context = make_context()
    outcome(lambda: None, context)
    assert isinstance(context.instance.exception(0), Stopped)


def test_stop_handlers_end_before_what_the_node_opened_is_closed() -> None:
    context = make_context()
    stop = context.scope.stop
    begun, go_on = threading.Event(), threading.Event()
    steps: list[str] = []

    def handler() -> None:
        begun.set()
        go_on.wait(30)
        steps.append("handled")

    def function() -> None:
        stop.register(handler)
        notice = threading.Thread(target=stop.notice, args=(1.0, "done"), name="lp-test")
        notice.start()
        begun.wait(30)
        steps.append("returned")

    context.cleanup.callback(steps.append, "closed")
    run_node(PyNode(function), context, go_on.set)
    assert steps == ["returned", "handled", "closed"]
