"""Who hears where a run is."""

from __future__ import annotations

import dataclasses

from launchpad_lite.runtime.status import RunStatus
from launchpad_lite.runtime.watchers import Watchers

FIRST = RunStatus(
    run_id="run-1",
    program="program",
    launcher="process",
    phase="running",
    reason="",
    started=0.0,
    nodes=(),
)
LAST = dataclasses.replace(FIRST, phase="ended")


def test_a_watcher_hears_what_is_now_and_what_comes() -> None:
    watchers = Watchers()
    watcher = watchers.watch(lambda: FIRST)
    watchers.tell(LAST)
    watchers.end()
    assert list(watcher) == [FIRST, LAST]


def test_one_that_comes_after_the_end_hears_that() -> None:
    watchers = Watchers()
    watchers.end()
    assert list(watchers.watch(lambda: LAST)) == [LAST]


def test_one_that_has_left_hears_nothing() -> None:
    watchers = Watchers()
    watcher = watchers.watch(lambda: FIRST)
    watcher.close()
    watchers.tell(LAST)
    assert list(watcher) == [FIRST]
