"""The nodes of a run are asked what they have counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from launchpad_lite.metrics import CallMetrics, CallStats, of_stats
from launchpad_lite.runtime.measuring import Measuring, MetricsWanted
from launchpad_lite.runtime.subscription import Subscription

PATIENCE_S = 30.0


def counted(node: str, server: str = "server/0") -> CallMetrics:
    return of_stats(
        CallStats(), node=node, side="client", server=server, method="work", caller=node
    )


class Workers:
    """Workers that hear the question, and answer when the test says so."""

    def __init__(self, *names: str) -> None:
        self.followers = {name: Subscription(lambda _: None) for name in names}
        self.measuring = Measuring("a run that is not there", lambda: self.followers)

    def asked(self, name: str) -> int:
        question = next(self.followers[name])
        assert isinstance(question, MetricsWanted)
        return question.question


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


def test_without_workers_there_is_nothing_to_wait_for() -> None:
    told = Workers().measuring.metrics(PATIENCE_S)
    assert (told.calls, told.silent) == ((), ())


def test_the_answers_of_all_are_in_order(threads: ThreadPoolExecutor) -> None:
    workers = Workers("b/0", "a/0")
    asking = threads.submit(workers.measuring.metrics, PATIENCE_S)
    for name in workers.followers:
        workers.measuring.report(workers.asked(name), name, [counted(name)])
    told = asking.result(PATIENCE_S)
    assert told.calls == (counted("a/0"), counted("b/0"))
    assert told.silent == ()


def test_who_does_not_answer_is_named() -> None:
    workers = Workers("a/0", "b/0")
    answered = threading.Thread(
        target=lambda: workers.measuring.report(workers.asked("a/0"), "a/0", [counted("a/0")])
    )
    answered.start()
    told = workers.measuring.metrics(0.5)
    answered.join()
    assert told.silent in {("b/0",), ("a/0", "b/0")}  # the latter on a machine that is very busy
    workers.measuring.report(workers.asked("b/0"), "b/0", [counted("b/0")])  # for nobody


def test_questions_at_the_same_time_have_answers_of_their_own(threads: ThreadPoolExecutor) -> None:
    workers = Workers("a/0")
    both = [threads.submit(workers.measuring.metrics, PATIENCE_S) for _ in range(2)]
    numbers = {workers.asked("a/0") for _ in both}
    assert len(numbers) == 2
    for number in numbers:
        workers.measuring.report(number, "a/0", [counted("a/0", f"server/{number}")])
    told = {call.result(PATIENCE_S).calls[0].server for call in both}
    assert told == {f"server/{number}" for number in numbers}
