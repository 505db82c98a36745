"""Which calls run, which wait, and which are refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from launchpad_lite.config import ServerConfig
from launchpad_lite.courier.call import ServerCall
from launchpad_lite.courier.callers import Callers
from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.dispatcher import Dispatcher, Verdict
from launchpad_lite.courier.messages import Reply, Request
from launchpad_lite.courier.method import Method

RUN, WAIT, FULL, CLOSED = Verdict
PATIENCE_S = 30.0


class Call(ServerCall):
    """A call that nobody made."""

    def __init__(self, method: Method, timeout: float | None = None) -> None:
        super().__init__(Request(method.name, Payload(b""), timeout), Callers().of(""))
        self.method = method
        self.stats = self.origin.meter[method.name]

    def answer(self, reply: Reply) -> None:
        raise AssertionError

    def refuse(self) -> None:
        raise AssertionError


def method(name: str = "work", **settings: Any) -> Method:
    return Method(name, print, **settings)


@pytest.fixture
def dropped() -> list[ServerCall]:
    return []


@pytest.fixture
def dispatcher(dropped: list[ServerCall]) -> Iterator[Dispatcher]:
    """Two calls at a time, and two that wait."""
    config = ServerConfig(thread_pool_size=2, max_waiting_calls=2)
    one = Dispatcher("lp-test", config, None, dropped.append)
    yield one
    one.close()
    one.join(30.0)


def test_so_many_run_then_so_many_wait(dispatcher: Dispatcher) -> None:
    work = method()
    calls = [Call(work) for _ in range(5)]
    assert [dispatcher.offer(call) for call in calls] == [RUN, RUN, WAIT, WAIT, FULL]
    assert [call.begun for call in calls] == [True, True, False, False, False]
    assert [call.waited for call in calls] == [False, False, True, True, False]
    assert dispatcher.finish(calls[0]) is calls[2]
    assert calls[2].begun
    assert dispatcher.offer(calls[4]) is WAIT
    assert dispatcher.finish(calls[1]) is calls[3]
    assert dispatcher.finish(calls[2]) is calls[4]
    assert dispatcher.finish(calls[3]) is None
    assert dispatcher.finish(calls[4]) is None
    assert dispatcher.offer(Call(work)) is RUN


def test_a_limited_method_keeps_no_other_waiting(dispatcher: Dispatcher) -> None:
    slow, quick = method("slow", limit=1), method("quick")
    first, second, third = Call(slow), Call(slow), Call(slow)
    assert [dispatcher.offer(each) for each in (first, second, third)] == [RUN, WAIT, WAIT]
    other = Call(quick)
    assert dispatcher.offer(other) is RUN
    assert dispatcher.finish(other) is None  # a slot is free, and the limit is reached
    assert dispatcher.finish(first) is second
    assert dispatcher.finish(second) is third


def test_a_limit_holds_for_calls_that_waited_for_a_thread(dispatcher: Dispatcher) -> None:
    slow, other = method("slow", limit=1), method("other")
    busy = [Call(other), Call(other)]
    waiting = [Call(slow), Call(slow)]
    assert [dispatcher.offer(each) for each in (*busy, *waiting)] == [RUN, RUN, WAIT, WAIT]
    assert dispatcher.finish(busy[0]) is waiting[0]
    assert dispatcher.finish(busy[1]) is None  # one of them runs already
    assert not waiting[1].begun
    assert dispatcher.finish(waiting[0]) is waiting[1]


@pytest.mark.parametrize("late", [False, True])
def test_who_gives_up_in_line_for_a_slot_is_followed_by_the_next_of_its_method(
    dropped: list[ServerCall], *, late: bool
) -> None:
    config = ServerConfig(thread_pool_size=2, max_waiting_calls=3)
    dispatcher = Dispatcher("lp-test", config, None, dropped.append)
    slow, other = method("slow", limit=1), method("other")
    first, third, more = Call(slow), Call(slow), Call(other)
    second = Call(slow, timeout=0.0 if late else None)
    busy = [Call(other), Call(other)]
    offers = [dispatcher.offer(each) for each in (first, *busy, second, third)]
    assert offers == [RUN, RUN, WAIT, WAIT, WAIT]
    assert dispatcher.finish(first) is busy[1]  # which came before the second
    assert dispatcher.offer(more) is WAIT
    if late:
        assert dispatcher.offer(Call(other)) is WAIT  # in the place of the second
    else:
        second.cancel()
    assert dropped == [second]
    assert [dispatcher.finish(each) for each in busy] == [more, third]
    dispatcher.close()
    dispatcher.join(PATIENCE_S)


def test_priority_does_not_wait_for_the_others(dispatcher: Dispatcher) -> None:
    work, urgent = method(), method("urgent", priority=True)
    assert [dispatcher.offer(Call(work)) for _ in range(3)] == [RUN, RUN, WAIT]
    calls = [Call(urgent) for _ in range(3)]
    assert [dispatcher.offer(call) for call in calls] == [RUN, RUN, WAIT]
    assert dispatcher.finish(calls[0]) is calls[2]


def test_who_was_turned_away_hears_of_room_once(dispatcher: Dispatcher) -> None:
    work = method()
    calls = [Call(work) for _ in range(5)]
    for call in calls:
        dispatcher.offer(call)
    heard: list[str] = []
    dispatcher.when_space(lambda: heard.append("room"))
    assert heard == []
    dispatcher.finish(calls[0])
    assert heard == ["room"]
    dispatcher.finish(calls[1])
    assert heard == ["room"]
    dispatcher.when_space(lambda: heard.append("now"))
    assert heard == ["room", "now"]


def test_who_gives_up_makes_room(dispatcher: Dispatcher, dropped: list[ServerCall]) -> None:
    slow, other = method("slow", limit=1), method("other")
    running = [Call(slow), Call(other)]
    waiting = [Call(slow), Call(other)]  # for the method, and for a thread
    assert [dispatcher.offer(each) for each in (*running, *waiting)] == [RUN, RUN, WAIT, WAIT]
    running[0].cancel()
    assert not dropped
    for each in waiting:
        each.cancel()
        each.cancel()
    assert dropped == waiting
    assert dispatcher.waiting().total() == 0
    more = [Call(other) for _ in range(3)]
    assert [dispatcher.offer(each) for each in more] == [WAIT, WAIT, FULL]
    assert dispatcher.finish(running[0]) is more[0]
    assert dispatcher.finish(running[1]) is more[1]


def test_who_is_late_makes_room(dispatcher: Dispatcher, dropped: list[ServerCall]) -> None:
    work = method()
    calls = [Call(work), Call(work), Call(work, 60.0), Call(work, 0.0)]
    assert [dispatcher.offer(call) for call in calls] == [RUN, RUN, WAIT, WAIT]
    more = [Call(work, 0.0), Call(work)]
    assert [dispatcher.offer(call) for call in more] == [WAIT, WAIT]
    assert dropped == [calls[3], more[0]]
    assert dispatcher.offer(Call(work)) is FULL
    assert dispatcher.finish(calls[0]) is calls[2]
    assert dispatcher.finish(calls[1]) is more[1]


def test_who_was_turned_away_hears_of_who_gives_up(
    dispatcher: Dispatcher, dropped: list[ServerCall]
) -> None:
    work = method()
    calls = [Call(work) for _ in range(5)]
    assert [dispatcher.offer(call) for call in calls] == [RUN, RUN, WAIT, WAIT, FULL]
    space = threading.Event()
    dispatcher.when_space(space.set)
    calls[0].cancel()  # it runs
    assert not space.is_set()
    calls[2].cancel()
    assert space.is_set()
    assert dropped == [calls[2]]
    assert dispatcher.offer(calls[4]) is WAIT


def test_who_was_turned_away_hears_of_who_is_late(
    dispatcher: Dispatcher, dropped: list[ServerCall]
) -> None:
    work = method()
    calls = [Call(work), Call(work), Call(work), Call(work, 0.05)]
    assert [dispatcher.offer(call) for call in calls] == [RUN, RUN, WAIT, WAIT]
    space = threading.Event()
    dispatcher.when_space(space.set)
    assert space.wait(PATIENCE_S)
    assert dropped == [calls[3]]


def test_closing_returns_all_that_wait(dispatcher: Dispatcher) -> None:
    slow, work = method("slow", limit=1), method()
    running, limited, plain = Call(slow), Call(slow), Call(work)
    assert [dispatcher.offer(each) for each in (running, limited, Call(work), plain)] == [
        RUN,
        WAIT,
        RUN,
        WAIT,
    ]
    heard: list[str] = []
    dispatcher.when_space(lambda: heard.append("closed"))
    assert set(dispatcher.close()) == {limited, plain}
    assert heard == ["closed"]
    assert dispatcher.finish(running) is None
    assert dispatcher.offer(Call(work)) is CLOSED


def test_a_method_is_quick_when_it_was_so_for_some_calls() -> None:
    work = method()
    for _ in range(3):
        work.note(1e-6)
        assert not work.quick
    work.note(1e-6)
    assert work.quick
    work.note(1.0)  # once
    assert not work.quick
    for _ in range(100):
        work.note(1e-6)
    assert work.quick


def test_calls_that_are_passed_over_keep_their_order() -> None:
    one = Dispatcher("lp-test", ServerConfig(thread_pool_size=2), None, print)
    limited, others = method("limited", limit=1), method("others")
    first, second = Call(others), Call(others)
    assert [one.offer(first), one.offer(second)] == [RUN, RUN]
    calls = [Call(limited) for _ in range(4)]
    assert [one.offer(call) for call in calls] == [WAIT] * 4
    assert one.finish(first) is calls[0]
    assert one.finish(second) is None  # and passes over all the others
    assert [one.finish(call) for call in calls] == [*calls[1:], None]
    one.close()


def test_calls_that_answer_later_find_a_thread_though_all_others_wait() -> None:
    one = Dispatcher("lp-test", ServerConfig(thread_pool_size=1), None, print)
    opened, entered = threading.Event(), threading.Event()
    calls = [Call(method()), Call(method("urgent", priority=True))]
    for call in calls:
        assert one.offer(call) is RUN
        one.run(lambda _: opened.wait(30.0), call)
    one.run(lambda _: entered.set(), Call(method("later")))
    assert entered.wait(30.0)
    opened.set()
    one.close()
    one.join(30.0)
