"""The directory: newest incarnation wins, and whoever waits is told."""

from __future__ import annotations

import logging
from concurrent import futures

import pytest

from launchpad_lite.endpoint import EndpointRecord
from launchpad_lite.errors import DeadlineExceeded, Stopped, Unavailable
from launchpad_lite.runtime import directory as directory_module
from launchpad_lite.runtime.directory import Directory, EndedRecord
from launchpad_lite.stop_token import StopToken

PATIENCE_S = 30.0


def record(name: str = "a/0", incarnation: int = 0, place: str = "here") -> EndpointRecord:
    return EndpointRecord("run", name, incarnation, "host", (f"inproc:{place}",))


def test_what_is_published_is_found() -> None:
    directory = Directory()
    assert directory.get("a/0") is None
    assert directory.publish(record())
    assert directory.get("a/0") == record()
    assert directory.resolve("a/0", 0.0, StopToken()) == record()


def test_an_older_incarnation_never_overwrites_a_newer() -> None:
    directory = Directory()
    assert directory.publish(record(incarnation=2))
    assert not directory.publish(record(incarnation=1, place="old"))
    assert directory.get("a/0") == record(incarnation=2)
    assert directory.publish(record(incarnation=2, place="moved"))
    assert directory.publish(record(incarnation=3))
    assert directory.get("a/0") == record(incarnation=3)


def test_who_watches_is_told_of_new_records() -> None:
    directory, told = Directory(), list[EndpointRecord]()
    forget = directory.watch("a/0", told.append)
    directory.publish(record(incarnation=1))
    directory.publish(record(incarnation=0))
    directory.publish(record("b/0"))
    directory.publish(record(incarnation=2))
    assert told == [record(incarnation=1), record(incarnation=2)]
    forget()
    forget()
    directory.publish(record(incarnation=3))
    assert len(told) == 2


def test_a_service_that_has_ended() -> None:
    directory = Directory()
    directory.publish(record())
    directory.end(EndedRecord("a/0", "it has ended"))
    with pytest.raises(Unavailable, match="a/0 is not there any more: it has ended") as caught:
        directory.resolve("a/0", None, StopToken())
    assert not caught.value.maybe_executed


def test_a_record_that_was_on_its_way_when_its_worker_died() -> None:
    directory = Directory()
    directory.end(EndedRecord("a/0", "killed", incarnation=1))
    for incarnation in (0, 1):
        assert not directory.publish(record(incarnation=incarnation))
    assert isinstance(directory.get("a/0"), EndedRecord)
    assert directory.publish(record(incarnation=2))  # it was started again


def test_a_name_that_will_never_be_there() -> None:
    directory = Directory(["actor/0", "learner/0"])
    assert directory.get("actor/0") is None
    with pytest.raises(Unavailable, match=r"'acter/0'.*did you mean 'actor/0'"):
        directory.get("acter/0")
    with pytest.raises(Unavailable, match="learner/0"):
        directory.resolve("acter/0", None, StopToken())


def test_old_news_teaches_only_what_was_not_known() -> None:
    directory = Directory()
    directory.learn(record())
    assert directory.get("a/0") == record()
    directory.learn(EndedRecord("a/0", "old"))
    assert directory.get("a/0") == record()


def test_a_time_that_is_over() -> None:
    with pytest.raises(DeadlineExceeded, match=r"a/0 did not come up within 0 s"):
        Directory().resolve("a/0", 0.0, StopToken())
    with pytest.raises(DeadlineExceeded, match=r"a/0 did not come up within 0.01 s"):
        Directory().resolve("a/0", 0.01, StopToken())


@pytest.mark.parametrize("how", ["publish", "learn"])
def test_whoever_waits_gets_the_record(how: str) -> None:
    directory = Directory()
    with futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(directory.resolve, "a/0", None, StopToken())
        directory.publish(record("b/0"))
        getattr(directory, how)(record())
        assert waiting.result(PATIENCE_S) == record()


def test_whoever_waits_hears_of_the_end() -> None:
    directory = Directory()
    with futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(directory.resolve, "a/0", None, StopToken())
        directory.end(EndedRecord("a/0", "it failed"))
        with pytest.raises(Unavailable, match="it failed"):
            waiting.result(PATIENCE_S)


def test_whoever_waits_is_woken_by_the_end_of_the_run() -> None:
    directory = Directory()
    stop = StopToken()
    with futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(directory.resolve, "a/0", None, stop)
        stop.notice(1.0, "done")  # calls still work
        assert not waiting.done()
        stop.close()
        with pytest.raises(Stopped, match="done"):
            waiting.result(PATIENCE_S)
    with pytest.raises(Stopped):
        directory.resolve("a/0", None, stop)


def test_a_long_wait_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(directory_module, "WAITING_HINT_S", 0.0)
    with caplog.at_level(logging.WARNING), pytest.raises(DeadlineExceeded):
        Directory().resolve("a/0", 0.05, StopToken())
    (line,) = caplog.messages
    assert line == "still waiting for a/0, which has not come up yet"


def test_a_change_is_awaited() -> None:
    directory = Directory()
    directory.publish(record())
    with futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(directory.await_change, record(), PATIENCE_S, StopToken())
        directory.publish(record(incarnation=1))
        waiting.result(PATIENCE_S)
        directory.await_change(record(), PATIENCE_S, StopToken())  # has changed already
        stop = StopToken()
        waiting = pool.submit(directory.await_change, record(incarnation=1), PATIENCE_S, stop)
        stop.close()
        waiting.result(PATIENCE_S)
    directory.await_change(record(incarnation=1), 0.0, StopToken())
