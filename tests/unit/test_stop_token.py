"""A node's view of the end of its run: notice first, then close."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from launchpad_lite.errors import Stopped
from launchpad_lite.stop_token import StopToken

WAIT_S = 30.0


def test_a_run_that_goes_on() -> None:
    token = StopToken()
    assert (token.stopping, token.closed, token.attentive) == (False, False, False)
    assert token.seconds_left() is None
    token.check()
    assert token.wait(0) is False


def test_a_notice_says_why_and_how_long() -> None:
    token = StopToken()
    token.notice(100.0, "a node called lp.stop()")
    left = token.seconds_left()
    assert left is not None
    assert 0 < left <= 100
    assert (token.stopping, token.closed) == (True, False)
    assert token.reason == "a node called lp.stop()"
    assert token.wait(0)
    assert token.event.is_set()
    token.check()


def test_only_the_first_notice_counts() -> None:
    token = StopToken()
    calls: list[int] = []
    token.register(lambda: calls.append(1))
    token.notice(100.0, "first")
    token.notice(0.0, "second")
    assert (token.reason, calls) == ("first", [1])
    assert token.seconds_left() != 0.0


def test_time_that_is_over_is_not_negative() -> None:
    token = StopToken()
    token.notice(-1.0, "late")
    assert token.seconds_left() == 0.0


def test_a_node_that_asks_is_attentive() -> None:
    uses: list[Callable[[StopToken], object]] = [
        lambda token: token.event,
        lambda token: token.wait(0),
        lambda token: token.register(print),
    ]
    for use in uses:
        token = StopToken()
        use(token)
        assert token.attentive


def test_what_the_package_asks_makes_no_node_attentive() -> None:
    token = StopToken()
    token.on_close(lambda: None)
    token.notice(0.0, "so")
    token.close()
    token.wait_closed()
    assert (token.stopping, token.closed, token.seconds_left()) == (True, True, 0.0)
    assert not token.attentive


def test_handlers_run_once_in_their_order_in_the_thread_that_gives_notice() -> None:
    token = StopToken()
    calls: list[tuple[str, int]] = []

    def note(name: str) -> None:
        calls.append((name, threading.get_ident()))

    for name in "abc":
        token.register(functools.partial(note, name))
    with ThreadPoolExecutor(1) as pool:
        pool.submit(token.notice, 1.0, "so").result(WAIT_S)
        ident = pool.submit(threading.get_ident).result(WAIT_S)
    token.notice(1.0, "again")
    token.close()
    assert calls == [("a", ident), ("b", ident), ("c", ident)]


def test_a_handler_that_comes_late_runs_at_once() -> None:
    token = StopToken()
    token.notice(1.0, "so")
    calls: list[int] = []
    token.register(lambda: calls.append(1))
    assert calls == [1]


def test_a_handler_can_be_forgotten() -> None:
    token = StopToken()
    calls: list[str] = []
    kept, forgotten = (lambda: calls.append("kept")), (lambda: calls.append("forgotten"))
    token.register(kept)
    token.register(forgotten)
    token.unregister(forgotten)
    token.unregister(forgotten)
    token.unregister(print)
    token.notice(1.0, "so")
    assert calls == ["kept"]


def test_a_handler_that_raises_is_logged_and_holds_up_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    token = StopToken()
    calls: list[int] = []

    def fail() -> None:
        raise ZeroDivisionError("in a handler")

    token.register(fail)
    token.register(lambda: calls.append(1))
    with caplog.at_level(logging.ERROR):
        token.notice(1.0, "so")
    assert calls == [1]
    assert "a stop handler raised" in caplog.text
    assert "ZeroDivisionError: in a handler" in caplog.text


def test_a_handler_may_use_the_token() -> None:
    token = StopToken()
    seen: list[bool] = []

    def handler() -> None:
        token.unregister(handler)
        token.register(lambda: seen.append(token.stopping))
        token.notice(1.0, "again")

    token.register(handler)
    token.notice(1.0, "so")
    assert seen == [True]


def test_waiting_ends_with_the_notice() -> None:
    token = StopToken()
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(token.wait), pool.submit(token.event.wait)]
        token.notice(1.0, "so")
        assert [future.result(WAIT_S) for future in waiting] == [True, True]


def test_close_gives_notice_first() -> None:
    token = StopToken()
    order: list[str] = []
    token.register(lambda: order.append("handler"))
    token.on_close(lambda: order.append(f"closer, closed: {token.closed}"))
    token.close()
    assert order == ["handler", "closer, closed: True"]
    assert token.stopping


def test_close_wakes_whoever_waits() -> None:
    token = StopToken()
    woken: Future[str] = Future()
    token.on_close(lambda: woken.set_result("closed"))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(token.wait_closed)
        token.notice(1.0, "so")
        assert not woken.done()
        token.close()
        waiting.result(WAIT_S)
    assert woken.result(0) == "closed"


def test_closers_run_once_and_at_once_when_it_is_over() -> None:
    token = StopToken()
    calls: list[str] = []
    token.on_close(lambda: calls.append("early"))
    token.close()
    token.close()
    token.on_close(lambda: calls.append("late"))
    assert calls == ["early", "late"]


def test_a_closer_can_be_forgotten() -> None:
    token = StopToken()
    calls: list[int] = []
    closer = lambda: calls.append(1)  # noqa: E731 - one object, named to be forgotten
    token.on_close(closer)
    token.forget(closer)
    token.forget(closer)
    token.close()
    assert calls == []


def test_after_close_every_check_raises_with_the_reason() -> None:
    token = StopToken()
    token.notice(1.0, "node a/0 called lp.stop()")
    token.close()
    with pytest.raises(Stopped, match=r"the run has stopped \(node a/0 called lp\.stop\(\)\)"):
        token.check()
    silent = StopToken()
    silent.close()
    with pytest.raises(Stopped, match="no reason given"):
        silent.check()


def test_a_notice_from_several_threads_is_one() -> None:
    token = StopToken()
    calls: list[int] = []
    token.register(lambda: calls.append(1))
    start = threading.Barrier(4, timeout=WAIT_S)

    def give(number: int) -> None:
        start.wait()
        token.notice(1.0, str(number))

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(give, number) for number in range(4)]:
            future.result(WAIT_S)
    assert calls == [1]
    assert token.reason in {"0", "1", "2", "3"}


def test_a_token_that_is_closed_without_a_notice_gives_a_reason() -> None:
    token = StopToken()
    token.close(reason="its nodes have ended")
    with pytest.raises(Stopped, match=r"the run has stopped \(its nodes have ended\)"):
        token.check()
    told = StopToken()
    told.notice(1.0, "b/0 called lp.stop()")
    told.close(reason="its nodes have ended")
    assert told.reason == "b/0 called lp.stop()"
