"""What waits for a launching process: nothing that it has heard, and of statuses the last."""

from __future__ import annotations

import pickle

from launchpad_lite.launchers.ray.messages import News, Told
from launchpad_lite.launchers.ray.outbox import Outbox
from launchpad_lite.runtime.status import RunStatus


def status(phase: str) -> RunStatus:
    return RunStatus(
        run_id="r", program="p", launcher="ray", phase=phase, reason="", started=0.0, nodes=()
    )


def told(text: str) -> Told:
    return Told("launchpad_lite", 30, text)


def taken(outbox: Outbox, heard: int) -> list[News]:
    return [pickle.loads(each) for each in outbox.take(heard, 0.0)]


def test_news_are_given_until_they_were_heard() -> None:
    outbox = Outbox()
    for text in ("a", "b"):
        outbox.put(told(text))
    assert taken(outbox, 0) == [told("a"), told("b")]
    assert taken(outbox, 0) == [told("a"), told("b")]  # the answer was lost
    outbox.put(told("c"))
    assert taken(outbox, 2) == [told("c")]
    assert taken(outbox, 3) == []
    assert taken(outbox, 0) == []


def test_of_statuses_that_nobody_asked_for_the_last_is_kept() -> None:
    outbox = Outbox()
    outbox.put(status("running"))
    outbox.put(status("stopping"))
    assert taken(outbox, 0) == [status("stopping")]
    outbox.put(status("terminating"))  # the one before may be heard just now
    outbox.put(status("killing"))
    assert taken(outbox, 1) == [status("killing")]
    outbox.put(told("a"))
    outbox.put(status("ended"))
    assert taken(outbox, 2) == [told("a"), status("ended")]


def test_who_never_asks_again_leaves_nothing() -> None:
    outbox = Outbox()
    outbox.put(told("begun"))
    outbox.close()
    outbox.put(told("more"))
    assert taken(outbox, 0) == [told("begun")]
    assert taken(outbox, 1) == []
