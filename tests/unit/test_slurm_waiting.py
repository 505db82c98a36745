"""What is told of jobs that wait, and how often SLURM and the file system are asked."""

from __future__ import annotations

import itertools
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from launchpad_lite.launchers.slurm import commands, waiting
from launchpad_lite.launchers.slurm.commands import JobState, moment
from launchpad_lite.launchers.slurm.waiting import Queue, Waiting, pauses, waits_for_ever
from launchpad_lite.runtime.rundir import RunDirectory

NOW = time.mktime((2026, 11, 26, 12, 0, 0, 0, 0, -1))
MINUTE = 60.0


def pending(reason: str = "Resources", start: float | None = None) -> JobState:
    return JobState(state="PENDING", reason=reason, start=start)


@pytest.fixture
def queue() -> Queue:
    return Queue({7: "job 7", 8: "job 8, of group actor,"})


def test_reasons_are_told_when_they_change(queue: Queue) -> None:
    states = {7: pending(), 8: pending("Priority")}
    told = ["job 7 is pending (Resources)", "job 8, of group actor, is pending (Priority)"]
    assert queue.news(states, NOW) == told
    assert queue.news(states, NOW) == []
    assert queue.news({7: pending("Priority"), 8: pending("Priority")}, NOW) == [
        "job 7 is pending (Priority)"
    ]
    assert queue.news({7: JobState(state="RUNNING", reason="None")}, NOW) == []
    assert queue.news({7: pending("Priority")}, NOW) == ["job 7 is pending (Priority)"]


def test_the_expected_start_is_told_when_it_moves_far(queue: Queue) -> None:
    told = "job 7 is pending (Resources); SLURM expects it to start at "
    assert queue.news({7: pending(start=NOW + 100 * MINUTE)}, NOW) == [f"{told}13:40"]
    assert queue.news({7: pending(start=NOW + 105 * MINUTE)}, NOW) == []
    assert queue.news({7: pending(start=NOW + 130 * MINUTE)}, NOW) == [f"{told}14:10"]
    days = {7: pending(start=NOW + 2 * 24 * 60 * MINUTE)}
    assert queue.news(days, NOW) == [f"{told}2026-11-28 12:00"]
    assert queue.news({7: pending(start=NOW - MINUTE)}, NOW) == []


def test_an_expected_start_may_come_later(queue: Queue) -> None:
    assert queue.news({7: pending()}, NOW) == ["job 7 is pending (Resources)"]
    assert len(queue.news({7: pending(start=NOW + 10 * MINUTE)}, NOW)) == 1


def test_slurm_is_asked_ever_more_rarely(queue: Queue) -> None:
    pauses = [queue.pause]
    for _ in range(4):
        queue.news({7: pending()}, NOW)
        pauses.append(queue.pause)
    assert pauses == [5, 5, 10, 20, 30]


def test_a_shared_directory_is_looked_at_ever_more_rarely() -> None:
    minute = list(itertools.takewhile(lambda at: at < MINUTE, itertools.accumulate(pauses())))
    assert minute[0] == 0.1
    assert len([at for at in minute if at < 3]) > 15
    assert len(minute) < 80
    assert list(itertools.islice(pauses(), 200))[-1] == 2.0


class Clock:
    """A clock that only waiting moves on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[tuple[float, float]] = []
        self.asked: list[float] = []
        self.at: dict[float, Callable[[], None]] = {}
        """What happens while somebody waits, by the time."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.slept.append((self.now, seconds))
        for at in sorted(self.at):
            if not event.is_set() and at <= self.now + seconds:
                self.now = max(self.now, at)
                self.at.pop(at)()
        if not event.is_set():
            self.now += seconds
        return event.is_set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()

    class Event(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            return clock.wait(self, timeout)

    told = types.SimpleNamespace(monotonic=lambda: clock.now, time=lambda: NOW + clock.now)
    monkeypatch.setattr(waiting, "time", told)
    monkeypatch.setattr(waiting, "threading", types.SimpleNamespace(Event=Event))
    return clock


def test_once_the_first_job_has_begun_its_controller_is_looked_for_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    begins = 120.0

    def states(_: object) -> dict[int, JobState]:  # in an order of SLURM's own
        return {
            8: pending(),
            7: pending() if clock.now < begins else JobState(state="RUNNING", reason=""),
        }

    monkeypatch.setattr(commands, "states", states)
    jobs = Waiting(RunDirectory(tmp_path), {7: "job 7", 8: "job 8"}, lambda _: None)
    assert jobs.controller(lambda: clock.now > begins + 60) is None
    assert min(pause for at, pause in clock.slept if at > begins) == 0.1


@pytest.mark.parametrize("cancelled", [1.0, 12.0, 25.0, 100.0])
def test_jobs_that_are_cancelled_are_asked_for_as_soon_as_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock, cancelled: float
) -> None:
    def states(_: object) -> dict[int, JobState]:
        clock.asked.append(clock.now)
        over = JobState(state="CANCELLED", reason="None")
        return {7: pending() if clock.now < cancelled else over}

    monkeypatch.setattr(commands, "states", states)
    jobs = Waiting(RunDirectory(tmp_path), {7: "job 7"}, lambda _: None)
    clock.at[cancelled] = jobs.hurry
    assert jobs.controller(lambda: False) is None
    assert jobs.ended() == 7
    *before, last = clock.asked
    may_be = max([cancelled, *(at + waiting.ASK_S for at in before)])
    assert may_be <= last < may_be + 0.2


@pytest.mark.parametrize(
    ("reason", "for_ever"),
    [
        ("PartitionTimeLimit", True),
        ("Job's account not known, so it can't use this partition (short allows us)", True),
        ("Job's QOS not permitted to use this partition (short allows gold not normal)", True),
        ("Resources", False),
        ("PartitionDown", False),
        ("BeginTime", False),
    ],
)
def test_what_never_comes(reason: str, *, for_ever: bool) -> None:
    assert waits_for_ever(JobState(state="PENDING", reason=reason)) == for_ever
    assert not waits_for_ever(JobState(state="RUNNING", reason=reason))


def test_slurms_times() -> None:
    assert moment("2026-11-26T12:00:00") == NOW
    assert [moment(text) for text in ("N/A", "Unknown", "NONE", "")] == [None] * 4
